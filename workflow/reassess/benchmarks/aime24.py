"""AIME 2024: the last box, compared with the gold as text after MATH's normalisation.

Source: EleutherAI/lm-evaluation-harness, lm_eval/tasks/aime (utils.py and aime24.yaml, which reads another copy of the
problems, with answers as numbers). Its rule is the one of MATH (`math_500.by_box`), with its quirks: "033" and "33.0"
are not 33.

Rows: the data set's card (HuggingFaceH4/aime_2024, README.md): `id`, `problem`, `solution`, `answer` (a text of up to
three digits), `url` and `year`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.benchmarks import _aime, math_500
from reassess.benchmarks.item import Item, Outcome
from reassess.example import Example
from reassess.sources.published import Card, Hub

VERSION = 1
SOURCE = Hub("HuggingFaceH4/aime_2024", "train", "2fe88a2f1091d5048c0f36abc874fb997b3dd99a", licence=None, rows=30)
MODALITY = "text"
CARD = Card(
    "The 30 problems of both American Invitational Mathematics Examinations of 2024.",
    traps=(
        "Thirty questions: one more or less is 3.3 points, so that papers report the mean of 8 to 64 samples each.",
        "The published answers have leading zeros (`033`), which a comparison of texts takes for another number; they "
        "are removed here.",
    ),
    prompt="Solve the following AIME problem.\\n\\n{problem}\\n\\nAnswer:",
    metric="Accuracy: the last box equals the gold after MATH's normalisation of texts.",
)
METADATA: frozenset[str] = frozenset()


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    return _aime.example(row, "aime24")


def judge(item: Item) -> Outcome:
    """The verdict of the harness on AIME."""
    return math_500.by_box(item)
