"""OpenR1-Math-220k: problems of mathematics with several checked responses of DeepSeek-R1 each.

Rows: huggingface/open-r1, README.md, and the data set's card (open-r1/OpenR1-Math-220k): `problem`, `solution`,
`answer`, `problem_type`, `question_type`, `source`, `uuid`, and lists with an entry for each response: `generations`
(reasoning inside `<think>`), `is_reasoning_complete`, `correctness_math_verify`, and `correctness_llama` (null where
Math-Verify decided).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from reassess.example import Example, RowError
from reassess.sources import fields
from reassess.sources.published import Card, Hub
from reassess.sources.sets import _texts

VERSION = 1
SOURCE = Hub(
    "open-r1/OpenR1-Math-220k",
    "train",
    "e4e141ec9dea9f8326f4d347be56105859b2bd68",
    licence="Apache-2.0",
    configs=("default",),
    rows=93733,
)
MODALITY = "text"
CARD = Card(
    "Competition mathematics (NuminaMath 1.5), each problem with several responses of DeepSeek-R1.",
    traps=(
        "Rationales are the responses that are complete and that Math-Verify or a Llama judge called right; the first "
        "is the one that SFT imitates.",
        "Golds such as `proof` or `notfound` stand where there is no answer: these rows are put aside.",
    ),
)
# What stands in `answer` where there is none.
_NO_ANSWER = frozenset({"proof", "notfound", "null", "none", "not found"})


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    question, gold = fields.text(row, "problem"), fields.answer(row, "answer").strip()
    if gold.lower() in _NO_ANSWER:
        raise RowError("no answer that can be compared", "answer")
    metadata = {"uuid": fields.text(row, "uuid"), "source": fields.text(row, "source")}
    return replace(
        _texts.asked(question, gold),
        rationales=tuple(_right(row)),
        source="openr1-math",
        family=fields.text(row, "problem_type"),
        metadata=json.dumps(metadata, ensure_ascii=False),
    )


def _right(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the reasoning of the responses that are complete and right."""
    responses, complete, checked, judged = (
        found if isinstance(found := fields.value(row, column), list) else []
        for column in ("generations", "is_reasoning_complete", "correctness_math_verify", "correctness_llama")
    )
    for index, said in enumerate(responses):
        right = any(flags[index : index + 1] == [True] for flags in (checked, judged))
        if isinstance(said, str) and right and complete[index : index + 1] == [True]:
            try:
                yield _texts.response(said, "generations").reasoning
            except RowError:
                continue
