"""LogicVista's own rule: GPT-4's list of choices against the gold's."""

import pytest

from reassess.benchmarks.item import Item, Row
from reassess.benchmarks.logicvista import judge, summary

WITHOUT_MODEL = [
    # reply, gold, correct, why
    ("C", "C", None, "a single letter up to E goes to the model"),
    ("c", "C", None, "a small one too"),
    ("3", "3", None, "a single digit goes to the model"),
    ("²", "3", None, "a character that is a number goes to the model"),
    ("A and C", "A, C", None, "a text goes to the model"),
    ("G", "G", False, "a letter beyond E is wrong even where it is the gold"),
    ("f", "F", False, "a small letter beyond E is wrong"),
    ("é", "A", False, "a letter that is not Latin is wrong"),
    ("?", "A", False, "a single mark is wrong"),
    (" ? ", "A", False, "white space around it does not count"),
    ("", "A", False, "an empty reply is wrong"),
    ("", "", True, "an empty reply is right for the empty gold"),
    (" \n", "", True, "white space is empty"),
    ("USER: A ASSISTANT: G", "A", False, "what precedes ASSISTANT: does not count"),
    ("ASSISTANT: ASSISTANT: C", "", True, "nor what follows the second one"),
]


@pytest.mark.parametrize(("reply", "gold", "correct", "why"), WITHOUT_MODEL, ids=[case[3] for case in WITHOUT_MODEL])
def test_without_a_model(reply: str, gold: str, correct: bool | None, why: str) -> None:
    assert judge(Item(reply, gold)).correct is correct, why


WITH_MODEL = [
    # the model's answer, gold, correct, why
    ('{"choices": ["C"]}', "C", True, "the choice"),
    ('{"choices": ["c"]}', "C", True, "in lower case"),
    ('{"choices": ["C", "a"]}', "A, C", True, "in another order"),
    ('Here it is: ```json\n{"choices": ["C"]}\n```', "C", True, "with words around the object"),
    ('{"choices": ["C"], "why": "a\nb"}', "C", True, "other keys and line breaks in texts"),
    ('{"choices": ["3"]}', "3", True, "a digit as text"),
    ('{"choices": ["A"]}', "A, C", False, "one of two"),
    ('{"choices": ["A", "A"]}', "A", False, "one twice"),
    ('{"choices": ["AC"]}', "A, C", False, "letters run together"),
    ('{"choices": ["A, C"]}', "A, C", False, "letters in one text"),
    ('{"choices": ["C."]}', "C", False, "a full stop"),
    ('{"choices": [" C"]}', "C", False, "a space"),
    ('{"choices": ["A", "C"]}', "A,C", False, "a gold is cut only at a comma and a space"),
    ('{"choices": []}', "A", False, "no choice"),
    ('{"choices": ["ZZZZZ"]}', "A", False, "the text for none"),
    ('{"choices": [3]}', "3", False, "a number is no text"),
    ('{"choices": "C"}', "C", False, "a text is no list"),
    ('{"choice": ["C"]}', "C", False, "another key"),
    ('{"choices": ["C"]} or {"choices": ["A"]}', "C", False, "two objects are none"),
    ('["C"]', "C", False, "a bare list"),
    ("C", "C", False, "a bare letter"),
    ("} {", "C", False, "braces the wrong way round"),
    ('{"a":' * 20_000 + "}", "C", False, "too deep to read"),
    ("{" * 100_000, "C", False, "many braces"),
    ("", "C", False, "nothing"),
]


@pytest.mark.parametrize(("answer", "gold", "correct", "why"), WITH_MODEL, ids=[case[3] for case in WITH_MODEL])
def test_with_a_model(answer: str, gold: str, correct: bool, why: str) -> None:
    assert judge(Item("I think so.", gold, model_answer=answer)).correct is correct, why


def test_the_model_is_not_heard_where_it_would_not_be_asked() -> None:
    assert judge(Item("G", "G", model_answer='{"choices": ["G"]}')).correct is False
    assert judge(Item("", "A", model_answer='{"choices": ["A"]}')).correct is False


def test_the_answer_is_the_model_s() -> None:
    assert judge(Item("Both", "A, C", model_answer='{"choices": ["C", "A"]}')).answer == "C, A"


def test_summary_counts_a_row_for_each_of_its_skills() -> None:
    rows = [
        Row("v1_0", True, {"skill": ["inductive"]}),
        Row("v1_1", None, {"skill": ["inductive", "spatial"]}),
        Row("v1_2", False, {"skill": "['deductive']"}),
        Row("v1_3", True, {"skill": ["spatial"]}),
    ]
    assert summary(rows) == {"Total": 0.5, "Inductive": 0.5, "Deductive": 0.0, "Spatial": 0.5}


def test_summary_without_the_column_is_the_total() -> None:
    assert summary([Row("v1_0", True), Row("v1_1", False)]) == {"Total": 0.5}
    assert summary([]) == {}
