"""EMMA, Fast-eval: what is read from a reply, and what it equals."""

from __future__ import annotations

import pytest

from reassess.benchmarks import emma
from reassess.benchmarks.item import Item, Row

PARTS = ("red", "blue", "$\\frac{1}{2}$")

CASES = [
    # reply, gold, correct, why
    ("B", "B", True, "a letter"),
    ("b", "B", True, "a small letter"),
    ("B", "b", True, "a small letter in the gold"),
    ("B: blue", "B", True, "a letter and a colon"),
    ("B. blue", "B", True, "a letter and a full stop"),
    ("A. no, B", "A", True, "the letter at the beginning"),
    ("(B)", "B", False, "a letter in parentheses is not read"),
    ("26", "26", True, "a number"),
    ("26.001", "26", True, "two decimals"),
    ("26.01", "26", False, "beyond them"),
    ("So \\boxed{B}", "B", True, "a box"),
    ("\\boxed{A} or \\boxed{B}", "B", True, "the last box"),
    ("\\boxed{\\text{B} }", "B", True, "a text in the box"),
    ("\\boxed{blue}", "B", True, "the option's text"),
    ("\\boxed{0.5}", "C", True, "the option's value"),
    ("\\boxed{\\frac{1}{2}}", "0.5", True, "a value"),
    ("The answer is B", "B", True, "a phrase"),
    ("The correct answer is\nB.", "B", True, "a phrase and a line break"),
    ("The answer is 3.14", "3", True, "cut at the full stop"),
    ("The answer is 3.14", "3.14", False, "so that decimals are lost"),
    ("answer is A. The final answer is B", "B", True, "the first phrase of the list, not of the reply"),
    ("It is B", "B", False, "no phrase"),
    ("", "B", False, "an empty reply"),
    ("", "", True, "nothing equals an empty gold"),
]


@pytest.mark.parametrize(("reply", "gold", "correct", "why"), CASES, ids=[case[3] for case in CASES])
def test_verdict(reply: str, gold: str, correct: bool, why: str) -> None:
    assert emma.judge(Item(reply, gold, PARTS)).correct is correct, why


def test_summary_by_hand() -> None:
    rows = [
        Row("", correct, {"subject": subject})
        for correct, subject in ((True, "Math"), (None, "Math"), (True, "Coding"))
    ]
    assert emma.summary(rows) == {"average": 2 / 3, "Math": 0.5, "Coding": 1.0}
