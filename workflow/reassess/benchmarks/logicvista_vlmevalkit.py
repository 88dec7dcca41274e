"""LogicVista in VLMEvalKit: a large model names the letters of the reply's choices, which must be those of the gold.

Source: VLMEvalKit, vlmeval/dataset/utils/logicvista.py (LogicVista_auxeval, evaluate_logicvista) at 01d984e0; the
benchmark's own rule is `reassess.benchmarks.logicvista`.

Quirks kept:
- every reply goes to the model, an empty one and a single letter too;
- the model's answer counts where it is one run of ASCII letters and digits, or single letters and digits separated by
  white space, commas and semicolons; else it is asked again, up to five times, and then wrong;
- a single word such as "None" is read as the run of its letters, and "Z" is the answer that names nothing;
- case and order do not matter, repetition does: "CA" and "a, c" are "A, C", "AAC" is not;
- the gold is read in the same way; an empty one, or one with a full stop, is never matched.

An earlier form, at 39494d28, took only capital letters without separators, asked again for anything else, and cut the
gold at ", ": there the gold "3" is never matched, and after the answer "A, C" the model is asked again, where here it
counts. Numbers published with that form may differ from these.

The summary's skills are substrings of the column `skill`; a skill that no row has is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reassess.benchmarks._logicvista import accuracy_by_skill
from reassess.benchmarks.item import Item, Outcome, Row

METADATA: frozenset[str] = frozenset()

# evaluate_logicvista.
_SKILLS = {
    "Overall": "",
    "inductive": "inductive",
    "deductive": "deductive",
    "numerical": "numerical",
    "spatial": "spatial",
    "mechanical": "mechanical",
}
_RUN = re.compile(r"[A-Za-z0-9]+")
_SEPARATORS = re.compile(r"[\s,;]+")


def judge(item: Item) -> Outcome:
    """The verdict of VLMEvalKit's rule."""
    if item.model_answer is None:
        return Outcome(None, None, "a model is asked")
    chosen = _normalized(item.model_answer)
    if chosen is None:
        return Outcome(None, None, "the model is asked again: its answer is more than letters")
    return Outcome(chosen == _normalized(item.gold), chosen.upper(), "the model's answer")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Accuracy overall and per skill."""
    return accuracy_by_skill(rows, _SKILLS)


def _normalized(text: str) -> str | None:
    """The sorted letters and digits of an answer, None where it is not made of them alone."""
    text = text.strip()
    if not _RUN.fullmatch(text):
        choices = _SEPARATORS.split(text)
        if any(len(choice) != 1 or not choice.isalnum() for choice in choices):
            return None
        text = "".join(choices)
    return "".join(sorted(text.lower()))
