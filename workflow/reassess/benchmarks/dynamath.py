"""DynaMath: the short answer of a JSON reply, by its answer type; average and worst case over a question's variants.

Source: open-compass/VLMEvalKit, vlmeval/dataset/dynamath.py, which most published results come from and which alone
says what happens to a reply that is no JSON. The scripts of DynaMath/DynaMath (evaluation/opensource_json_eval.py and
one for each vendor) differ: they ask no model but leave such replies to a person or take the last line, a choice of
several characters is right where the reference is among its first three, and in a text the reference must stand in the
answer, by case. lmms-eval (lmms_eval/tasks/dynamath) has another prompt and its own scorer.

Quirks kept:
- the JSON reaches from the first "{" to the last "}", and loses every backslash before it is read;
- a short answer that is no string, or cannot be read as its type, gives way to the reply as a whole;
- a model is asked only where that cannot be read either;
- a float is the part before the first blank; of "2π/3" the part before π counts, so that it is 2π; "π" alone is none;
- a float is right within 0.001 of the reference, the limit included;
- a choice is a single character, or else a text in which exactly one of the letters A to E occurs, in any word;
- where the model's answer names no choice either, the reference among the reply's first three characters is right;
- every other type is right where the answer stands in the reference without regard to case: an empty one always does;
- a None counts as wrong in both means, and a question is right in the worst case only if all its variants are.

The official code fails on a short answer that is no string where the type is text, and on a float's reference that is
no number; the outcome is None there. A float of superscript digits, on which it fails too, is read as none.

Rows: what readers of the hub's copy name (kcz358/DynaMath; lmms-eval, lmms_eval/tasks/dynamath) and the authors'
dataset/dataset.json: `id` (of the seed question, `qid` in VLMEvalKit), `question_id` (of the row), `question`,
`decoded_image` (`image` is a path), `ground_truth`, `answer_type`, `subject` and `knowledge_level`. Options stand in
the question: "choice: (A) Yes (B) No".
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reassess.benchmarks import _rows
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.choices import split
from reassess.sources.published import Card, Hub

VERSION = 1
# The copy that lmms-eval reads. One public project pins this commit, and counts as many rows. The licence is that of
# the authors' repository.
SOURCE = Hub("kcz358/DynaMath", "test", "c72be604052511aa6f2e94164139f8a2e801bd33", licence="MIT", rows=5010)
MODALITY = "visual"
CARD = Card(
    "501 questions, each as ten variants with other numbers, functions or figures.",
    traps=(
        "The ten variants of a question are not independent; the worst case needs all of them.",
        "Numbers are computed ones, printed in full (-15.700000000000001), and right within 0.001.",
        "By the official rule an empty answer to a text question is right.",
    ),
    prompt="## Question\\n {question} ... Your response should adhere to the following JSON format, which includes two "
    "keys: 'solution' and 'short answer'. ... (numbers with three decimals)",
    metric="Accuracy over all rows, and over questions all ten variants of which are right.",
)
METADATA: frozenset[str] = frozenset({"answer_type", "qid"})

# VLMEvalKit, DynaMath_auxeval.
_TOLERANCE = 0.001
_LETTERS = "ABCDE"
_GROUPS = (("subject", "Subject"), ("knowledge_level", "Level"))


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    published, type_ = fields.text(row, "ground_truth"), fields.text(row, "answer_type")
    is_choice = type_ == "multiple choice"
    asked = fields.text(row, "question")
    question, options = split(asked) if is_choice else (asked, ())
    groups = {name: fields.text(row, name) for name, _ in _GROUPS}
    return Example(
        id=_rows.word(row, "question_id"),
        images=fields.images(row, "decoded_image"),
        question=question,
        options=options,
        gold=_rows.letters(published, options) if is_choice else published.strip(),
        kind="mcq" if is_choice else _rows.number_or_math(published),
        rationales=(),
        source="dynamath",
        family=groups["subject"],
        difficulty=0,
        metadata=_rows.metadata({"answer_type": type_, "qid": _rows.word(row, "id"), **groups}, gold=published),
    )


def judge(item: Item) -> Outcome:
    """Follow DynaMath_auxeval; `model_answer` is the answer to its prompt for a short answer."""
    kind = str(item.metadata["answer_type"])
    text = _json_part(item.reply)
    stated = _short_answer(text)
    if stated is not None and not isinstance(stated, str) and kind not in ("float", "multiple choice"):
        return Outcome(None, None, "a short answer that is no string")
    answer, how = _parse(stated, kind) if isinstance(stated, str) else None, "the short answer"
    if answer is None:
        answer, how = _parse(text, kind), "the whole reply"
    if answer is None:
        if item.model_answer is None:
            return Outcome(None, None, "a model shortens the reply")
        answer, how = _parse(item.model_answer, kind), "shortened by a model"
    if kind == "float":
        return _score_float(answer, item.gold, how)
    if answer is None:
        return Outcome(item.gold in text[:3].upper(), None, "the first three characters")
    if kind == "multiple choice":
        return Outcome(answer == item.gold, str(answer), how)
    return Outcome(str(answer).lower() in item.gold.lower(), str(answer), how)


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Accuracy over variants ("Average") and over questions ("Worst Case"), under VLMEvalKit's names.

    The columns `subject` and `knowledge_level` give further groups where they are present.
    """
    variants: dict[str, list[bool]] = defaultdict(list)
    questions: dict[str, dict[Any, bool]] = defaultdict(dict)
    for row in rows:
        correct, question = row.correct is True, row.metadata["qid"]
        for measure in _measures(row):
            variants[measure].append(correct)
            questions[measure][question] = questions[measure].get(question, True) and correct
    average = {f"Setting=Average|{name}": sum(values) / len(values) for name, values in variants.items()}
    worst = {f"Setting=Worst Case|{name}": sum(of.values()) / len(of) for name, of in questions.items()}
    return average | worst


def _measures(row: Row) -> Iterator[str]:
    yield "Overall"
    for column, name in _GROUPS:
        if column in row.metadata:
            yield f"{name}-{row.metadata[column]}"


def _json_part(reply: str) -> str:
    start, end = reply.find("{"), reply.rfind("}")
    return (reply[start : end + 1] if 0 <= start < end else reply).replace("\\", "")


def _short_answer(text: str) -> object:
    try:
        content = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return content.get("short answer") if isinstance(content, dict) else None


def _parse(answer: str, kind: str) -> str | float | None:
    """The answer as its type has it, None where it cannot be read as that."""
    if kind == "float":
        return _float(answer)
    if kind != "multiple choice":
        return answer
    upper = answer.upper()
    if len(answer) == 1:
        return upper
    found = [letter for letter in _LETTERS if letter in upper]
    return found[0] if len(found) == 1 else None


def _float(answer: str) -> float | None:
    number = answer if answer.isdigit() else answer.split(" ")[0]
    try:
        return float(number.split("π")[0]) * math.pi if "π" in number else float(number)
    except ValueError:
        return None


def _score_float(answer: str | float | None, gold: str, how: str) -> Outcome:
    if answer is None:
        return Outcome(False, None, "no number")
    try:
        difference = abs(float(answer) - float(gold))
    except ValueError:
        return Outcome(None, str(answer), "a reference that is no number")
    return Outcome(difference <= _TOLERANCE, str(answer), how)
