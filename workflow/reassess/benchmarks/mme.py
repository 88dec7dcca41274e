"""MME: yes or no, of the beginning of the reply; two questions about a picture, which count once more together.

Source: lmms-eval, lmms_eval/tasks/mme/utils.py (parse_pred_ans, mme_process_results, mme_aggregate_results).

Quirks kept:
- full stops are removed everywhere, and case does not matter;
- a reply that is neither "yes" nor "no" nor a single letter is read by its first four characters: "Nope" and "know" say
  no, "a yes" says yes, and of a reply with both yes counts;
- of single letters "y" and "n" are words;
- a category scores the share of right questions plus the share of pictures with both questions right.

The original adds the scores of the categories, each of at most 200: perception up to 2,000, cognition up to 800. Here a
score is the share of that maximum, so that perception times 2,000 is the published number. A picture without two
questions, where the original fails, is left out.

Rows: what lmms-eval's utils.py reads of the copy lmms-lab-encoder/MME: `question_id` (of the picture), `question`
(which ends in "Please answer yes or no."), `answer` (Yes or No), `image` and `category`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from reassess.benchmarks import _rows
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
# Its card was not seen to declare a licence. The commit is pinned by four public projects, for lmms-lab/MME and for
# this newer name.
SOURCE = Hub("lmms-lab-encoder/MME", "test", "d6c9023f017b564f7b3ccccf5348166bce8fdbcd", licence=None, rows=2374)
MODALITY = "visual"
CARD = Card(
    "Two questions about each picture, one to be answered by yes and one by no, in ten categories of perception and "
    "four of cognition.",
    traps=(
        "Scores are sums over categories (perception up to 2,000, cognition up to 800), not accuracies.",
        "A category of 40 questions weighs as much as one of 400.",
        "The prompt stands in the question: Please answer yes or no.",
    ),
    prompt="{question}\\nAnswer the question using a single word or phrase.",
    metric="By category the share of right questions plus that of pictures with both right; sums for perception and "
    "cognition.",
)
METADATA: frozenset[str] = frozenset({"category", "question_id"})

# eval_type_dict of utils.py; every other category is of perception's kin there and counts as cognition.
_PERCEPTION = frozenset(
    ("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR")
)
_BEGINNING = 4


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    published, category = fields.text(row, "answer"), fields.text(row, "category")
    return Example(
        id="",
        images=fields.images(row, "image"),
        question=fields.text(row, "question").strip(),
        options=(),
        gold=published.lower().strip().replace(".", ""),
        kind="text",
        rationales=(),
        source="mme",
        family=category,
        difficulty=0,
        metadata=_rows.metadata({"category": category, "question_id": _rows.word(row, "question_id")}, gold=published),
    )


def judge(item: Item) -> Outcome:
    """The verdict of lmms-eval's rule for MME."""
    said = _yes_or_no(item.reply.lower().strip().replace(".", ""))
    if said is None:
        return Outcome(False, None, "neither yes nor no")
    return Outcome(said == item.gold.lower().strip().replace(".", ""), said, "read at the beginning")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """The score of each category as a share of 200, and of perception and cognition as shares of their sums."""
    pictures: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        pictures[str(row.metadata["category"])][str(row.metadata["question_id"])].append(row.correct is True)
    scores = {}
    for category, by_picture in pictures.items():
        pairs = [hits for hits in by_picture.values() if len(hits) == 2]
        if pairs:
            questions = sum(sum(hits) for hits in pairs) / 2
            scores[category] = (questions + sum(all(hits) for hits in pairs)) / (2 * len(pairs))
    result = {}
    for name, is_perception in (("perception", True), ("cognition", False)):
        found = [score for category, score in scores.items() if (category in _PERCEPTION) is is_perception]
        if found:
            result[name] = sum(found) / len(found)
    return result | scores


def _yes_or_no(reply: str) -> str | None:
    if len(reply) == 1:
        return {"y": "yes", "n": "no"}.get(reply)
    beginning = reply if reply in ("yes", "no") else reply[:_BEGINNING]
    return "yes" if "yes" in beginning else "no" if "no" in beginning else None
