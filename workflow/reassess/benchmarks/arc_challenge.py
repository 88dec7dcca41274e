"""ARC, challenge set: the reply has to be the letter and no more, up to its first full stop.

Source: EleutherAI/lm-evaluation-harness, lm_eval/tasks/arc/arc_challenge_chat.yaml (generation stops at an empty line
or a full stop; filter remove_whitespace; exact_match without case and punctuation). Its other ARC tasks compare
log-likelihoods of the options' texts, which no reply contains.

Quirks kept:
- the harness writes the beginning "The best answer is" itself, so a reply that repeats it is wrong: "B", "(b)" and
  "B. Because ..." are B, "The best answer is B" is not;
- a full stop anywhere ends the reply: "approx. B" is "approx", which is wrong;
- of the options E and later are compared as well, though the prompt names A to D alone.

Rows: the data set's card (allenai/ai2_arc, README.md) and arc_challenge_chat.yaml: `id`, `question`, `choices` (`text`
and `label`, each a list) and `answerKey`, which is one of the labels: letters, or digits from 1.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from reassess.benchmarks._choice import gold_letter, texts
from reassess.benchmarks.item import Item, Outcome
from reassess.example import Example, RowError
from reassess.prompts import letter
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
SOURCE = Hub(
    "allenai/ai2_arc",
    "test",
    "210d026faf9955653af8916fad021475a3f00453",
    licence="CC BY-SA 4.0",
    configs=("ARC-Challenge",),
    rows=1172,
)
MODALITY = "text"
CARD = Card(
    "Multiple-choice questions of school science that retrieval and word statistics get wrong.",
    traps=(
        "Published scores are mostly log-likelihoods of the options' texts, normalised by length (`acc_norm`).",
        "Options are labelled with letters in some rows and digits in others, three to five of them.",
    ),
    prompt=(
        "Given the following question and four candidate answers (A, B, C and D), choose the best answer.\\nQuestion: "
        '{question}\\nA. {A}\\nB. {B}\\nC. {C}\\nD. {D}\\nYour response should end with "The best answer is '
        '[the_answer_letter]" where the [the_answer_letter] is one of A, B, C or D.'
    ),
    metric="Accuracy.",
)
METADATA: frozenset[str] = frozenset()

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    choices, key = fields.value(row, "choices"), fields.text(row, "answerKey")
    if not isinstance(choices, Mapping) or not {"text", "label"} <= choices.keys():
        raise RowError("expected `text` and `label`", "choices")
    options, labels = texts(choices, "text"), texts(choices, "label")
    if key not in labels or len(labels) != len(options):
        raise RowError("the answer is none of the labels", "answerKey")
    return Example(
        id=fields.text(row, "id"),
        images=(),
        question=fields.text(row, "question"),
        options=options,
        gold=letter(labels.index(key)),
        kind="mcq",
        rationales=(),
        source="arc_challenge",
        family="",
        difficulty=0,
    )


def judge(item: Item) -> Outcome:
    """The verdict of the harness on generated answers."""
    said = item.reply.partition("\n\n")[0].partition(".")[0].strip()
    plain = said.translate(_NO_PUNCTUATION).lower()
    correct = plain == gold_letter(item.gold, item.options).lower()
    return Outcome(correct, said or None, "the reply up to its first full stop")
