r"""OlympiadBench: boxes, or formulas of the last line, matched one by one with the answers of the gold.

Source: OpenBMB/OlympiadBench, inference/judge.py (extract_answer, judge_result) and inference/code/math_judger.py
(MathJudger). Its deterministic part; where the original would go on to compare formulas with SymPy, the verdict is
open (None).

Quirks kept:
- what follows the last "So the final answer is " on its line counts, else the whole reply;
- of it all boxes count, joined with commas; without one the formulas in dollars of its last line; else all of it;
- only what follows the first "\in " counts; "\left", "\right", dollars, "%" and "^\circ" do not, and neither do marks
  at both ends;
- the reply's answers and the gold's are split at commas outside of brackets, "\pm" gives two, and their numbers must be
  the same; the order does not matter;
- the roles are swapped in the original: the reply is its reference, so that a gold within the tolerance of the reply,
  of its hundredth or of its hundredfold is right: "500" for 5 is right;
- numbers are within 1e-8, or within the row's own `error`, which is a list for several answers;
- a box that does not close makes the reply wrong, and so does a count of tolerances that is not that of answers.

Narrower than the original: intervals and everything that is no plain number are left to SymPy.

Rows: descriptions of Hothan/OlympiadBench, configuration OE_TO_maths_en_COMP (open questions, text alone, mathematics,
English, competitions), and what judge.py reads: `id`, `question`, `solution`, `final_answer` (a list), `unit`,
`is_multiple_answer`, `answer_type`, `error`, `subfield`, and more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from reassess.benchmarks.item import Item, Outcome
from reassess.example import Example, RowError
from reassess.sources import fields
from reassess.sources.kinds import kind_of
from reassess.sources.published import Card, Hub

VERSION = 1
SOURCE = Hub(
    "Hothan/OlympiadBench",
    "train",
    "91184b52131e7fc9455fef848035173aea8cc01a",
    licence="Apache-2.0",
    files=("OlympiadBench/OE_TO_maths_en_COMP/OE_TO_maths_en_COMP.parquet",),
    rows=674,
)
MODALITY = "text"
CARD = Card(
    "Problems of mathematics olympiads in English with an answer that can be compared; the part without pictures.",
    traps=(
        "The whole benchmark has Chinese, physics, pictures and proofs as well: say which part a score is of.",
        "572 of the 674 answers are numbers, 63 expressions, 33 tuples, 6 intervals; several stand in one text.",
        "Its script takes a hundredth and a hundredfold of an answer for right.",
    ),
    prompt=(
        "The following is an open-ended problem from an International Math competition. The answer of The problem "
        "should be a numerical value. Please calculate the answer according to the given requirements and the "
        "information provided. Please use LaTeX format to represent the variables and formulas used in the solution "
        'process and results. Please end your solution with "So the final answer is \\boxed{answer}." and give the '
        "result explicitly.\\n{question}"
    ),
    metric="Accuracy: every answer of the gold is met by one of the reply.",
)
METADATA: frozenset[str] = frozenset({"answer_type", "error"})

# judge.py, extract_answer.
_STATED = re.compile(r"So the final answer is (.*)")
_BOX_OR_BRACE = re.compile(r"\\boxed\{|[{}]")
_FORMULA = re.compile(r"\$(.*?)\$")
# math_judger.py, special_signal_map: replaced one after the other.
_REPLACED = (
    ("\\left", ""),
    ("\\right", ""),
    ("∶", ":"),
    ("，", ","),
    ("$", ""),
    ("\\approx", "="),
    ("\\simeq", "="),
    ("\\sim", "="),
    ("^\\prime", "'"),
    ("^{\\prime}", "'"),
    ("^\\circ", ""),
    ("%", ""),
)
_ENDS = "\n$,.:;^_=+`!@#$%^&*~，。"
_UPRIGHT = re.compile(r"\\(?:mathrm|mathbf)\{~?([^}]*)\}")
_CHINESE = re.compile(r"[\u4e00-\u9fff]+")
_TOLERANCE = 1e-8
# math_judger.py, numerical_equal: slack for rounding.
_SLACK = 1.01


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    golds = fields.texts(row, "final_answer")
    if len(golds) != 1:
        raise RowError("not one text with the answers", "final_answer")
    gold = golds[0].strip()
    if len(gold) > 1 and gold[0] == gold[-1] == "$" and "$" not in gold[1:-1]:
        gold = gold[1:-1].strip()
    metadata = {column: fields.text(row, column) for column in ("answer_type", "error", "unit")}
    return Example(
        id=f"olympiadbench-{fields.answer(row, 'id')}",
        images=(),
        question=fields.text(row, "question"),
        options=(),
        gold=gold,
        kind=kind_of(gold),
        rationales=(),
        source="olympiadbench",
        family=fields.text(row, "subfield"),
        difficulty=0,
        metadata=json.dumps(metadata, ensure_ascii=False),
    )


def judge(item: Item) -> Outcome:
    """The verdict of the benchmark's own script; None where it takes SymPy."""
    stated = _STATED.findall(item.reply)
    said = stated[-1].strip() if stated else item.reply
    reply, gold = _answers(said), _answers(item.gold)
    if reply is None or gold is None:
        return Outcome(False, None, "a box does not close")
    if reply == gold:
        return Outcome(True, reply, "equal texts")
    left, right = _split(reply), _split(gold)
    if len(left) != len(right):
        return Outcome(False, reply, "not as many answers as the gold")
    tolerances = _tolerances(item.metadata, len(left))
    if tolerances is None:
        return Outcome(None, reply, "left to sympy")
    return Outcome(_matched(left, right, tolerances), reply, "answers matched one by one")


