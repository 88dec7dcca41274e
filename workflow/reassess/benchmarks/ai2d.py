"""AI2D: a dotted capital letter at the beginning of the reply, else the whole reply, compared with the letter.

Source: lmms-eval, lmms_eval/tasks/ai2d/ai2d.yaml (filter "flexible-extract", metric exact_match without case and
punctuation), utils.py (MultiChoiceRegexFilter, target "mcq"), api/task.py (replies are stripped); huggingface/evaluate,
metrics/exact_match/exact_match.py.

Quirks kept:
- the filter's documentation and its regex_pattern in the yaml promise more, but its code reads only white space, one
  capital letter and a full stop at the very beginning; option texts are never looked at;
- behind that letter anything may follow: "A. no, C" is A, and "B.5" is B;
- otherwise the whole reply must be the letter but for case and ASCII punctuation: "(b)", "**B**" and "$B$" are right,
  "B) root", "B root", "The answer is B" and "b. root" are wrong;
- spaces inside are kept, so "( B )" and "B ." are wrong;
- punctuation that is not ASCII stays, so "（B）" and "B。" are wrong;
- the gold is the option's index; a negative one counts from the end, as in Python.

Decided here: a gold that is no index but the letter of an option is that letter; any other is None, where the original
would fail. The result is the plain accuracy, so there is no summary.

Rows: lmms-eval's ai2d.yaml and utils.py, of the copy lmms-lab-encoder/ai2d: `question`, `options` (a list), `answer`
(the index of an option, as text) and `image`; they have no id.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any

from reassess.benchmarks import _rows
from reassess.benchmarks._letters import lettered
from reassess.benchmarks.item import Item, Outcome
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
# Its card declares no licence. The data set was lmms-lab/ai2d before, at the same commit.
SOURCE = Hub("lmms-lab-encoder/ai2d", "test", "c83a9b9692933aff8349157c88a413df9d02c4e5", licence=None, rows=3088)
MODALITY = "visual"
CARD = Card(
    "Choices about diagrams of school science.",
    traps=(
        "The right answer is an index from 0, written as text.",
        "Here letters cover the labels in the pictures. On the other copy (Efficient-Large-Model/ai2d-no-mask) they do "
        "not, and scores differ.",
    ),
    prompt="{question}\\nA. {option} ...\\nAnswer with the option's letter from the given choices directly.",
    metric="Accuracy over all questions.",
)
METADATA: frozenset[str] = frozenset()

_LETTER = re.compile(r"\s*([A-Z])\.")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    published, options = fields.text(row, "answer"), _rows.options(row, "options")
    index = published.strip()
    gold = _rows.letter_of(int(index), options, "answer") if index.isascii() and index.isdecimal() else index
    return Example(
        id="",
        images=fields.images(row, "image"),
        question=fields.text(row, "question"),
        options=options,
        gold=gold,
        kind="mcq",
        rationales=(),
        source="ai2d",
        family="",
        difficulty=0,
        metadata=_rows.metadata({}, gold=published),
    )


def judge(item: Item) -> Outcome:
    """The verdict of lmms-eval's rule for AI2D."""
    gold = _letter(item.gold, list(lettered(item.options)))
    if gold is None:
        return Outcome(None, None, "the gold is no option")
    match = _LETTER.match(item.reply)
    if match:
        return Outcome(match[1] == gold, match[1], "the letter at the beginning")
    answer = item.reply.strip().lower().translate(_NO_PUNCTUATION)
    correct = answer == gold.lower()
    return Outcome(correct, gold if correct else None, "the whole reply")


def _letter(gold: str, letters: list[str]) -> str | None:
    try:
        return letters[int(gold)]
    except IndexError:
        return None
    except ValueError:
        return gold if gold in letters else None
