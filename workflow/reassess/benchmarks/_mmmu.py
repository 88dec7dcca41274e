"""How the rows of MMMU and MMMU-Pro become examples; the latter have no open questions, and a setting without text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reassess.benchmarks import _rows
from reassess.example import Example
from reassess.prompts import letter
from reassess.sources import fields

CHOICE = "multiple-choice"

_PICTURES = range(1, 8)
_MARK = re.compile(r"<image ([1-7])>")


def asked(row: Mapping[str, Any], source: str, question_type: str = CHOICE) -> Example:
    """Return a row with pictures where its text has marks. Raises DataError or RowError, see `example` of a module."""
    published, options = fields.text(row, "answer"), _options(row)
    pictures = {str(number): picture for number in _PICTURES for picture in fields.images(row, f"image_{number}")}
    question, placed, images = _rows.with_pictures(fields.text(row, "question"), options, pictures, _MARK)
    is_choice = question_type == CHOICE
    return Example(
        id=fields.text(row, "id"),
        images=images,
        question=question,
        options=placed if is_choice else (),
        gold=published.strip(),
        kind="mcq" if is_choice else _rows.number_or_math(published),
        rationales=(),
        source=source,
        family=subject(fields.text(row, "id")),
        difficulty=0,
        metadata=_rows.metadata({"question_type": question_type}, gold=published, options=options),
    )


def shown(row: Mapping[str, Any], source: str) -> Example:
    """Return a row whose picture shows question and options: only their letters are told, and can be answered."""
    published, options = fields.text(row, "answer"), _options(row)
    letters = ", ".join(letter(index) for index in range(len(options)))
    return Example(
        id=fields.text(row, "id"),
        images=fields.images(row, "image"),
        question=f"Answer the question in the image with the letter of an option: {letters}.",
        options=(),
        gold=published.strip(),
        kind="mcq",
        rationales=(),
        source=source,
        family=subject(fields.text(row, "id")),
        difficulty=0,
        metadata=_rows.metadata({}, gold=published, options=options),
    )


def subject(id_: str) -> str:
    """Return the subject that an id names: Art_Theory of validation_Art_Theory_3."""
    return "_".join(id_.split("_")[1:-1])


def _options(row: Mapping[str, Any]) -> tuple[str, ...]:
    found = _rows.options(row, "options")
    # In one row of MMMU-Pro the list stands within another.
    nested = len(found) == 1 and found[0].startswith("[")
    return _rows.options({"options": found[0]}, "options") if nested else found
