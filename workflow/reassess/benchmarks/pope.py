"""POPE: the reply has to be the word yes or no and nothing else, but for case and white space at its ends.

Source: lmms-eval, lmms_eval/tasks/pope/utils.py (pope_process_results and the pope_aggregate functions). The authors'
script (RUCAIBox/POPE, evaluate.py) takes every reply without "no" or "not" for a yes and is not followed here.

Quirks kept:
- "Yes." and "Yes, there is" are wrong, and neither a yes nor a no for precision and recall;
- recall is over the replies that are yes or no, not over all questions whose answer is yes;
- "pope_yes_ratio" is the share of questions whose right answer is yes, whatever was replied; the share of the replies
  is what the authors call the yes ratio, and is "yes ratio of replies" here.

The measures are of all questions; the same of each way in which the absent objects were chosen, which papers report,
have its name behind them. Precision and recall of nothing are 0, as there.

Rows: what lmms-eval's utils.py reads of the copy lmms-lab-encoder/POPE, and the `category` that its readers use:
`question`, `answer` (yes or no), `image` and `category` (random, popular or adversarial). `question_id` is not unique.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reassess.benchmarks import _rows
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
# The licence of the authors' repository; pictures are of COCO, with terms of their own. The data set was lmms-lab/POPE
# before, at the same commit, which three public projects pin for its 9,000 rows.
SOURCE = Hub("lmms-lab-encoder/POPE", "test", "4db1276663dfa5eb8ad16a52d24c31a09e470896", licence="MIT", rows=9000)
MODALITY = "visual"
CARD = Card(
    "Whether an object is in a photograph, half of them absent ones, chosen at random, popular or adversarial.",
    traps=(
        "9,000 questions are about 500 pictures: they are not independent.",
        "lmms-eval's rule takes nothing but the bare word, the authors' every reply without a no for a yes.",
        "Papers report accuracy and F1 of each of the three categories; one that says yes to everything has an F1 of "
        "0.67.",
    ),
    prompt="{question}\\nAnswer the question using a single word or phrase.",
    metric="Accuracy, precision, recall and F1 of the answer yes, over all questions and by category.",
)
METADATA: frozenset[str] = frozenset({"category", "answer"})


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    published, category = fields.text(row, "answer"), fields.text(row, "category")
    return Example(
        id="",
        images=fields.images(row, "image"),
        question=fields.text(row, "question").strip(),
        options=(),
        gold=published.strip().lower(),
        kind="text",
        rationales=(),
        source="pope",
        family=category,
        difficulty=0,
        metadata=_rows.metadata({"category": category, "answer": published.strip().lower()}, gold=published),
    )


def judge(item: Item) -> Outcome:
    """The verdict of lmms-eval's rule for POPE."""
    reply, gold = item.reply.lower().strip(), item.gold.lower().strip()
    return Outcome(reply == gold, reply, "equal words" if reply == gold else "another reply")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Accuracy, precision, recall, F1 and ratios of yes, under lmms-eval's names; the same by category."""
    result = _measures(rows)
    for category in dict.fromkeys(str(row.metadata["category"]) for row in rows):
        part = _measures([row for row in rows if row.metadata["category"] == category])
        result |= {f"{name} ({category})": value for name, value in part.items()}
    return result


def _measures(rows: Sequence[Row]) -> dict[str, float]:
    if not rows:
        return {}
    said = [(row.answer, row.metadata["answer"]) for row in rows]
    hits, alarms, missed = (said.count(pair) for pair in (("yes", "yes"), ("yes", "no"), ("no", "yes")))
    precision = hits / (hits + alarms) if hits + alarms else 0.0
    recall = hits / (hits + missed) if hits + missed else 0.0
    return {
        "pope_accuracy": sum(row.correct is True for row in rows) / len(rows),
        "pope_precision": precision,
        "pope_recall": recall,
        "pope_f1_score": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "pope_yes_ratio": sum(gold == "yes" for _, gold in said) / len(said),
        "yes ratio of replies": sum(reply == "yes" for reply, _ in said) / len(said),
    }
