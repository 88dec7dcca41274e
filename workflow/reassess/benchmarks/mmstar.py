"""MMStar: the gold letter must stand at one of four places at the beginning of the reply.

Source: MMStar-Benchmark/MMStar, eval/vlmeval/evaluate/mmstar.py; lmms-eval, lmms_eval/tasks/mmstar/utils.py, has the
same rule and another aggregate. VLMEvalKit asks a large model where it finds no single letter and is not followed here.

Quirks kept:
- the places are the first character, the second behind "(", the eighth behind "option " and the fifteenth behind
  "the answer is ";
- upper and lower case do not matter, and what follows the letter does not either: "A cat", "apple" and "Answer: B" are
  A, "B or C" is B, and "Could be A" is C;
- "The answer is: B", "The answer is (B)", "**B**" and "\\boxed{B}" are wrong;
- white space at the ends is removed before line breaks become spaces;
- a gold that is not one character is never matched; nothing is drawn at random or left to a model.

The summary has lmms-eval's measures (each category as the mean over its l2 categories, "average" over all l2
categories), and of MMStar's own script each "category(l2 category)" and "final score", the share of right answers; that
script divides by the full 1,500 questions, here it is by the questions there are.

Rows: the data set's card (Lin-Chen/MMStar, README.md) and what lmms-eval's utils.py reads of them: `index`, `question`,
`image`, `answer` (a letter), `category` and `l2_category`. The options stand at the end of the question: "Options: A:
red, B: blue".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reassess.benchmarks import _rows
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.choices import split
from reassess.sources.published import Card, Hub

VERSION = 1
# Its card declares no licence. The same rows are in the repository as MMStar.tsv, in the form of VLMEvalKit.
SOURCE = Hub(
    "Lin-Chen/MMStar",
    "val",
    "bc98d668301da7b14f648724866e57302778ab27",
    licence=None,
    files=("mmstar.parquet",),
    rows=1500,
)
MODALITY = "visual"
CARD = Card(
    "Choices from older benchmarks that are meant to need the picture, in 6 categories and 18 finer ones.",
    traps=(
        "The options are part of the question; where they cannot be told apart for sure they stay there.",
        'Two questions have the option "nan": what it said was lost, and they are put aside.',
        "The mean over categories (lmms-eval) and the share of right answers (the authors) are different numbers.",
        "The official rule reads the first character: The answer is (B) is wrong.",
    ),
    prompt="{question}\\nAnswer with the option's letter from the given choices directly.",
    metric="Accuracy by category, and their mean.",
)
METADATA: frozenset[str] = frozenset({"category", "l2_category"})

_PREFIXES = ("", "(", "option ", "the answer is ")


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    columns = {name: fields.text(row, name) for name in sorted(METADATA)}
    question, options = split(fields.text(row, "question"))
    published = fields.text(row, "answer")
    return Example(
        id=_rows.word(row, "index"),
        images=fields.images(row, "image"),
        question=question,
        options=options,
        gold=_rows.letters(published, options),
        kind="mcq",
        rationales=(),
        source="mmstar",
        family=columns["category"],
        difficulty=0,
        metadata=_rows.metadata(columns, gold=published),
    )


def judge(item: Item) -> Outcome:
    """The verdict of MMStar's own rule."""
    gold, reply = _plain(item.gold), _plain(item.reply)
    places = [reply[len(prefix)] for prefix in _PREFIXES if reply.startswith(prefix) and len(reply) > len(prefix)]
    if not places:
        return Outcome(False, None, "an empty reply")
    if gold in places:
        return Outcome(True, gold.upper(), "the letter at the beginning")
    return Outcome(False, places[-1].upper(), "another character at the beginning")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Accuracy per category and l2 category, their means, and over all questions."""
    if not rows:
        return {}
    levels: dict[str, dict[str, list[bool]]] = {}
    everywhere: dict[str, list[bool]] = {}
    for row in rows:
        category, level, hit = str(row.metadata["category"]), str(row.metadata["l2_category"]), row.correct is True
        levels.setdefault(category, {}).setdefault(level, []).append(hit)
        everywhere.setdefault(level, []).append(hit)
    result = {}
    for category, parts in levels.items():
        result[category] = _mean(_mean(hits) for hits in parts.values())
        result.update((f"{category}({level})", _mean(hits)) for level, hits in parts.items())
    result["average"] = _mean(_mean(hits) for hits in everywhere.values())
    result["final score"] = _mean(row.correct is True for row in rows)
    return result


def _plain(text: str) -> str:
    return text.lower().strip().replace("\n", " ")


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
