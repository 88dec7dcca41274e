"""MMLU-Pro: the three steps of the benchmark's own script."""

import time

import pytest

from reassess.benchmarks.item import Item, Row
from reassess.benchmarks.mmlu_pro import METADATA, judge, summary

CASES = [
    # reply, gold, answer read, correct, why
    ("The answer is (B).", "B", "B", True, "answer is (X)"),
    ("The answer is B", "B", "B", True, "answer is X"),
    ("The answer is (B), no, the answer is (C)", "C", "B", False, "the first answer is counts"),
    ("the answer is Indeed C", "C", "I", False, "the letter may begin a word"),
    ("the answer is (J)", "J", "J", True, "up to ten options"),
    ("the answer is (K)", "K", None, None, "letters end at J, and K is drawn for"),
    ("The answer is: B. But C?", "B", "C", False, "a colon stops the first step, then the last letter counts"),
    ("The answer is **B**", "B", "B", True, "emphasis stops the first step, not the last"),
    ("THE ANSWER IS B, not C", "B", "C", False, "capitals stop the first step"),
    ("Answer: B, since C is no use", "B", "B", True, "then the letter behind Answer:"),
    ("answer: B, since C is no use", "B", "B", True, "with a small letter too"),
    ("ANSWER: B, since C is no use", "B", "C", False, "not in capitals"),
    ("Answer: A, Answer: B\nAnswer: C", "B", "B", True, "the last of the first line with one"),
    ("Answer: 5\nAnswer: C", "C", "C", True, "a line without a letter is passed over"),
    ("Answer: Answer: D", "D", "D", True, "a letter may begin the next Answer:"),
    ("Answer:\n\n B, not C", "B", "B", True, "line breaks behind the colon"),
    ("Answer: (B), not C", "B", "C", False, "a parenthesis stops the second step"),
    ("The answer is not A. I pick D. Answer: none of B", "B", "B", True, "last, the last letter alone"),
    ("D, as I said", "D", "I", False, "the pronoun is an option"),
    ("Choose D for a DNA", "D", "D", True, "letters inside of words are none"),
    ("A dog", "B", "A", False, "the article is an option"),
    ("(B)", "B", "B", True, "a letter in parentheses stands alone"),
    ("b", "B", None, None, "a small letter is nothing"),
    ("_B_", "B", None, None, "an underscore belongs to the word"),
    ("42", "B", None, None, "without a letter the script draws one"),
    ("", "B", None, None, "an empty reply is drawn for too"),
    ("The answer is (C)", "2", "C", True, "a gold that is an index"),
]


@pytest.mark.parametrize(
    ("reply", "gold", "answer", "correct"), [case[:4] for case in CASES], ids=[case[4] for case in CASES]
)
def test_script(reply: str, gold: str, answer: str | None, correct: bool | None) -> None:
    assert judge(Item(reply, gold))[:2] == (correct, answer)


@pytest.mark.parametrize("reply", ["Answer: B", "B", ""])
def test_harness_has_the_first_step_only(reply: str) -> None:
    assert judge(Item(reply, "B")).reason.endswith("lm-evaluation-harness: wrong")


def test_summary_counts_questions_and_no_categories() -> None:
    rows = [
        Row("1", True, {"category": "math"}),
        Row("2", False, {"category": "math"}),
        Row("3", None, {"category": "math"}),
        Row("4", True, {"category": "law"}),
    ]
    assert summary(rows) == {"law": 1.0, "math": pytest.approx(1 / 3), "total": 0.5}


def test_summary_of_nothing_is_empty() -> None:
    assert summary([]) == {}


def test_summary_needs_the_category() -> None:
    assert set(METADATA) == {"category"}


@pytest.mark.parametrize("piece", ["answer is ", "Answer: ", "Answer:\n", "A ", "x", " "])
def test_long_replies_take_little_time(piece: str) -> None:
    start = time.process_time()
    judge(Item(piece * (100_000 // len(piece)), "B"))
    assert time.process_time() - start < 20
