"""AMC 2023: the last box, compared with the gold as text after MATH's normalisation.

Source: none is published with this copy, whose answers were made whole numbers. The rule is the one that
EleutherAI/lm-evaluation-harness has for such answers (lm_eval/tasks/aime/utils.py, `math_500.by_box`). The scripts of
Qwen2.5-Math (evaluation/grader.py), which many papers use, also take a number within 1 part in 10,000 or a hundredfold
of it, and equal formulas.

Rows: descriptions of math-ai/amc23 and what evaluation code reads of it: `id`, `question`, `answer` (a whole number,
stored as a float) and `url`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.benchmarks import math_500
from reassess.benchmarks.item import Item, Outcome
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
SOURCE = Hub("math-ai/amc23", "test", "80815d37005feb82cd7f8fbc6901d5d3eff43057", licence=None, rows=40)
MODALITY = "text"
CARD = Card(
    "Forty problems of the AMC 12 (American Mathematics Competitions) of 2023, reworded to ask for a number.",
    traps=(
        "It is not the paper of the competition, whose problems have five options: question and answer were changed.",
        "AI-MO/aimo-validation-amc (83 problems of 2022 and 2023) is another set under the same name.",
        "Answers are floats in the file (27.0); here they are 27.",
    ),
    prompt="{question}\\nPlease reason step by step, and put your final answer within \\boxed{}.",
    metric="Accuracy: the last box equals the gold after MATH's normalisation of texts.",
)
METADATA: frozenset[str] = frozenset()


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    return Example(
        id=f"amc23-{fields.answer(row, 'id')}",
        images=(),
        question=fields.text(row, "question"),
        options=(),
        gold=fields.answer(row, "answer").strip(),
        kind="numeric",
        rationales=(),
        source="amc23",
        family="",
        difficulty=0,
    )


def judge(item: Item) -> Outcome:
    """The verdict of the harness on answers that are whole numbers."""
    return math_500.by_box(item)
