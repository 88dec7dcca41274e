r"""Minerva Math (OCWCourses): equal texts, or numbers within one part in 10,000; formulas are left open.

Source: QwenLM/Qwen2.5-Math, evaluation/parser.py (extract_answer) and evaluation/grader.py (math_equal), which most
papers that report this benchmark use. Its deterministic part; where the original would go on to SymPy, the verdict is
open (None).

Quirks kept:
- the answer is what stands in "final answer is $...$. I hope", else what follows the last "boxed", else the last "he
  answer is", else the last number of the reply;
- behind "boxed" braces need not close, and without any all up to the next dollar counts;
- one full stop and then one slash at the end are removed;
- a number is right within 1e-4 of the gold, and within that of its hundredth and of its hundredfold: "45" for 0.45 is;
- a trailing "%" divides by 100, commas are removed;
- texts are compared without case.

Narrower than the original: words for numbers, and its removal of units and of LaTeX that decides nothing, are left out;
what these would make equal is open.

Rows: descriptions of math-ai/minervamath (test.jsonl) and what evaluation code reads of it: `question` and `answer`
(a number or a formula, without a unit in most); they have no id.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from reassess.benchmarks.item import Item, Outcome
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.kinds import kind_of
from reassess.sources.published import Card, Hub

VERSION = 1
SOURCE = Hub(
    "math-ai/minervamath",
    "test",
    "ee46ddc498933b1977577953250ca5c66be64f96",
    licence=None,
    files=("test.jsonl",),
    rows=272,
)
MODALITY = "text"
CARD = Card(
    "Problems of undergraduate science courses (OCWCourses of the Minerva paper): a number or a formula.",
    traps=(
        "It is not the `minerva_math` of lm-evaluation-harness, which is MATH asked with Minerva's prompt.",
        "Answers with a power of ten and a unit make scripts disagree: the tolerance is relative, and some have none.",
    ),
    prompt="{question}\\nPlease reason step by step, and put your final answer within \\boxed{}.",
    metric="Accuracy: equal as text, as number within 1e-4, or by SymPy.",
)
METADATA: frozenset[str] = frozenset()

_CLOSENESS = 1e-4
_NUMBER = re.compile(r"-?\d*\.?\d+")


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    gold = fields.answer(row, "answer").strip()
    return Example(
        id="",
        images=(),
        question=fields.text(row, "question"),
        options=(),
        gold=gold,
        kind=kind_of(gold),
        rationales=(),
        source="minervamath",
        family="",
        difficulty=0,
    )


def judge(item: Item) -> Outcome:
    """The verdict of Qwen2.5-Math's scripts; None where it takes SymPy."""
    said, gold = _stated(item.reply), item.gold.strip()
    if not said:
        return Outcome(False, None, "no answer")
    if said.lower() == gold.lower():
        return Outcome(True, said, "equal texts")
    number, reference = _number(said), _number(gold)
    if number is None or reference is None:
        return Outcome(None, said, "left to sympy")
    near = (reference / 100, reference, reference * 100)
    correct = any(math.isclose(value, number, rel_tol=_CLOSENESS) for value in near)
    return Outcome(correct, said, "numbers within 1e-4" if correct else "numbers not within 1e-4")


def _stated(reply: str) -> str:
    if "final answer is $" in reply and "$. I hope" in reply:
        found = reply.split("final answer is $", 1)[1].split("$. I hope", 1)[0]
    elif "boxed" in reply:
        found = _boxed(reply.rpartition("boxed")[2])
    elif "he answer is" in reply:
        found = reply.rpartition("he answer is")[2]
    else:
        found = (_NUMBER.findall(reply.replace(",", "")) or [""])[-1]
    found = re.sub(r"\n\s*", "", found.strip()).removeprefix(":")
    return found.removesuffix(".").removesuffix("/").strip().strip("$").strip()


def _boxed(text: str) -> str:
    if not text.startswith("{"):
        return text.partition("$")[0]
    depth = 0
    for brace in re.finditer("[{}]", text):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[1 : brace.start()]
    return text[1:]


def _number(text: str) -> float | None:
    text = text.replace(",", "")
    try:
        return float(text)
    except ValueError:
        pass
    if not text.endswith("%"):
        return None
    try:
        return float(text[:-1].removesuffix("\\")) / 100
    except ValueError:
        return None
