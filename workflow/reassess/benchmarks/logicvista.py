"""LogicVista, its own scripts: GPT-4 lists the choices that a reply made, which must be those of the gold.

Source: Yijia-Xiao/LogicVista, eval/extract_accuracy.py, extract_accuracy_new.py (same rule) and analyze_accuracy.py;
langchain, output_parsers/pydantic.py, for what is read from the model's answer. VLMEvalKit's rule is
`reassess.benchmarks.logicvista_vlmevalkit`.

Quirks kept:
- of a reply with "ASSISTANT:" only what stands between the first and the next one counts;
- a single letter beyond E is wrong without a model, "G" for "G" too, and so is a single character that is no letter and
  no number;
- any other reply that is not empty goes to the model, a mere "C" too;
- an empty reply is compared as it is, so it is right for the one gold that is empty;
- the model's answer must hold an object with a list of texts named "choices", from the first "{" to the last "}"; one
  that does not is wrong, as the repaired output of the original's further attempts is never used;
- choices are compared as sorted lists, in lower case, nothing removed: "C." is not "C", ["AC"] is not ["A", "C"], and
  a choice named twice is one too many;
- the gold is cut at ", " and nowhere else.

The summary's skills are substrings of the column `skill`; the accuracies by the column `capability`, which later
versions of the data renamed, are left out, and so is a skill that no row has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from reassess.benchmarks._logicvista import accuracy_by_skill
from reassess.benchmarks.item import Item, Outcome, Row

METADATA: frozenset[str] = frozenset()

# analyze_accuracy.py.
_SKILLS = {
    "Total": "",
    "Inductive": "inductive",
    "Deductive": "deductive",
    "Numerical": "numerical",
    "Spatial": "spatial",
    "Mechanical": "mechanical",
}


def judge(item: Item) -> Outcome:
    """The verdict of the benchmark's own scripts."""
    reply = item.reply
    if "ASSISTANT:" in reply:
        reply = reply.split("ASSISTANT:")[1]
    reply = reply.strip()
    if not reply:
        return _compare([""], item.gold, "an empty reply")
    if len(reply) == 1 and _is_no_choice(reply):
        return Outcome(False, None, "a single character that is no choice")
    if item.model_answer is None:
        return Outcome(None, None, "a model is asked")
    choices = _choices(item.model_answer)
    if choices is None:
        return Outcome(False, None, "no choices in the model's answer")
    return _compare(choices, item.gold, "the model's answer")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Accuracy in total and per skill."""
    return accuracy_by_skill(rows, _SKILLS)


def _is_no_choice(character: str) -> bool:
    if character.isalpha():
        return character.lower() not in "abcde"
    return not character.isnumeric()


def _choices(text: str) -> list[str] | None:
    try:
        value = json.loads(text[text.find("{") : text.rfind("}") + 1], strict=False)
    except (ValueError, RecursionError):
        return None
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        return None
    return choices


def _compare(choices: Sequence[str], gold: str, source: str) -> Outcome:
    chosen = sorted(choice.lower() for choice in choices)
    correct = chosen == sorted(gold.lower().split(", "))
    return Outcome(correct, ", ".join(choices) or None, source)
