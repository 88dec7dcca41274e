"""Text, options and levels from the cells of files, of whatever type a cell is.

A cell that cannot be what its column holds raises `RowError`, and its row is put aside.
"""

from __future__ import annotations

import ast
import datetime
import json
import math
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from reassess.example import RowError

# Beyond these, floats do not tell whole numbers apart.
_WHOLE_FLOATS = 2**53
_LEVEL = re.compile(r"(?:level\s*)?(\d{1,18})(?:\.0*)?", re.IGNORECASE)
# "(A) red", "A. red", "A: red", "A、red".
_LETTERED = re.compile(r"\s*[(（]?([A-Z])[).:．：、）]\s*(.*)", re.DOTALL)
# Where one option ends and the next begins: surely, and where nothing else parts them.
_BREAKS = (r"\s*[;\n|]\s*", r"[\s,]+")
_TAIL = ";,| \t\r\n"


@dataclass(frozen=True)
class Unreadable:
    """A cell that is no value: text that is not UTF-8, a date beyond the year 9999, two values.

    Attributes:
        reason: why, as in `PutAside`.
    """

    reason: str = "a value that cannot be read"


def is_missing(value: Any) -> bool:
    """Return whether a cell holds nothing: None, NaN, NaT, an empty list, or no text but white space."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    if isinstance(value, list | tuple | dict):
        return not value
    if isinstance(value, str | bytes | bool | int):
        return False
    # pandas.NA is equal to nothing that could be asked for truth.
    return type(value).__name__ in ("NAType", "NaTType") or (not hasattr(value, "__len__") and bool(value != value))


def text(value: Any, column: str) -> str:
    """Return a cell as text, empty where it is missing.

    Whole numbers have no decimal places (2.0 is `2`); of a truth value this is `True` or `False`, as Python writes it.

    Raises:
        RowError: it is not text: bytes that are not UTF-8, a list, a number that is not finite. A date is none either,
            because a spreadsheet makes one of a fraction such as 1/2.
    """
    if is_missing(value):
        return ""
    value = plain(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise RowError("not UTF-8 text", column) from None
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            # Half of a surrogate pair, which JSON can spell.
            raise RowError("not UTF-8 text", column) from None
        return value
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float | Decimal):
        return _number(value, column)
    if isinstance(value, datetime.date | datetime.time):
        raise RowError("a date in place of text (a spreadsheet makes one of 1/2)", column)
    if isinstance(value, Unreadable):
        raise RowError(value.reason, column)
    raise RowError("a list or a mapping in place of text", column)


def plain(value: Any) -> Any:
    """Return a scalar or an array of NumPy as what Python has for it."""
    if type(value).__module__ == "numpy":
        return value.tolist()
    return tuple(value) if isinstance(value, set | frozenset) else value


def _number(value: float | Decimal, column: str) -> str:
    if not math.isfinite(value):
        raise RowError("not a finite number", column)
    if isinstance(value, Decimal):
        return format(value.to_integral_value() if value == value.to_integral_value() else value.normalize(), "f")
    return str(int(value)) if value.is_integer() and abs(value) <= _WHOLE_FLOATS else repr(value)


def texts(value: Any, column: str) -> tuple[str, ...]:
    """Return a cell that is one text, or a list of texts, as texts. Raises RowError, also where one is missing."""
    value = plain(value)
    if not isinstance(value, list | tuple):
        return (text(value, column),) if not is_missing(value) else ()
    if any(not isinstance(item, str) and is_missing(item) for item in value):
        raise RowError("an empty value in a list", column)
    return tuple(text(item, column) for item in value)


def level(value: Any, column: str, strict: bool) -> int:
    """Return a source's own level, 0 where there is none: 3, `3`, `3.0` and `Level 3` are 3.

    Raises:
        RowError: it is none of these, and `strict`.
    """
    if is_missing(value):
        return 0
    found = _LEVEL.fullmatch(text(value, column).strip())
    if found is None and strict:
        raise RowError("the level is not a whole number", column)
    return int(found[1]) if found else 0


def options(value: Any, column: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the options that a cell holds, and the letters by the labels of the cell's own, if it has any.

    A cell is a list, the text of a list, a mapping from letters, `text` and `label` beside each other, or one text
    such as `A. red; B. green`. Letters in front of all options, in their order, are taken off.

    Raises:
        RowError: a cell is none of these, or an option is missing.
    """
    value = _parsed(plain(value), column)
    if is_missing(value):
        return (), {}
    if isinstance(value, dict):
        return _of_mapping({str(key): plain(item) for key, item in value.items()}, column)
    if isinstance(value, str):
        return _split(value, column), {}
    if not isinstance(value, list | tuple):
        raise RowError("not a list of options", column)
    return _unlettered(texts(value, column), column), {}


