r"""MATH: problems of mathematics competitions with worked solutions, the 7,500 for training.

Rows: the data set's card (DigitalLearningGmbH/MATH-lighteval, README.md) and what verl's
examples/data_preprocess/math_dataset.py reads: `problem`, `level` ("Level 1" to "Level 5", or "Level ?"), `type` and
`solution` (the answer in the last `\boxed{}`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reassess.example import Example
from reassess.sources import fields
from reassess.sources.kinds import kind_of
from reassess.sources.published import Card, Hub
from reassess.sources.sets import _texts

VERSION = 1
SOURCE = Hub(
    "DigitalLearningGmbH/MATH-lighteval",
    "train",
    "0530c78699ea5e8eb5530600900e1f328b48acad",
    licence="MIT",
    rows=7500,
)
MODALITY = "text"
CARD = Card(
    "Problems of American mathematics competitions with worked solutions, seven subjects and five levels.",
    traps=(
        "MATH-500 is part of its test split, which is not read here.",
        "The original repository, lighteval/MATH, is gone.",
    ),
)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    question, solution = fields.text(row, "problem"), fields.text(row, "solution")
    gold = _texts.boxed(solution, "solution")
    level = re.search(r"\d+", fields.text(row, "level"))
    return Example(
        id="",
        images=(),
        question=question,
        options=(),
        gold=gold,
        kind=kind_of(gold, (), question),
        rationales=(_texts.without_boxes(solution),),
        source="math",
        family=fields.text(row, "type"),
        difficulty=int(level[0]) if level else 0,
    )
