"""DynaMath's rule: short answers of a JSON reply, and the worst case over variants."""

import json
import time

import pytest

from reassess.benchmarks import dynamath
from reassess.benchmarks.item import Item, Row


def stating(short_answer: object, solution: str = "...") -> str:
    return json.dumps({"solution": solution, "short answer": short_answer}, ensure_ascii=False)


FLOATS = [
    # reply, gold, correct, why
    (stating("12.500"), "12.5", True, "the short answer"),
    (stating("12"), "12.0", True, "an integer"),
    (stating("12.501"), "12.5", True, "within a thousandth"),
    (stating("12.4985"), "12.5", False, "beyond a thousandth"),
    (stating("-15.7"), "-15.700000000000001", True, "a gold with an error of rounding"),
    (stating("12.5 cm"), "12.5", True, "what follows a blank is dropped"),
    (stating("12.5cm"), "12.5", None, "a unit without a blank goes to a model"),
    (stating(" 12.5"), "12.5", None, "a blank before it goes to a model"),
    (stating("1/2"), "0.5", None, "a quotient goes to a model"),
    (stating("2π"), "6.283", True, "a multiple of π"),
    (stating("2π/3"), "6.283", True, "what follows π is dropped"),
    (stating("π"), "3.142", None, "π alone goes to a model"),
    (stating("nan"), "12.5", False, "nan is a number and equals nothing"),
    (stating(12.5), "12.5", None, "a number that is no string goes to a model"),
    (stating(None), "12.5", None, "null goes to a model"),
    (stating("12.5", "so \\frac{1}{2}"), "12.5", True, "backslashes go"),
    (stating("12.5", 'the "side"'), "12.5", None, "an escaped quotation mark breaks the JSON"),
    ("```json\n" + stating("12.5") + "\n```", "12.5", True, "JSON from the first brace to the last"),
    (stating("12.5") + " or {x}", "12.5", None, "a later brace breaks the JSON"),
    ("12.5", "12.5", True, "a reply that is a number"),
    ("12.5 is the answer", "12.5", True, "a reply that begins with a number"),
    ("The answer is 12.5", "12.5", None, "a sentence goes to a model"),
    ("\\12.5", "12.5", True, "backslashes go here too"),
    ("²", "2", None, "a digit that is no number goes to a model"),
    (stating("12.5"), "5:0", None, "a gold that is no number has no verdict"),
]

CHOICES = [
    (stating("B"), "B", True, "a letter"),
    (stating("b"), "B", True, "a small letter"),
    (stating("(B)"), "B", True, "the only letter of A to E"),
    (stating("B) 12 cm"), "B", None, "C of cm is one more"),
    (stating("B) 12"), "B", True, "a text without letters"),
    (stating("x is big"), "B", True, "any letter in any word"),
    (stating("Option B"), "B", True, "no other letter in option"),
    (stating("Choice B"), "B", None, "C and E in choice"),
    (stating("F"), "F", True, "a single character may be any"),
    (stating("?"), "B", False, "even a mark"),
    (stating(""), "B", None, "nothing goes to a model"),
    ("B", "B", True, "a reply that is a letter"),
    ("(b)", "B", True, "a reply with one letter"),
    ("The answer is B.", "B", None, "a sentence has more letters"),
    (stating(["B"]), "B", None, "a list goes to a model"),
    (stating("B"), "b", False, "the gold is compared by case"),
]

TEXTS = [
    (stating("13:18"), "13:18", True, "the same text"),
    (stating("YES"), "yes", True, "without regard to case"),
    (stating("3"), "[1, 3]", True, "a part of the gold"),
    (stating("1:18"), "11:18", True, "a part of another value"),
    (stating("it is 13:18"), "13:18", False, "more than the gold"),
    (stating(""), "13:18", True, "an empty short answer is right"),
    ("", "13:18", True, "an empty reply is right"),
    ("13:18", "13:18", True, "a reply that is no JSON counts as a whole"),
    (stating(None), "13:18", False, "null gives way to the whole reply"),
    ('{"answer": "13:18"}', "13:18", False, "so does another key"),
    (stating(5), "5", None, "a number has no verdict"),
]

