"""What the years of AIME have in common: answers are whole numbers from 0 to 999, printed with three digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.example import Example, RowError
from reassess.sources import fields


def example(row: Mapping[str, Any], source: str) -> Example:
    """Return a row as an example; its answer "033", or 33, is 33.

    Raises:
        DataError: a column is missing.
        RowError: a value is not usable.
    """
    answer = fields.answer(row, "answer").strip()
    if not (answer.isascii() and answer.isdigit()):
        raise RowError("its answer is no whole number", "answer")
    return Example(
        id=f"{source}-{fields.answer(row, 'id')}",
        images=(),
        question=fields.text(row, "problem"),
        options=(),
        gold=str(int(answer)),
        kind="numeric",
        rationales=(),
        source=source,
        family="",
        difficulty=0,
    )
