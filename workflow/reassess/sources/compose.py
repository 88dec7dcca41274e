"""Makes an example of a row, by what its columns hold."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from reassess.example import KINDS, Example, RowError
from reassess.sources.chats import Exchange, exchange
from reassess.sources.kinds import kind_of
from reassess.sources.pictures import Find, pictures
from reassess.sources.responses import NO_ANSWER, Reading, has_marks, read_response
from reassess.sources.shapes import Roles
from reassess.sources.values import is_missing, level, option_columns, options, plain, text, texts

# "['red' 'blue']", which Python reads as one text.
_ARRAY = re.compile(r"""\s*\[\s*(['"])[^'"]*\1\s*(['"])""")


class Source(NamedTuple):
    """What holds for all rows of a source.

    Attributes:
        name: what the examples are called by.
        answers: how all answers are compared, None where each row tells.
        find: from the path of an image to its bytes.
    """

    name: str
    answers: str | None
    find: Find


class _Cells:
    """The cells of a row, by what they hold."""

    def __init__(self, values: Mapping[str, Any], roles: Roles) -> None:
        self.values = values
        self.roles = roles

    def text(self, column: str | None) -> str:
        """Return the text in a column, empty where there is none. Raises RowError."""
        return text(self.values.get(column), column) if column else ""


def own_id(values: Mapping[str, Any], roles: Roles) -> str:
    """Return the id that a row itself has, empty where it has none. Raises RowError."""
    return _Cells(values, roles).text(roles.id).strip()


def example(values: Mapping[str, Any], roles: Roles, id_: str, source: Source) -> Example:
    """Return the example in a row.

    Args:
        values: the row, by column.
        roles: which columns hold what.
        id_: the example's id.
        source: what holds for all rows.

    Raises:
        RowError: the row cannot be one.
    """
    cells = _Cells(values, roles)
    for column in roles.rejected:
        if not is_missing(plain(values.get(column))):
            raise RowError("holds more than one question with its images", column)
    asked = exchange(values.get(roles.question or ""), roles.question or "")
    question = _question(cells, asked)
    choices, labels = _options(cells)
    gold, rationales = _answer(cells, asked, has_options=bool(choices))
    gold = labels.get(gold, gold)
    if gold.isdecimal() and gold not in choices and _are_counted(roles):
        raise RowError("a number, which may count the options from 0 or from 1", roles.gold or "")
    return Example(
        id=id_,
        images=_images(cells, asked, source),
        question=question,
        options=choices,
        gold=gold,
        kind=source.answers or _kind(cells) or kind_of(gold, choices, question),
        rationales=rationales,
        source=cells.text(roles.source) or source.name,
        family=cells.text(roles.family).strip(),
        difficulty=_difficulty(cells),
        metadata=_metadata(cells),
    )


def _are_counted(roles: Roles) -> bool:
    """Whether the options stand in columns with numbers, `option_1`; of those that a study names, the gold says 0."""
    return len(roles.options) > 1 and all(
        column.strip()[-1:].isdecimal() and column not in roles.is_named for column in roles.options
    )


def _question(cells: _Cells, asked: Exchange | None) -> str:
    roles = cells.roles
    question = cells.text(roles.question) if asked is None else asked.question
    if not question.strip():
        raise RowError("question is empty", roles.question or "")
    parts = [cells.text(roles.hint), question, *(cells.text(column) for column in roles.context)]
    return "\n".join(part for part in parts if part.strip())


def _options(cells: _Cells) -> tuple[tuple[str, ...], dict[str, str]]:
    columns = cells.roles.options
    if len(columns) == 1:
        return options(cells.values.get(columns[0]), columns[0])
    return option_columns([cells.values.get(column) for column in columns], columns), {}


def _images(cells: _Cells, asked: Exchange | None, source: Source) -> tuple[bytes, ...]:
    """Return the images of the conversation, of all numbered columns, or of the first column that has any."""
    roles, values = cells.roles, cells.values
    inside = pictures(asked.images, roles.question or "", source.find) if asked else ()
    beside: tuple[bytes, ...] = ()
    for column in roles.numbered:
        beside += pictures(values.get(column), column, source.find)
    for column in roles.image:
        beside = beside or pictures(values.get(column), column, source.find)
    if inside and beside:
        raise RowError("images both in the conversation and in a column", (roles.numbered or roles.image)[0])
    return inside or beside


def _answer(cells: _Cells, asked: Exchange | None, has_options: bool) -> tuple[str, tuple[str, ...]]:
    """Return the gold of a row and the chains of reasoning that lead to it."""
    roles = cells.roles
    stated = _stated(cells, has_options)
    said = _response(cells, asked)
    reading = None if said is None else _reading(said, roles.response or "", is_needed=stated is None)
    found = stated or reading
    if found is None:
        raise RowError("gold is empty", roles.gold or roles.response or "")
    written = texts(cells.values.get(roles.rationale), roles.rationale) if roles.rationale else ()
    if written:
        return found.gold, written
    rationale = next((item.rationale for item in (reading, stated) if item and item.rationale is not None), None)
    return found.gold, () if rationale is None else (rationale,)


def _stated(cells: _Cells, has_options: bool) -> Reading | None:
    """Return the gold in the gold's own column, None where that is missing."""
    column = cells.roles.gold
    value = plain(cells.values.get(column)) if column else None
    if isinstance(value, dict) and "ground_truth" in value:
        # verl's `reward_model`.
        value = plain(value["ground_truth"])
    if isinstance(value, list | tuple):
        several = texts(value, column or "")
        if len(set(several)) > 1 and not any(isinstance(item, str) for item in value):
            raise RowError("several numbers, which may be one answer or several: write it as text", column or "")
        if len(set(several)) > 1 and has_options:
            raise RowError("several right answers", column or "")
        # The judge takes any of a list.
        value = str(list(several)) if len(set(several)) > 1 else next(iter(several), None)
    gold = text(value, column or "")
    if not gold.strip():
        return None
    if _ARRAY.match(gold):
        raise RowError("a list without commas, as NumPy prints it", column or "")
    is_whole = column is not None and column.strip().lower() == "solution" and column not in cells.roles.is_named
    return read_response(gold, column or "") if is_whole or has_marks(gold) else Reading(gold.strip(), None)


def _response(cells: _Cells, asked: Exchange | None) -> str | None:
    """Return the whole response of a row, None where there is none."""
    roles = cells.roles
    if roles.response is None:
        return None
    if roles.response == roles.question:
        return asked.response if asked else None
    value = cells.values.get(roles.response)
    said = exchange(value, roles.response)
    return (said.response if said else text(value, roles.response)) or None


def _reading(said: str, column: str, is_needed: bool) -> Reading:
    """Return a response taken apart; one without a final answer is all reasoning where the gold stands elsewhere."""
    try:
        return read_response(said, column)
    except RowError as error:
        if is_needed or error.reason != NO_ANSWER:
            raise
        return Reading("", said.strip() or None)


def _kind(cells: _Cells) -> str:
    kind = cells.text(cells.roles.kind).strip()
    if kind and kind not in KINDS:
        raise RowError(f"kind is not one of {', '.join(KINDS)}", cells.roles.kind or "")
    return kind


def _difficulty(cells: _Cells) -> int:
    """Return a row's level. What is no number is refused only where the study names the column."""
    column = cells.roles.difficulty
    if column is None:
        return 0
    return level(cells.values.get(column), column, strict=column in cells.roles.is_named)


def _metadata(cells: _Cells) -> str:
    """Return the columns that are kept as a JSON object; of an example record the one that it has."""
    columns = cells.roles.metadata
    if not columns:
        return ""
    kept = {column: plain(cells.values.get(column)) for column in columns}
    if columns == ("metadata",) and "metadata" not in cells.roles.is_named:
        if not isinstance(kept["metadata"], dict):
            return cells.text("metadata")
        kept = kept["metadata"]
    try:
        kept = {key: None if is_missing(value) and value != "" else value for key, value in kept.items()}
        stated = json.dumps(kept, ensure_ascii=False, sort_keys=True, allow_nan=False, default=_spelled)
    except (TypeError, ValueError):
        raise RowError("metadata that JSON cannot hold", columns[0]) from None
    return text(stated, columns[0])


def _spelled(value: Any) -> Any:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if type(value).__module__ in ("numpy", "decimal"):
        return plain(value) if type(value).__module__ == "numpy" else str(value)
    raise TypeError
