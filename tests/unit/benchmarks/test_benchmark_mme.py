"""MME: yes or no at the beginning, and the score of questions and pictures."""

from __future__ import annotations

import pytest

from reassess.benchmarks import mme
from reassess.benchmarks.item import Item, Row

CASES = [
    # reply, gold, answer, why
    ("yes", "Yes", "yes", "the word"),
    ("Yes.", "Yes", "yes", "full stops vanish"),
    ("Y.e.s", "Yes", "yes", "wherever they stand"),
    ("Yes, it is", "Yes", "yes", "the first four characters"),
    ("Nope", "No", "no", "the beginning of another word"),
    ("know", "No", "no", "inside of a word too"),
    ("a yes", "Yes", None, "the fifth character is not read"),
    ("is it so? yes", "Yes", None, "behind the beginning"),
    ("y", "Yes", "yes", "a letter"),
    ("N.", "No", "no", "a letter and a full stop"),
    ("x", "No", None, "another letter"),
    ("", "No", None, "an empty reply"),
]


@pytest.mark.parametrize(("reply", "gold", "answer", "why"), CASES, ids=[case[3] for case in CASES])
def test_what_is_read(reply: str, gold: str, answer: str | None, why: str) -> None:
    outcome = mme.judge(Item(reply, gold))
    assert outcome.answer == answer, why
    assert outcome.correct is (answer == gold.lower())


def test_summary_by_hand() -> None:
    def row(category: str, picture: str, correct: bool | None) -> Row:
        return Row("", correct, {"category": category, "question_id": picture})

    rows = [row("count", "a", True), row("count", "a", True), row("count", "b", True), row("count", "b", None)]
    rows += [
        row("OCR", "a", False),
        row("OCR", "a", False),
        row("code_reasoning", "c", True),
        row("code_reasoning", "c", True),
    ]
    found = mme.summary([*rows, row("count", "alone", True)])
    assert found["count"] == (3 / 4 + 1 / 2) / 2, "of 200: 75 for questions and 50 for pictures"
    assert (found["OCR"], found["code_reasoning"]) == (0.0, 1.0)
    assert found["perception"] == (found["count"] + 0.0) / 2
    assert found["cognition"] == 1.0
    assert mme.summary([]) == {}
