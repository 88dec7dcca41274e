"""MMStar's own rule: four places for the letter, and two aggregates."""

import pytest

from reassess.benchmarks import mmstar
from reassess.benchmarks.item import Item, Row

CASES = [
    # reply, gold, correct, why
    ("B", "B", True, "the first character"),
    ("b", "B", True, "case does not matter"),
    ("B", "b\n", True, "the gold is stripped"),
    ("  \nB: cat", "B", True, "white space before the letter"),
    ("(B) cat", "B", True, "behind a parenthesis"),
    ("Option B", "B", True, "behind option"),
    ("The answer is B.", "B", True, "behind the answer is"),
    ("the answer is because", "B", True, "the first letter of a word there"),
    ("A cat", "A", True, "the article"),
    ("apple", "A", True, "the first letter of a word"),
    ("Answer: B", "A", True, "the A of Answer"),
    ("Answer: B", "B", False, "the marker Answer is not read"),
    ("B or C", "B", True, "a hedge"),
    ("Both A and C", "B", True, "the first letter of Both"),
    ("Option B", "O", True, "the first character counts as well"),
    ("The answer is: B", "B", False, "a colon is in the way"),
    ("The answer is (B)", "B", False, "a parenthesis is in the way there"),
    ("The answer is\nB", "B", True, "a line break is a space"),
    ("The correct answer is B", "B", False, "another phrase"),
    ("**B**", "B", False, "asterisks"),
    ("\\boxed{B}", "B", False, "a box"),
    ("( B)", "B", False, "a space in the parentheses"),
    ("option", "B", False, "nothing behind option"),
    ("(", "B", False, "nothing behind the parenthesis"),
    ("C", "B", False, "another letter"),
    ("", "B", False, "an empty reply"),
    ("", "", False, "an empty gold"),
    ("AB", "AB", False, "a gold of two letters"),
]


@pytest.mark.parametrize(("reply", "gold", "correct", "why"), CASES, ids=[case[3] for case in CASES])
def test_place(reply: str, gold: str, correct: bool, why: str) -> None:
    assert mmstar.judge(Item(reply, gold)).correct is correct, why


def test_the_answer_is_the_character_that_was_read() -> None:
    assert mmstar.judge(Item("Option C", "B")).answer == "C"
    assert mmstar.judge(Item("(b)", "B")).answer == "B"
    assert mmstar.judge(Item("", "B")).answer is None


def test_summary_by_hand() -> None:
    def row(category: str, level: str, correct: bool | None) -> Row:
        return Row("", correct, {"category": category, "l2_category": level})

    rows = [
        row("math", "geometry", True),
        row("math", "geometry", True),
        row("math", "geometry", False),
        row("math", "statistical reasoning", None),
        row("logical reasoning", "common reasoning", True),
    ]
    assert mmstar.summary(rows) == pytest.approx(
        {
            "math": (2 / 3 + 0) / 2,  # not 2 of 4
            "math(geometry)": 2 / 3,
            "math(statistical reasoning)": 0.0,
            "logical reasoning": 1.0,
            "logical reasoning(common reasoning)": 1.0,
            "average": (2 / 3 + 0 + 1) / 3,  # over l2 categories, not over the two categories
            "final score": 3 / 5,
        }
    )


def test_summary_of_nothing_is_empty() -> None:
    assert mmstar.summary([]) == {}
