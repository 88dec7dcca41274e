"""GSM8K: word problems of school mathematics with worked answers, the 7,473 for training.

Rows: the data set's card (openai/gsm8k, README.md) and what verl's examples/data_preprocess/gsm8k.py reads: `question`
and `answer` (the work, in which a calculator's steps stand as `<<48/2=24>>`, and after "#### " the number).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from reassess.example import Example, RowError
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
SOURCE = Hub(
    "openai/gsm8k",
    "train",
    "740312add88f781978c0658806c59bc2815b9866",
    licence="MIT",
    configs=("main",),
    rows=7473,
)
MODALITY = "text"
CARD = Card(
    "Word problems of school mathematics with worked answers.",
    traps=(
        "The marks of a calculator in the work, `<<48/2=24>>`, are removed from the rationale.",
        "Its benchmark is the test split of the same data set.",
    ),
)
_CALCULATOR = re.compile(r"<<[^<>]*>>")


class Worked(NamedTuple):
    """An answer of GSM8K.

    Attributes:
        work: how it is found, without the calculator's marks.
        number: the answer, without commas.
    """

    work: str
    number: str


def worked(row: Mapping[str, Any]) -> Worked:
    """Return the answer of a row. Raises DataError without the column, RowError where it names no number."""
    work, mark, number = fields.text(row, "answer").rpartition("####")
    number = number.strip().replace(",", "")
    if not (mark and number):
        raise RowError("no number behind ####", "answer")
    return Worked(_CALCULATOR.sub("", work).strip(), number)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    question, found = fields.text(row, "question"), worked(row)
    return Example(
        id="",
        images=(),
        question=question,
        options=(),
        gold=found.number,
        kind="numeric",
        rationales=(found.work,) if found.work else (),
        source="gsm8k",
        family="",
        difficulty=0,
    )
