"""Options that data sets write into the question: taken off where that is sure, and only there."""

from __future__ import annotations

import pytest

from reassess.sources.choices import split

SURE = [
    ("CED is ()\nChoices:\nA:40°\nB:60°\nC:120°", "CED is ()", ("40°", "60°", "120°")),
    ("How long?\nChoices:\nA.1\nB.2", "How long?", ("1", "2")),
    ("True?\nChoice:\nA. False\nB. True", "True?", ("False", "True")),
    ("Which?\n(A) red\n (B) blue", "Which?", ("red", "blue")),
    ("Which?\nA) red\nB) blue", "Which?", ("red", "blue")),
    ("Who? Select from A and B. (A) True (B)False", "Who? Select from A and B.", ("True", "False")),
    ("Sign? Choices: (A) + (B) - (C) * (D) /", "Sign?", ("+", "-", "*", "/")),
    ("Which? (A) Wood in water, (B) Steel, (C) None", "Which?", ("Wood in water", "Steel", "None")),
    ("What?\nOptions: A: a cat, on a mat., B: two, C: 3, 4", "What?", ("a cat, on a mat.", "two", "3, 4")),
    ("What?\nOptions: A: nan, B: two", "What?", ("nan", "two")),
]
UNSURE = [
    "How many are there?",
    "Which comes next? Select from A-E",
    "Which? Select from A and B. (A) (B)",
    "Which?\nA: red",
    "Which?\nA: red\nC: blue",
    "Which?\nB: red\nA: blue",
    "Which?\nA: red\nB: blue\nA: green",
    "Which?\nA: red\nB: blue\n102",
    "Which?\nA: red\nB:\nC: blue",
    "A: red\nB: blue",
    "Plan A is cheap, plan B: dear",
    "f(A) is f(B)?",
    "Compare the area of (A) with that of (B)",
    "Two figures are shown. (A) is red and (B) is blue. Which is larger?",
    "",
]


@pytest.mark.parametrize(("question", "stem", "options"), SURE)
def test_options_at_the_end_are_taken_off(question: str, stem: str, options: tuple[str, ...]) -> None:
    assert split(question) == (stem, options)


@pytest.mark.parametrize("question", UNSURE)
def test_a_question_stays_as_it_is_where_this_is_unsure(question: str) -> None:
    assert split(question) == (question, ())


def test_a_long_question_takes_no_long_time() -> None:
    assert split("(A) " * 50_000) == ("(A) " * 50_000, ())
    assert split(", A: " * 50_000)[1] == ()