def option_columns(values: Sequence[Any], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the options that stand in columns of their own; at the end some may be missing.

    `nan` is missing too: that is what pandas makes of nothing where it writes text.

    Raises:
        RowError: one is missing before others, or is not text.
    """
    found = [text(value, column) for value, column in zip(values, columns, strict=True)]
    found = ["" if item == "nan" else item for item in found]
    while found and not found[-1].strip():
        found.pop()
    for item, column in zip(found, columns, strict=False):
        if not item.strip():
            raise RowError("an option is missing before others", column)
    return tuple(found)


def _parsed(value: Any, column: str) -> Any:
    """Return what the text of a list or of a mapping stands for, anything else as it is."""
    if isinstance(value, bytes):
        value = text(value, column)
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            return read(value.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return value


def _of_mapping(value: dict[str, Any], column: str) -> tuple[tuple[str, ...], dict[str, str]]:
    if {"text", "label"} <= value.keys():
        labels, found = texts(value["label"], column), texts(value["text"], column)
        if len(labels) != len(found) or len(set(labels)) != len(labels) or len(found) > 26:
            raise RowError("not a list of options", column)
        return found, {label: chr(ord("A") + index) for index, label in enumerate(labels)}
    # A mapping of Parquet has every key of the file, those that a row lacks as null.
    there = {key: item for key, item in value.items() if item is not None}
    if list(there) != [chr(ord("A") + index) for index in range(len(there))]:
        raise RowError("options are not lettered A, B, C, ...", column)
    return texts(list(there.values()), column), {}


def _unlettered(found: tuple[str, ...], column: str) -> tuple[str, ...]:
    """Return options without the letters in front of them, where all have theirs.

    Raises:
        RowError: they have all the letters, in another order, so that a gold "A" may mean either of two.
    """
    heads = [_LETTERED.fullmatch(item) for item in found]
    letters = [head[1] for head in heads if head]
    if (
        len(letters) == len(found)
        and letters != sorted(letters)
        and string.ascii_uppercase.startswith("".join(sorted(letters)))
    ):
        raise RowError("options are not lettered A, B, C, ...", column)
    bare = [head[2].strip() for index, head in enumerate(heads) if head and head[1] == chr(ord("A") + index)]
    return tuple(bare) if len(bare) == len(found) and all(bare) else found


def _split(value: str, column: str) -> tuple[str, ...]:
    """Return the options in one text, each with its letter. Raises RowError."""
    for between in _BREAKS:
        parts, rest = [], value.strip()
        for index in range(1, 26):
            letter = chr(ord("A") + index)
            begins = re.search(rf"{between}(?=[(（]?{letter}[).:．：、）])", rest)
            if begins is None:
                break
            parts.append(rest[: begins.start()])
            rest = rest[begins.end() :]
        parts.append(rest)
        found = tuple(part.strip(_TAIL) for part in parts)
        bare = _unlettered(found, column)
        if len(found) > 1 and bare != found and not _has_more(bare):
            return bare
    raise RowError("options are not lettered A, B, C, ...", column)


def _has_more(found: tuple[str, ...]) -> bool:
    """Whether the last option holds more options, which a missing letter has hidden."""
    return re.search(r"[;\n|]\s*[(（]?[A-Z][).:．：、）]", found[-1]) is not None
