r"""OpenThoughts-114k: questions of mathematics, science, code and puzzles with the reasoning of DeepSeek-R1.

Rows: the data set's card (open-thoughts/OpenThoughts-114k, README.md), configuration `metadata`: `problem`,
`deepseek_reasoning`, `deepseek_solution`, `ground_truth_solution`, `domain`, `source`, `test_cases` and `starter_code`.
(The configuration `default` has the same as chats with `<|begin_of_thought|>` marks.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reassess.example import Example, RowError
from reassess.judge.extract import last_boxed
from reassess.sources import fields
from reassess.sources.published import Card, Hub
from reassess.sources.sets import _texts

VERSION = 1
SOURCE = Hub(
    "open-thoughts/OpenThoughts-114k",
    "train",
    "bd093c3994fd54d2390985b66988ddf282a55eb6",
    licence="Apache-2.0",
    configs=("metadata",),
    rows=113957,
)
MODALITY = "text"
CARD = Card(
    "Mathematics, science, code and puzzles with long reasoning by DeepSeek-R1.",
    traps=(
        "Code and whatever has no answer in a box are put aside: say `max_put_aside` accordingly.",
        "The gold is the boxed answer of `ground_truth_solution`; where that has none, it is DeepSeek-R1's own answer, "
        "which no one checked here.",
    ),
)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    domain, question = fields.text(row, "domain"), fields.text(row, "problem")
    if domain == "code":
        raise RowError("its answer is a program", "domain")
    reference = last_boxed(fields.text(row, "ground_truth_solution"))
    gold = reference or _texts.boxed(fields.text(row, "deepseek_solution"), "deepseek_solution")
    return replace(
        _texts.asked(question, gold),
        rationales=tuple(filter(None, [fields.text(row, "deepseek_reasoning").strip()])),
        source="openthoughts",
        family=domain,
        metadata=json.dumps({"source": fields.text(row, "source")}, ensure_ascii=False),
    )
