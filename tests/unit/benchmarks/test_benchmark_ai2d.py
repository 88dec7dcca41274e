"""lmms-eval's rule for AI2D: a dotted capital at the beginning, else the whole reply."""

import time

import pytest

from reassess.benchmarks import ai2d
from reassess.benchmarks.item import Item

PARTS = ("root", "stem", "leaf", "A")

CASES = [
    # reply, gold, correct, why
    ("B", "1", True, "a letter; the gold is an index"),
    ("b", "1", True, "case does not matter"),
    (" B\n", "1", True, "the reply is stripped"),
    ("B.", "1", True, "a full stop"),
    ("B. stem", "1", True, "a dotted letter and its text"),
    ("B. leaf", "1", True, "the text is not looked at"),
    ("\n B. no, C.", "1", True, "the first dotted letter"),
    ("B.5", "1", True, "anything may follow the full stop"),
    ("A.I. says B", "0", True, "an abbreviation"),
    ("b. stem", "1", False, "a small dotted letter with a text"),
    ("(B)", "1", True, "punctuation is removed"),
    ("(b)", "1", True, "punctuation and case"),
    ("**B**", "1", True, "asterisks are punctuation"),
    ("$B$", "1", True, "so are dollar signs"),
    ("B)", "1", True, "so is a parenthesis"),
    ("B) stem", "1", False, "a letter and a text without a full stop"),
    ("B stem", "1", False, "a letter and a text"),
    ("stem", "1", False, "an option's text"),
    ("The answer is B", "1", False, "a sentence"),
    ("The answer is B.", "1", False, "a dotted letter at the end"),
    ("( B )", "1", False, "spaces in parentheses stay"),
    ("B .", "1", False, "a space before the full stop stays"),
    ("（B）", "1", False, "full-width parentheses stay"),
    ("\\boxed{B}", "1", False, "the word boxed stays"),
    ("E.", "1", False, "a letter beyond the options"),
    ("A", "3", False, "a gold whose option's text is a letter is still an index"),
    ("D", "3", True, "the letter at that index"),
    ("D", "-1", True, "a negative index counts from the end"),
    ("B", "B", True, "a gold that is a letter"),
    ("", "1", False, "an empty reply"),
]


@pytest.mark.parametrize(("reply", "gold", "correct", "why"), CASES, ids=[case[3] for case in CASES])
def test_reply(reply: str, gold: str, correct: bool, why: str) -> None:
    assert ai2d.judge(Item(reply, gold, PARTS)).correct is correct, why


@pytest.mark.parametrize("gold", ["4", "E", "", "stem", "1.0", "9" * 10_000])
def test_a_gold_that_names_no_option_is_no_verdict(gold: str) -> None:
    assert ai2d.judge(Item("B", gold, PARTS)) == (None, None, "the gold is no option")


def test_a_question_without_options_is_no_verdict() -> None:
    assert ai2d.judge(Item("B", "1")).correct is None


def test_a_long_reply_takes_bounded_time() -> None:
    start = time.process_time()
    assert ai2d.judge(Item(" " * 100_000 + "(", "1", PARTS)).correct is False
    assert time.process_time() - start < 20
