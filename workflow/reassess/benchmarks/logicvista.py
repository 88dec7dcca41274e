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

Rows: the authors' data/dataset.json, and the columns that readers of the hub's copy name (lscpku/LogicVista): `id`,
`question`, `image`, `answer` (a letter, "B, D", or a number) and `skill` (a list or its text). Most questions have
their options at the end, "(A) True (B)False"; of the others the picture has them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from reassess.benchmarks import _rows
from reassess.benchmarks._logicvista import accuracy_by_skill
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.choices import split
from reassess.sources.published import Card, Hub

VERSION = 1
# The copy that lmms-eval reads. No revision was seen in public code, and no licence on a card.
SOURCE = Hub("lscpku/LogicVista", "test", None, licence=None, rows=448)
MODALITY = "visual"
CARD = Card(
    "Questions of intelligence tests about diagrams, in five skills.",
    traps=(
        "Of a quarter of the questions the options are in the picture alone, and only the letter can be judged; where "
        "the question does not list the letters, a line is added that does.",
        "Three questions have two right letters, both of which must be named; one has the answer 3; one is empty, and "
        "put aside.",
        "The official rule asks a large model about nearly every reply, VLMEvalKit's (`rule: logicvista_vlmevalkit`) "
        "about all.",
        "Another copy (renjiepi/LogicVista) is in use too.",
    ),
    prompt="{question}",
    metric="Accuracy by the letters that a model finds in the reply, in total and by skill.",
)
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

# Letters that a question lists: "Select from A, B and C", which "Select from A-E" does not.
_LISTED = re.compile(r"\bA\b.*\bB\b", re.DOTALL)
_SHOWN = "The options have letters in the picture: A, B, C and so on."
# What a list written out as text has around its words: "['inductive']".
_SKILL = re.compile(r"[\[\]'\"]")


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    published = fields.text(row, "answer")
    question, options = split(fields.text(row, "question"))
    is_choice = not published.strip().isdecimal()
    if question and is_choice and not options and not _LISTED.search(question):
        question = f"{question}\n{_SHOWN}"
    skill = fields.texts(row, "skill")
    return Example(
        id=_rows.word(row, "id") if "id" in row else "",
        images=fields.images(row, "image"),
        question=question,
        options=options,
        gold=_rows.letters(published, options) if is_choice else published.strip(),
        kind="mcq" if is_choice else "numeric",
        rationales=(),
        source="logicvista",
        family=_SKILL.sub("", " ".join(skill)),
        difficulty=0,
        metadata=_rows.metadata({"skill": list(skill)}, gold=published),
    )


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
