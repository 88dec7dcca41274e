r"""MMLU-Pro: the letter behind "answer is", then the one behind "Answer:", then the last capital letter A to J.

Source: TIGER-AI-Lab/MMLU-Pro, evaluate_from_local.py (extract_answer, extract_again, extract_final, save_res);
evaluate_from_api.py has the same rule but takes "**" off the reply first. EleutherAI/lm-evaluation-harness,
lm_eval/tasks/mmlu_pro (custom-extract), has the first step only and calls everything else wrong; the reason says so.

Quirks kept:
- the first "answer is X" or "answer is (X)" counts, in just this case: "The answer is B, no, the answer is C" is B, and
  "ANSWER IS B" is not read;
- nothing has to end behind the letter: "the answer is Indeed C" is I;
- "answer is: B", "answer is **B**" and "answer is\nB" are not read by the first step;
- "Answer: X" or "answer: X": in the first line that has one the last counts, white space and line breaks may follow the
  colon, "(B)" may not;
- last, the last of A to J that stands alone as a word, which the article "A" and the pronoun "I" do too (an older form
  of the script took capital letters inside of words);
- letters are A to J however many options there are;
- a reply without such a letter gets an option at random, always the same draw (seed 12345): None here.

The summary has the script's measures, "accu" of every category and of all questions ("total"); undecided replies count
as wrong there, while the script gives them their one draw.

Rows: the data set's card (TIGER-Lab/MMLU-Pro, README.md) and what evaluate_from_local.py reads: `question_id`,
`question`, `options` (up to ten; the script leaves out "N/A"), `answer` (a letter), `answer_index`, `cot_content`,
`category` and `src`.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from reassess.benchmarks._choice import chosen, gold_letter, texts
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
SOURCE = Hub("TIGER-Lab/MMLU-Pro", "test", "b189ec765aa7ed75c8acfea42df31fdae71f97be", licence="MIT", rows=12032)
MODALITY = "text"
CARD = Card(
    "Multiple-choice questions of 14 categories with up to ten options.",
    traps=(
        "Where a reply names no letter the script draws one at random, which adds about a tenth of those.",
        'The last letter that stands alone counts, which the article "A" and the pronoun "I" do too.',
    ),
    prompt=(
        "The following are multiple choice questions (with answers) about {category}. Think step by step and then "
        'finish your answer with "the answer is (X)" where X is the correct letter choice. (Five worked examples '
        "follow.)"
    ),
    metric="Accuracy over all questions, and of each category.",
)
METADATA: frozenset[str] = frozenset({"category"})

# evaluate_from_local.py; a closing parenthesis behind the letter decides nothing.
_STATED = re.compile(r"answer is \(?([A-J])")
# The letter is looked ahead to, because the one behind "Answer:" may begin another "Answer:".
_MARKED = re.compile(r"[aA]nswer:(?=\s*([A-J]))")
_ALONE = re.compile(r"\b[A-J]\b")


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    options, category = texts(row, "options"), fields.text(row, "category")
    while options and options[-1] == "N/A":
        options = options[:-1]
    return Example(
        id=f"mmlu_pro-{fields.answer(row, 'question_id')}",
        images=(),
        question=fields.text(row, "question"),
        options=options,
        gold=chosen(row, "answer_index", options),
        kind="mcq",
        rationales=(),
        source="mmlu_pro",
        family=category,
        difficulty=0,
        metadata=json.dumps({"category": category}, ensure_ascii=False),
    )


def judge(item: Item) -> Outcome:
    """The verdict of MMLU-Pro's own script."""
    gold = gold_letter(item.gold, item.options)
    stated = _STATED.search(item.reply)
    if stated:
        return Outcome(stated[1] == gold, stated[1], 'the letter behind the first "answer is"')
    letter, found = _marked(item.reply), "the letter behind Answer:"
    if letter is None:
        last = deque(_ALONE.finditer(item.reply), maxlen=1)
        if not last:
            return Outcome(None, None, "no letter: the script draws one; lm-evaluation-harness: wrong")
        letter, found = last[0][0], "the last letter that stands alone"
    return Outcome(letter == gold, letter, f"{found}; lm-evaluation-harness: wrong")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Accuracy of each category and over all questions."""
    hits: dict[str, list[bool]] = {}
    for row in rows:
        hits.setdefault(str(row.metadata["category"]), []).append(row.correct is True)
    result = {category: sum(part) / len(part) for category, part in sorted(hits.items())}
    if rows:
        result["total"] = sum(row.correct is True for row in rows) / len(rows)
    return result


def _marked(reply: str) -> str | None:
    letter, end = None, 0
    for match in _MARKED.finditer(reply):
        if letter is None:
            end = reply.find("\n", match.start())
        if end >= 0 and match.start() > end:
            break
        letter = match[1]
    return letter
