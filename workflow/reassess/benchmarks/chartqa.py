"""ChartQA: relaxed accuracy, five per cent for numbers, else equal text but for case.

Source: lmms-eval, lmms_eval/tasks/chartqa/utils.py (relaxed_correctness, chartqa_process_results) and api/task.py
(replies are stripped). VLMEvalKit, vlmeval/dataset/utils/vqa_eval.py, has the same rule but reads a gold such as
"['2', '3']" as alternatives; lmms-eval, followed here, compares it as text.

Quirks kept:
- the tolerance is relative to the gold and inclusive in floating point: 105 for 100 is right, 1.05 for 1 is not;
- a trailing "%" divides by 100, several do so once, and a space before it does not matter; "52%" for 52 is wrong;
- a gold of zero is compared as text: "0.0" for "0" and "0" for "0%" are wrong;
- "1,000", "$100", "5 years" and "2/3" are no numbers; "1_000", "1e3", "inf" and "nan" are;
- a reply that is no number is compared as text, also with a gold that is one;
- "nan" never equals "nan", nor "inf" "inf";
- years have the tolerance too: 1999 for 2010 is right;
- white space at the ends of the reply is removed, a full stop is not: "Yes." for "Yes" is wrong;
- a question is of the augmented split unless its type is "human_test".

Rows: the data set's card (lmms-lab/ChartQA, README.md) and what utils.py reads of them: `type` (human_test or
augmented_test), `question`, `answer` (one text) and `image`; they have no id. A list of one answer is read as that
answer, as other copies of the data have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reassess.benchmarks import _rows
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.example import Example, PutAside
from reassess.judge.quantity import read_quantity
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
# The copy that lmms-eval reads. Its card declares no licence; this is the one on the card of the authors' own copy
# (ahmed-masry/ChartQA).
SOURCE = Hub("lmms-lab/ChartQA", "test", "9e63b7df1592a1c2158e735cc1725454aef0d6d9", licence="GPL-3.0", rows=2500)
MODALITY = "visual"
CARD = Card(
    "Questions about charts: read off or worked out.",
    traps=(
        "Official accuracy has a tolerance of 5 % for years too; the judge has none.",
        "A gold of zero is compared as text.",
    ),
    prompt="{question}\\nAnswer the question with a single word.",
    metric="Relaxed accuracy: 5 % for numbers, else equal text; of all questions and of both parts.",
)
METADATA: frozenset[str] = frozenset({"type"})

_TOLERANCE = 0.05


def example(row: Mapping[str, Any]) -> Example | PutAside:
    """Return a row as an example; what is null in it is empty there. Raises DataError where a column is missing."""
    type_, golds = fields.text(row, "type"), fields.texts(row, "answer")
    if len(golds) > 1:
        return PutAside("", "chartqa", "more than one answer")
    gold = golds[0] if golds else ""
    return Example(
        id="",
        images=fields.images(row, "image"),
        question=fields.text(row, "question"),
        options=(),
        gold=gold,
        kind="text" if read_quantity(gold) is None else "numeric",
        rationales=(),
        source="chartqa",
        family=type_,
        difficulty=0,
        metadata=_rows.metadata({"type": type_}, gold=gold),
    )


def judge(item: Item) -> Outcome:
    """The verdict of relaxed accuracy."""
    reply = item.reply.strip()
    stated, gold = _number(reply), _number(item.gold)
    if stated is not None and gold:
        correct = abs(stated - gold) / abs(gold) <= _TOLERANCE
        return Outcome(correct, reply, "numbers within 5 %" if correct else "numbers not within 5 %")
    correct = reply.lower() == item.gold.lower()
    return Outcome(correct, reply or None, "equal texts" if correct else "different texts")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Relaxed accuracy over all questions and over the human and the augmented ones, each where there are any."""
    parts: dict[str, list[bool]] = {"relaxed_overall": [], "relaxed_human_split": [], "relaxed_augmented_split": []}
    for row in rows:
        hit = row.correct is True
        human = row.metadata["type"] == "human_test"
        parts["relaxed_overall"].append(hit)
        parts["relaxed_human_split" if human else "relaxed_augmented_split"].append(hit)
    return {name: sum(hits) / len(hits) for name, hits in parts.items() if hits}


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None
