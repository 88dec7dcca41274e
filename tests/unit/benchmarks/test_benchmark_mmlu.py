"""MMLU: the rule of simple-evals."""

import time

import pytest

from reassess.benchmarks.item import Item, Row
from reassess.benchmarks.mmlu import METADATA, judge, summary

CASES = [
    # reply, gold, options, answer read, correct, why
    ("So it is.\nAnswer: B", "B", (), "B", True, "the letter behind Answer:"),
    ("ANSWER: B", "B", (), "B", True, "answer in any case"),
    ("Answer: b", "B", (), "b", False, "a small letter is read and wrong"),
    ("Answer: A\nAnswer: B", "B", (), "A", False, "the first Answer: counts"),
    ("**Answer:** B", "B", (), "B", True, "emphasis is taken off"),
    ("**Answer: B**", "B", (), "B", True, "emphasis around all of it"),
    ("Answer: *B*", "B", (), None, False, "single stars stay"),
    ("Answer: \\boxed{B}", "B", (), "B", True, "a box is taken off"),
    ("Answer: $\\boxed{\\text{B}}$", "B", (), "B", True, "a box with \\text in dollars"),
    ("Answer: $B$", "B", (), "B", True, "dollar signs are taken off"),
    ("Answer: \\(B\\)", "B", (), "B", True, "opening LaTeX parentheses are taken off"),
    ("Answer: \\[B\\]", "B", (), None, False, "LaTeX brackets stay"),
    ("Answer: \\mathbf{B}", "B", (), "B", True, "bold is taken off"),
    ("Answer: (B)", "B", (), None, False, "a parenthesis stops it"),
    ("Answer\n: B", "B", (), "B", True, "line breaks before the colon"),
    ("Answer:\nB", "B", (), None, False, "a line break behind the colon stops it"),
    ("Answer: Because", "B", (), "B", True, "the letter may begin a word"),
    ("Answer: E", "E", (), None, False, "letters end at D"),
    ("B", "B", (), None, False, "a letter alone is wrong and not undecided"),
    ("Antwort: B", "B", (), "B", True, "other languages' words"),
    ("Antwort: A\nAnswer: B", "B", (), "B", True, "the English word wins over an earlier one"),
    ("答案：C", "C", (), "C", True, "a full-width colon"),
    ("Antwort：C", "C", (), None, False, "a full-width colon only where the list has one"),
    ("Answer: Ｃ", "C", (), "C", True, "a full-width letter"),
    ("الإجابة: ب", "B", (), "B", True, "an Arabic letter"),
    ("الإجابة: ت", "C", (), "ت", False, "an Arabic letter in between"),
    ("উত্তর: ড", "C", (), "C", True, "a Bengali letter"),
    ("Answer: C", "2", ("w", "x", "y", "z"), "C", True, "a gold that is an index"),
    ("Answer: B", "2", ("1", "2", "3", "4"), "B", True, "a gold that is an option's text and no index"),
    ("", "B", (), None, False, "an empty reply"),
]


@pytest.mark.parametrize(
    ("reply", "gold", "options", "answer", "correct"), [case[:5] for case in CASES], ids=[case[5] for case in CASES]
)
def test_simple_evals(reply: str, gold: str, options: tuple[str, ...], answer: str | None, correct: bool) -> None:
    assert judge(Item(reply, gold, options))[:2] == (correct, answer)


def test_summary_is_over_questions_and_categories() -> None:
    rows = [
        Row("1", True, {"subject": "astronomy"}),
        Row("2", False, {"subject": "machine_learning"}),
        Row("3", True, {"subject": "anatomy"}),
        Row("4", None, {"subject": "sociology"}),
        Row("5", True, {"subject": "a subject that is not listed"}),
    ]
    assert summary(rows) == {"score": 0.6, "stem": 0.5, "other": 1.0, "social_sciences": 0.0}


def test_summary_of_nothing_is_empty() -> None:
    assert summary([]) == {}


def test_summary_needs_the_subject() -> None:
    assert set(METADATA) == {"subject"}


@pytest.mark.parametrize("piece", ["Answer: ", "Answer \n", "答 ", "{", " "])
def test_long_replies_take_little_time(piece: str) -> None:
    start = time.process_time()
    judge(Item(piece * (100_000 // len(piece)), "B"))
    assert time.process_time() - start < 20
