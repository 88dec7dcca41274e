"""Geometry3K: questions about geometric diagrams with a short answer, in the form of EasyR1 and verl.

Rows: the data set's card (hiyouga/geometry3k, README.md) and what verl's examples/data_preprocess/geo3k.py reads:
`images` (a list of one), `problem` (which begins with `<image>`) and `answer`; they have no id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.example import Example
from reassess.judge.quantity import read_quantity
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
SOURCE = Hub("hiyouga/geometry3k", "train", "fd21e533e1e50d0662a2bf7b223e60511bd5f8b7", licence="MIT", rows=2101)
MODALITY = "visual"
CARD = Card(
    "School geometry: a diagram, a question and a short answer.",
    traps=("Its pictures repeat: 1,736 differ over the 2,702 rows of its training and test split.",),
)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing."""
    gold = fields.text(row, "answer")
    return Example(
        id="",
        images=fields.images(row, "images"),
        question=fields.text(row, "problem"),
        options=(),
        gold=gold,
        kind="math" if read_quantity(gold) is None else "numeric",
        rationales=(),
        source="geometry3k",
        family="",
        difficulty=0,
    )
