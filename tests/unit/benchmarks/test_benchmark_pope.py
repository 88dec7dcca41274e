"""POPE: the bare word, and what a list of replies gives for precision and recall."""

from __future__ import annotations

import pytest

from reassess.benchmarks import pope
from reassess.benchmarks.item import Item, Row

CASES = [
    # reply, gold, correct, why
    ("yes", "yes", True, "the word"),
    (" Yes\n", "yes", True, "case and white space do not matter"),
    ("NO", "No ", True, "neither do they in the gold"),
    ("Yes.", "yes", False, "a full stop does"),
    ("Yes, there is", "yes", False, "a sentence"),
    ("", "no", False, "an empty reply is no no"),
    ("no", "yes", False, "the other word"),
]


@pytest.mark.parametrize(("reply", "gold", "correct", "why"), CASES, ids=[case[3] for case in CASES])
def test_verdict(reply: str, gold: str, correct: bool, why: str) -> None:
    assert pope.judge(Item(reply, gold)).correct is correct, why


def row(said: str, gold: str, category: str = "random") -> Row:
    outcome = pope.judge(Item(said, gold))
    return Row("", outcome.correct, {"category": category, "answer": gold}, outcome.answer)


def test_summary_by_hand() -> None:
    rows = [
        row("yes", "yes"),
        row("Yes", "yes"),
        row("no", "yes"),
        row("perhaps", "yes"),
        row("yes", "no"),
        row("no", "no"),
    ]
    found = pope.summary([*rows, row("no", "no", "popular")])
    assert found["pope_accuracy (random)"] == 3 / 6
    assert found["pope_precision (random)"] == 2 / 3
    assert found["pope_recall (random)"] == 2 / 3, "what is neither yes nor no counts for no recall"
    assert found["pope_f1_score (random)"] == pytest.approx(2 / 3)
    assert found["pope_yes_ratio (random)"] == 4 / 6, "lmms-eval's: of the right answers"
    assert found["yes ratio of replies (random)"] == 3 / 6
    assert found["pope_accuracy"] == 4 / 7
    assert (found["pope_accuracy (popular)"], found["pope_f1_score (popular)"]) == (1.0, 0.0)
    assert pope.summary([]) == {}


def test_always_yes_has_an_f1_of_two_thirds() -> None:
    assert pope.summary([row("yes", "yes"), row("yes", "no")])["pope_f1_score"] == pytest.approx(2 / 3)
