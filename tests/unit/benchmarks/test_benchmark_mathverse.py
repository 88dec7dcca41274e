"""MathVerse's rule: a model's 0 or 1, and nothing without it."""

import pytest

from reassess.benchmarks import mathverse
from reassess.benchmarks.item import Item, Row

CASES = [
    # reply, gold, what the judge model answered, correct, why
    ("B", "B", None, None, "the same text goes to a model all the same"),
    ("C", "B", None, None, "another letter goes to a model"),
    ("", "B", None, None, "an empty reply goes to a model"),
    ("the area is 9", "9", "1", True, "one"),
    ("the area is 9", "9", "0", False, "zero, whatever the reply"),
    ("C", "B", "1", True, "one, whatever the reply"),
    ("C", "B", " 1\n", True, "blanks aside"),
    ("C", "B", "Judgement: 1", True, "the word before it"),
    ("C", "B", "0 Judgement:", False, "the word after it"),
    ("C", "B", "Judgement:Judgement: 0", False, "the word twice"),
    ("C", "B", "judgement: 1", None, "another spelling asks again"),
    ("C", "B", "Judgment: 1", None, "the right spelling asks again"),
    ("C", "B", "1.", None, "a full stop asks again"),
    ("C", "B", "1, they agree", None, "a reason asks again"),
    ("C", "B", "True", None, "a word asks again"),
    ("C", "B", "2", None, "another number asks again"),
    ("C", "B", "", None, "nothing asks again"),
]


@pytest.mark.parametrize(("reply", "gold", "answer", "correct", "why"), CASES, ids=[case[4] for case in CASES])
def test_mathverse(reply: str, gold: str, answer: str | None, correct: bool | None, why: str) -> None:
    assert mathverse.judge(Item(reply, gold, model_answer=answer)).correct is correct, why


def test_the_summary_has_the_total_and_every_version() -> None:
    rows = [
        Row("1", True, {"problem_version": "Text Dominant"}),
        Row("2", False, {"problem_version": "Text Dominant"}),
        Row("3", True, {"problem_version": "Vision Only"}),
        Row("4", True, {"problem_version": "Vision Only"}),
        Row("5", None, {"problem_version": "Vision Only"}),
        Row("6", True),
    ]
    assert mathverse.summary(rows) == {"Acc": 4 / 6, "Text Dominant Acc": 1 / 2, "Vision Only Acc": 2 / 3}
    assert mathverse.summary([]) == {}
