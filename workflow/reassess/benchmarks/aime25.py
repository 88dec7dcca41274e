"""AIME 2025: the last box, compared with the gold as text after MATH's normalisation.

Source: EleutherAI/lm-evaluation-harness, lm_eval/tasks/aime (utils.py and aime25.yaml). Its rule is the one of MATH
(`math_500.by_box`), with its quirks: "033" and "33.0" are not 33.

Rows: what aime25.yaml and other code read of math-ai/aime25 (test.jsonl): `problem`, `answer` (digits) and `id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.benchmarks import _aime, math_500
from reassess.benchmarks.item import Item, Outcome
from reassess.example import Example
from reassess.sources.published import Card, Hub

VERSION = 1
SOURCE = Hub(
    "math-ai/aime25",
    "test",
    "563bb8404243c5f09de6ec262f2db674fe5bce9b",
    licence=None,
    files=("test.jsonl",),
    rows=30,
)
MODALITY = "text"
CARD = Card(
    "The 30 problems of both American Invitational Mathematics Examinations of 2025.",
    traps=(
        "Thirty questions: one more or less is 3.3 points. The harness asks each of them ten times.",
        "Other copies hold the two examinations apart or in another order: ids are not the same.",
    ),
    prompt="Question: {problem}\\nAnswer:",
    metric="Accuracy: the last box equals the gold after MATH's normalisation of texts.",
)
METADATA: frozenset[str] = frozenset()


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    return _aime.example(row, "aime25")


def judge(item: Item) -> Outcome:
    """The verdict of the harness on AIME."""
    return math_500.by_box(item)
