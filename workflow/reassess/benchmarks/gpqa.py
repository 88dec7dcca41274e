"""GPQA: the letter behind the first "Answer:".

Source: openai/simple-evals, gpqa_eval.py and common.py (ANSWER_PATTERN_MULTICHOICE). The harness's own GPQA tasks
(EleutherAI/lm-evaluation-harness, lm_eval/tasks/gpqa) use log-likelihoods or "The answer is (X)" and are other rules.
simple-evals draws the order of the options for every question and repeat; here it is drawn once, from the question
itself, so that it is the same in every study. Its score is the plain accuracy, so there is no summary.

Quirks kept:
- the first "Answer:" with a letter behind it counts, however the reply goes on;
- "answer" may be in any case, but a small letter is wrong: "Answer: b" reads "b", which is not "B";
- only spaces, tabs and one dollar sign may stand before the letter: "**Answer:** B", "Answer: (B)",
  "Answer: \\boxed{B}" and a letter on the next line name nothing, "**Answer: B**" and "Answer: $B$" do;
- nothing has to end behind the letter: "Answer: Because" is B, and "Answer: about 5" reads "a", which is wrong;
- a reply that names nothing is wrong, and a letter beyond D is nothing;
- of options with the same text the first is right.

Rows: simple-evals, gpqa_eval.py, and lm_eval/tasks/gpqa: `Question`, `Correct Answer` and `Incorrect Answer 1` to `3`,
among many more columns. The order of the options is kept in the metadata, as places in that list.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Mapping
from typing import Any

from reassess.benchmarks._choice import gold_letter
from reassess.benchmarks.item import Item, Outcome
from reassess.example import Example
from reassess.prompts import letter
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
SOURCE = Hub(
    "Idavidrein/gpqa",
    "train",
    "633f5ee89ab8ad4522a9f850766b73f62147ffdd",
    licence="CC-BY-4.0",
    files=("gpqa_diamond.csv",),
    rows=198,
)
MODALITY = "text"
CARD = Card(
    "Multiple-choice questions of biology, physics and chemistry by experts: the 198 of the part `diamond`.",
    traps=(
        "It is gated: accept its terms on the hub with your account, and set HF_TOKEN.",
        "The right answer has a column of its own, so whoever asks has to shuffle: scores differ by the draw.",
        "Its authors ask not to show its questions in plain text or pictures online: keep an audit of it to yourself.",
    ),
    prompt=(
        "Answer the following multiple choice question. The last line of your response should be of the following "
        "format: 'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before "
        "answering.\\n\\n{Question}\\n\\nA) {A}\\nB) {B}\\nC) {C}\\nD) {D}"
    ),
    metric="Accuracy.",
)
METADATA: frozenset[str] = frozenset()

# common.py, ANSWER_PATTERN_MULTICHOICE; the optional dollar sign behind the letter decides nothing.
_ANSWER = re.compile(r"Answer[ \t]*:[ \t]*\$?([A-D])", re.IGNORECASE)


_ANSWERS = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    question = fields.text(row, "Question").strip()
    answers = [fields.answer(row, column).strip() for column in _ANSWERS]
    seed = hashlib.sha256("\x1f".join([question, *answers]).encode()).hexdigest()
    order = list(range(len(answers)))
    random.Random(seed).shuffle(order)
    return Example(
        id="",
        images=(),
        question=question,
        options=tuple(answers[place] for place in order),
        gold=letter(order.index(0)),
        kind="mcq",
        rationales=(),
        source="gpqa",
        family="",
        difficulty=0,
        metadata=json.dumps({"order": order}),
    )


def judge(item: Item) -> Outcome:
    """The verdict of simple-evals on GPQA."""
    match = _ANSWER.search(item.reply)
    if match is None:
        return Outcome(False, None, "no letter behind Answer:")
    return Outcome(match[1] == gold_letter(item.gold, item.options), match[1], "the letter behind the first Answer:")
