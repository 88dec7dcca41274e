"""HallusionBench's official rule: the words yes and no, and groups by figure and by question."""

import pytest

from reassess.benchmarks.hallusionbench import METADATA, judge, summary
from reassess.benchmarks.item import Item, Outcome, Row

CASES = [
    # reply, answer read, why
    ("Yes", "Yes", "the word yes"),
    ("NO", "No", "the case does not matter"),
    ("The lines are equal, yes.", "Yes", "the word anywhere"),
    ("yes yes yes", "Yes", "the word several times"),
    ("No, it is larger.", "No", "a comma before a space vanishes"),
    ("Yes,it is", "Yes", "a comma without a space becomes a space"),
    ("Yes,it is, so", None, "a comma beside a space elsewhere makes all commas vanish"),
    ("Yes,it is -so", "Yes", "another mark beside a space does not"),
    ("Yes,\nit is", "Yes", "a line break is no space there"),
    ("Yes-it has 1,000", None, "a comma between digits makes all marks vanish"),
    ("Yes. It is", "Yes", "a full stop vanishes"),
    ("Yes.It is", None, "a full stop becomes no space"),
    ("No.5 is largest", None, "a full stop before a digit stays"),
    ("a. " * 32 + "yes.", None, "the 33rd full stop stays"),
    ("a. " * 31 + "yes.", "Yes", "the 32nd full stop vanishes"),
    ("yes/no", None, "both words"),
    ("Yes, there is no doubt", None, "both words in a sentence"),
    ("The circles are equal", None, "neither word"),
    ("I do not know", None, "a word that begins with no"),
    ("**Yes**", None, "asterisks are no marks"),
    ("Yes: it is", None, "a colon is no mark"),
    ("'yes'", None, "an apostrophe is no mark"),
    ('"yes"', "Yes", "quotation marks are"),
    ("<yes>", "Yes", "angle brackets are"),
    ("\\boxed{Yes}", "Yes", "a box leaves the word"),
    ("", None, "an empty reply"),
]


@pytest.mark.parametrize(("reply", "answer", "why"), CASES, ids=[case[2] for case in CASES])
def test_reply(reply: str, answer: str | None, why: str) -> None:
    found = judge(Item(reply, "1"))
    assert (found.answer, found.correct) == (answer, None if answer is None else answer == "Yes"), why


@pytest.mark.parametrize(
    ("gold", "correct"), [("0", True), ("No", True), ("no", True), ("1", False), ("Yes", False), ("", False)]
)
def test_golds_of_the_benchmark_and_of_vlmevalkit(gold: str, correct: bool) -> None:
    assert judge(Item("no", gold)).correct is correct


def test_the_model_is_asked_only_where_the_reply_does_not_say() -> None:
    assert judge(Item("yes", "1", model_answer="No")).answer == "Yes"
    assert judge(Item("They are equal", "1", model_answer="Yes")) == Outcome(True, "Yes", "the model's answer")
    assert judge(Item("They are equal", "0", model_answer="Yes.")).correct is False


def test_an_unknown_of_the_model_is_asked_again() -> None:
    found = judge(Item("They are equal", "1", model_answer="Unknown"))
    assert found.correct is None
    assert "again" in found.reason


def test_long_replies_are_quick() -> None:
    assert judge(Item(",. -" * 25_000 + "1,0", "1")).correct is None


def row(category: str, figure: str, question: str, correct: bool | None, set_id: str = "0") -> Row:
    values = (category, "ocr", set_id, figure, question)
    names = ("category", "subcategory", "set_id", "figure_id", "question_id")
    return Row("_".join(values), correct, dict(zip(names, values, strict=True)))


def test_summary() -> None:
    rows = [
        # Figures VD 0 and 1 with two questions each: one figure and one pair are all right.
        row("VD", "0", "0", True),
        row("VD", "0", "1", True),
        row("VD", "1", "0", True),
        row("VD", "1", "1", False),
        # The same numbers in the other category are other groups, and its figure 0 counts.
        row("VS", "0", "0", None),
        row("VS", "1", "1", True),
    ]
    found = summary(rows)
    assert found == {
        "aAcc": pytest.approx(4 / 6),
        "fAcc": pytest.approx(2 / 4),
        "qAcc": pytest.approx(2 / 4),
        "Overall Acc": pytest.approx((4 / 6 + 2 / 4 + 2 / 4) / 3),
    }
    assert set(rows[0].metadata) == METADATA


def test_another_set_is_another_group() -> None:
    rows = [row("VD", "0", "0", True), row("VD", "0", "0", False, set_id="1")]
    assert summary(rows)["fAcc"] == 0.5
    assert summary(rows)["qAcc"] == 0.5


def test_summary_of_nothing() -> None:
    assert summary([]) == {}
