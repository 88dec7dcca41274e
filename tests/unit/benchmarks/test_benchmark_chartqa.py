"""Relaxed accuracy as lmms-eval has it for ChartQA, and its three measures."""

import pytest

from reassess.benchmarks import chartqa
from reassess.benchmarks.item import Item, Row

CASES = [
    # reply, gold, correct, why
    ("100", "100", True, "the same number"),
    ("105", "100", True, "five per cent more"),
    ("95", "100", True, "five per cent less"),
    ("105.1", "100", False, "more than five per cent"),
    ("100", "105.3", False, "the tolerance is that of the gold"),
    ("1.05", "1", False, "five per cent that floating point makes more"),
    ("1999", "2010", True, "years have the tolerance"),
    ("-100", "100", False, "the sign counts"),
    ("52%", "52", False, "a per cent sign divides by 100"),
    ("52%", "0.52", True, "so it equals the fraction"),
    ("0.52", "52%", True, "in the gold as well"),
    ("52 %", "52%", True, "a space before the sign"),
    ("52%%", "52%", True, "two signs divide once"),
    ("%", "0", False, "a sign alone is no number"),
    ("0", "0", True, "zero as text"),
    ("0.0", "0", False, "a gold of zero is compared as text"),
    ("0", "0%", False, "so is one of zero per cent"),
    ("0", "5", False, "zero in the reply is a number"),
    ("1,000", "1000", False, "thousands are no number"),
    ("1,000", "1,000", True, "but equal text"),
    ("$100", "100", False, "a currency sign makes a text"),
    ("5 years", "5", False, "so does a unit"),
    ("1_000", "1000", True, "an underscore as Python has it"),
    ("1e3", "1000", True, "scientific notation"),
    ("nan", "nan", False, "nan is a number and equals nothing"),
    ("inf", "inf", False, "infinity less infinity is none"),
    ("Yes", "yes", True, "text but for case"),
    (" yes\n", "Yes", True, "the reply is stripped"),
    ("yes", "Yes ", False, "the gold is not"),
    ("Yes.", "Yes", False, "a full stop counts"),
    ("Yes, it is", "Yes", False, "no sentence"),
    ("four", "4", False, "a number in words"),
    ("2", "['2', '3']", False, "a list in the gold is a text"),
    ("['2', '3']", "['2', '3']", True, "which a reply may repeat"),
    ("", "Yes", False, "an empty reply"),
]


@pytest.mark.parametrize(("reply", "gold", "correct", "why"), CASES, ids=[case[3] for case in CASES])
def test_relaxed(reply: str, gold: str, correct: bool, why: str) -> None:
    assert chartqa.judge(Item(reply, gold, metadata={"type": "human_test"})).correct is correct, why


def test_the_answer_is_the_stripped_reply() -> None:
    assert chartqa.judge(Item(" 5 ", "5")) == (True, "5", "numbers within 5 %")
    assert chartqa.judge(Item(" ", "5")).answer is None


@pytest.mark.parametrize("text", ["9" * 100_000, "9" * 100_000 + "%", "1e-400", "\ud800", "٣"])
def test_no_text_raises(text: str) -> None:
    assert chartqa.judge(Item(text, "x")).correct is False
    assert chartqa.judge(Item("x", text)).correct is False


def test_summary_by_hand() -> None:
    rows = [
        Row("1", True, {"type": "human_test"}),
        Row("2", False, {"type": "human_test"}),
        Row("3", None, {"type": "human_test"}),
        Row("4", True, {"type": "augmented_test"}),
        Row("5", True, {"type": "anything else"}),
    ]
    assert chartqa.summary(rows) == pytest.approx(
        {"relaxed_overall": 3 / 5, "relaxed_human_split": 1 / 3, "relaxed_augmented_split": 1.0}
    )


def test_a_split_without_questions_is_left_out() -> None:
    assert set(chartqa.summary([Row("1", True, {"type": "human_test"})])) == {"relaxed_overall", "relaxed_human_split"}
    assert chartqa.summary([]) == {}