def _answers(text: str) -> str | None:
    """The answers of a text, as the script compares them; None where a box does not close."""
    boxes = _boxes(text)
    if boxes is None:
        return None
    found = ",".join(boxes)
    if not found:
        formulas = _FORMULA.findall(text.strip().split("\n")[-1])
        found = ",".join(formulas) or text
    found = found.split("\\in ")[1] if "\\in " in found else found
    for old, new in _REPLACED:
        found = found.replace(old, new)
    return _UPRIGHT.sub(r"\1", found.strip(_ENDS))


def _boxes(text: str) -> list[str] | None:
    """The contents of all boxes in their order, one inside another as well; None where one does not close."""
    opened: list[tuple[bool, int]] = []
    found: dict[int, str] = {}
    for brace in _BOX_OR_BRACE.finditer(text):
        if brace[0] != "}":
            opened.append((brace[0] != "{", brace.end()))
        elif opened:
            is_box, start = opened.pop()
            if is_box:
                found[start] = text[start : brace.start()]
    return None if any(is_box for is_box, _ in opened) else [found[start] for start in sorted(found)]


def _split(text: str) -> list[str]:
    """The answers of a text, split at commas outside of brackets; one with a sign of plus and minus is two."""
    parts, depth, start = [], 0, 0
    text = _CHINESE.sub("", text)
    for place, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    parts += [text[start:].strip()] if start < len(text) else []
    return [part.replace("\\pm", sign) for part in parts for sign in ("+-" if "\\pm" in part else "+")]


def _tolerances(metadata: Mapping[str, Any], count: int) -> list[float] | None:
    """A tolerance for each answer; None where the row has another number of them."""
    error = "" if "Tuple" in str(metadata["answer_type"]) else str(metadata["error"] or "")
    try:
        found = [float(part) if part.strip() else _TOLERANCE for part in error.split(",")]
    except ValueError:
        return None
    if len(found) == 1:
        return found * count
    return found if len(found) == count else None


def _matched(left: list[str], right: list[str], tolerances: list[float]) -> bool | None:
    """Whether each of the reply's answers is one of the gold's; None where only a formula could decide."""
    is_open = False
    remaining = list(right)
    for said, tolerance in zip(left, tolerances, strict=True):
        verdicts = [_equal(said, gold, tolerance) for gold in remaining]
        if True in verdicts:
            del remaining[verdicts.index(True)]
        elif None in verdicts:
            is_open = True
        else:
            return False
    return None if is_open else True


def _equal(said: str, gold: str, tolerance: float) -> bool | None:
    if said == gold and said:
        return True
    try:
        number, reference = float(gold), float(said)
    except ValueError:
        return None
    near = (reference / 100, reference, reference * 100)
    return any(abs(value - number) <= tolerance * _SLACK for value in near)
