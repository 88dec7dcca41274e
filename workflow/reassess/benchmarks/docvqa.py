"""DocVQA: how near the reply is to the nearest of the accepted answers, by edit distance (ANLS).

Source: lmms-eval, lmms_eval/api/metrics.py (anls) and tasks/docvqa/_default_template_docvqa_yaml.

Quirks kept:
- case does not matter, and runs of white space count as one blank;
- the distance is divided by the length of the longer text as it was before that;
- a similarity below 0.5 counts as 0.

The original has a number between 0 and 1 for each reply. The verdict here is whether it counts at all, that is from 0.5
on, and the summary has the mean of the numbers, which is what is published as ANLS.

Rows: what lmms-eval reads of the copy lmms-lab-encoder/DocVQA, configuration "DocVQA": `questionId`, `question`,
`answers` (a list, all accepted) and `image`. The answers of the split "test" are withheld.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from reassess.benchmarks import _rows
from reassess.benchmarks.item import PUBLISHED, Item, Outcome, Row
from reassess.benchmarks.mathvista import edit_distance
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
# The data set was lmms-lab/DocVQA before; the commit is pinned by at least eight public projects.
SOURCE = Hub(
    "lmms-lab-encoder/DocVQA",
    "validation",
    "539088ef8a8ada01ac8e2e6d4e372586748a265e",
    licence="Apache-2.0",
    configs=("DocVQA",),
    rows=5349,
)
MODALITY = "visual"
CARD = Card(
    "Questions about scanned pages, answered by a few words or numbers on them.",
    traps=(
        "ANLS gives a part of a point for a near answer; the judge gives none.",
        "A question has several accepted answers, often spellings of one.",
        "The answers of the split test are withheld; papers that report it have sent their replies in.",
        "Pages are large: with few pixels small print cannot be read.",
    ),
    prompt="{question}\\nAnswer the question using a single word or phrase.",
    metric="ANLS: one less the edit distance to the nearest answer over the longer length, 0 below 0.5; the mean.",
)
METADATA: frozenset[str] = frozenset()

_THRESHOLD = 0.5


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    answers = list(dict.fromkeys(fields.texts(row, "answers")))
    published = json.dumps(answers, ensure_ascii=False)
    return Example(
        id=_rows.word(row, "questionId"),
        images=fields.images(row, "image"),
        question=fields.text(row, "question"),
        options=(),
        gold=answers[0] if len(answers) == 1 else published if answers else "",
        kind="text",
        rationales=(),
        source="docvqa",
        family="",
        difficulty=0,
        metadata=_rows.metadata({}, gold=published),
    )


def judge(item: Item) -> Outcome:
    """Whether ANLS gives the reply anything."""
    nearness = _anls(item.reply, item.gold)
    return Outcome(nearness > 0, item.reply, f"ANLS {nearness:.3f}")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """The mean ANLS."""
    found = [_anls(row.answer or "", str(row.metadata.get(PUBLISHED, {}).get("gold", ""))) for row in rows]
    return {"anls": sum(found) / len(found)} if found else {}


def _anls(reply: str, gold: str) -> float:
    nearest = max((1 - _distance(reply, answer) for answer in _answers(gold)), default=0.0)
    return nearest if nearest >= _THRESHOLD else 0.0


def _answers(gold: str) -> list[str]:
    """Return the accepted answers: the items of a JSON list of texts, else the gold itself."""
    try:
        found = json.loads(gold) if gold.startswith("[") else gold
    except (ValueError, RecursionError):
        found = gold
    return found if isinstance(found, list) and all(isinstance(item, str) for item in found) else [gold]


def _distance(reply: str, answer: str) -> float:
    length = max(len(answer.upper()), len(reply.upper()))
    plain, other = (" ".join(text.strip().lower().split()) for text in (answer, reply))
    return edit_distance(plain, other) / length if length else 0.0