TYPED = [("float", *case) for case in FLOATS]
TYPED += [("multiple choice", *case) for case in CHOICES]
TYPED += [(kind, *case) for case in TEXTS for kind in ("text", "single answer", "int")]


def judge(reply: str, gold: str, kind: str, answer: str | None = None) -> bool | None:
    return dynamath.judge(Item(reply, gold, (), {"answer_type": kind, "qid": 1}, answer)).correct


@pytest.mark.parametrize(
    ("kind", "reply", "gold", "correct", "why"), TYPED, ids=[f"{case[0]}: {case[4]}" for case in TYPED]
)
def test_dynamath(kind: str, reply: str, gold: str, correct: bool | None, why: str) -> None:
    assert judge(reply, gold, kind) is correct, why


def test_a_models_answer_is_read_as_the_reply_is() -> None:
    assert judge("It is one half.", "0.5", "float", "0.500") is True
    assert judge("It is one half.", "0.5", "float", "one half") is False
    assert judge("It is the second.", "B", "multiple choice", "B") is True
    assert judge("It is the second.", "B", "multiple choice", "(b)") is True
    assert judge("It is the second.", "B", "multiple choice", "the second") is False


def test_a_model_is_not_asked_where_the_reply_can_be_read() -> None:
    assert judge(stating("12.5"), "12.5", "float", "13.5") is True


def test_the_first_three_characters_decide_where_the_model_names_no_choice() -> None:
    assert judge("A, because ...", "A", "multiple choice", "unclear") is True
    assert judge("a, because ...", "A", "multiple choice", "A or B") is True
    assert judge("It is A, because ...", "A", "multiple choice", "unclear") is False


def test_the_answer_is_what_was_compared() -> None:
    found = dynamath.judge(Item("(b)", "C", (), {"answer_type": "multiple choice", "qid": 1}))
    assert found == (False, "B", "the whole reply")


def row(qid: int, correct: bool | None, subject: str, level: str) -> Row:
    return Row(f"{qid}", correct, {"qid": qid, "answer_type": "float", "subject": subject, "knowledge_level": level})


def test_the_worst_case_needs_every_variant() -> None:
    rows = [row(1, True, "algebra", "high school"), row(1, True, "algebra", "high school")]
    rows += [row(2, True, "algebra", "undergraduate"), row(2, False, "algebra", "undergraduate")]
    rows += [row(3, None, "statistics", "high school"), row(3, True, "statistics", "high school")]
    assert dynamath.summary(rows) == {
        "Setting=Average|Overall": 4 / 6,
        "Setting=Average|Subject-algebra": 3 / 4,
        "Setting=Average|Subject-statistics": 1 / 2,
        "Setting=Average|Level-high school": 3 / 4,
        "Setting=Average|Level-undergraduate": 1 / 2,
        "Setting=Worst Case|Overall": 1 / 3,
        "Setting=Worst Case|Subject-algebra": 1 / 2,
        "Setting=Worst Case|Subject-statistics": 0.0,
        "Setting=Worst Case|Level-high school": 1 / 2,
        "Setting=Worst Case|Level-undergraduate": 0.0,
    }


def test_a_summary_without_groups_has_the_overall_means_only() -> None:
    rows = [Row("1", True, {"qid": 1}), Row("2", False, {"qid": 1}), Row("3", True, {"qid": 2})]
    assert dynamath.summary(rows) == {"Setting=Average|Overall": 2 / 3, "Setting=Worst Case|Overall": 1 / 2}
    assert dynamath.summary([]) == {}


@pytest.mark.parametrize("text", ['{"a":' * 20_000 + "}", "9" * 100_000, "{}" * 50_000, "π" * 100_000, "\\" * 100_000])
def test_long_text_is_read_in_bounded_time(text: str) -> None:
    begin = time.process_time()
    for kind in ("float", "multiple choice", "text"):
        judge(text, "5", kind, text)
    assert time.process_time() - begin < 20
