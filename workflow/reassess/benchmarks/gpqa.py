"""GPQA: the letter behind the first "Answer:".

Source: openai/simple-evals, gpqa_eval.py and common.py (ANSWER_PATTERN_MULTICHOICE). The harness's own GPQA tasks
(EleutherAI/lm-evaluation-harness, lm_eval/tasks/gpqa) use log-likelihoods or "The answer is (X)" and are other rules.
simple-evals draws the order of the options for every question and repeat, here the order is the data's. Its score is
the plain accuracy, so there is no summary.

Quirks kept:
- the first "Answer:" with a letter behind it counts, however the reply goes on;
- "answer" may be in any case, but a small letter is wrong: "Answer: b" reads "b", which is not "B";
- only spaces, tabs and one dollar sign may stand before the letter: "**Answer:** B", "Answer: (B)",
  "Answer: \\boxed{B}" and a letter on the next line name nothing, "**Answer: B**" and "Answer: $B$" do;
- nothing has to end behind the letter: "Answer: Because" is B, and "Answer: about 5" reads "a", which is wrong;
- a reply that names nothing is wrong, and a letter beyond D is nothing;
- of options with the same text the first is right.
"""

from __future__ import annotations

import re

from reassess.benchmarks._choice import gold_letter
from reassess.benchmarks.item import Item, Outcome

METADATA: frozenset[str] = frozenset()

# common.py, ANSWER_PATTERN_MULTICHOICE; the optional dollar sign behind the letter decides nothing.
_ANSWER = re.compile(r"Answer[ \t]*:[ \t]*\$?([A-D])", re.IGNORECASE)


def judge(item: Item) -> Outcome:
    """The verdict of simple-evals on GPQA."""
    match = _ANSWER.search(item.reply)
    if match is None:
        return Outcome(False, None, "no letter behind Answer:")
    return Outcome(match[1] == gold_letter(item.gold, item.options), match[1], "the letter behind the first Answer:")
