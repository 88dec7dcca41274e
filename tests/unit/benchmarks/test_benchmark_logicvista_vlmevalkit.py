"""VLMEvalKit's rule for LogicVista: the letters that a model names, sorted."""

import pytest

from reassess.benchmarks.item import Item, Outcome, Row
from reassess.benchmarks.logicvista_vlmevalkit import judge, summary

CASES = [
    # the model's answer, gold, correct, why
    ("C", "C", True, "a letter"),
    ("c", "C", True, "a small letter"),
    (" C\n", "C", True, "white space around it"),
    ("AC", "A, C", True, "letters run together"),
    ("CA", "A, C", True, "in another order"),
    ("A, C", "A, C", True, "separated by a comma"),
    ("C;A", "A, C", True, "separated by a semicolon"),
    ("A C", "A, C", True, "separated by a space"),
    ("3", "3", True, "a digit"),
    ("é", "É", True, "a single letter beyond ASCII"),
    ("A", "A, C", False, "one of two"),
    ("AAC", "A, C", False, "one twice"),
    ("ABCDE", "A", False, "all of them"),
    ("Z", "A", False, "the letter for none"),
    ("None", "A", False, "a word is a run of letters"),
    ("None", "E, N, N, O", True, "even a right one"),
    ("A", "", False, "an empty gold"),
    ("A", "A.", False, "a gold with a full stop"),
    ("A.", "A", None, "a full stop"),
    ("(A)", "A", None, "parentheses"),
    ("A, ", "A", None, "a comma at the end"),
    ("A and C", "A, C", None, "a word among letters"),
    ("The answer is A", "A", None, "a sentence"),
    ("ÄÖ", "A", None, "a run of letters beyond ASCII"),
    ("", "A", None, "nothing"),
    ("Failed to obtain answer via API.", "A", None, "a failed request"),
]


@pytest.mark.parametrize(("answer", "gold", "correct", "why"), CASES, ids=[case[3] for case in CASES])
def test_the_model_s_answer(answer: str, gold: str, correct: bool | None, why: str) -> None:
    assert judge(Item("I think so.", gold, model_answer=answer)).correct is correct, why


@pytest.mark.parametrize("reply", ["C", "G", "", "A, C", "The answer is C."])
def test_every_reply_goes_to_the_model(reply: str) -> None:
    assert judge(Item(reply, "C")) == Outcome(None, None, "a model is asked")


def test_the_answer_is_the_sorted_letters() -> None:
    assert judge(Item("", "A, C", model_answer="c,a")).answer == "AC"


def test_long_answers_are_quick() -> None:
    assert judge(Item("", "A", model_answer=" ,;A" * 25_000 + "AA")).correct is None


def test_summary_has_the_names_of_vlmevalkit() -> None:
    rows = [
        Row("0", True, {"skill": "['inductive', 'numerical']"}),
        Row("1", False, {"skill": "['numerical']"}),
        Row("2", None, {"skill": "['mechanical']"}),
    ]
    assert summary(rows) == {
        "Overall": pytest.approx(1 / 3),
        "inductive": 1.0,
        "numerical": 0.5,
        "mechanical": 0.0,
    }
