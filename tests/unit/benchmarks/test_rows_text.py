"""Rows of the text benchmarks, as their cards and harnesses describe them, odd ones included."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from reassess.benchmarks import module, rules
from reassess.benchmarks.item import Item
from reassess.benchmarks.olympiadbench import judge as olympiad
from reassess.data.right import right
from reassess.example import DataError, Example, RowError

ROWS: dict[str, dict[str, Any]] = {
    "aime24": {"id": 60, "problem": "Find n.", "solution": "...", "answer": "033", "url": "https://x", "year": "2024"},
    "aime25": {"problem": "Find b.", "answer": "70", "id": "0"},
    "amc23": {"id": 0, "question": "Find c.", "answer": 27.0, "url": "https://x"},
    "arc_challenge": {
        "id": "Mercury_7175875",
        "question": "What happens?",
        "choices": {"text": ["density", "days", "years", "gravity"], "label": ["1", "2", "3", "4"]},
        "answerKey": "2",
    },
    "gpqa": {
        "Question": "Which one?\n",
        "Correct Answer": "right\n",
        "Incorrect Answer 1": "one",
        "Incorrect Answer 2": "two",
        "Incorrect Answer 3": "three",
        "Subdomain": "Optics",
    },
    "gsm8k": {"question": "How many?", "answer": "It is 24*50=<<24*50=1200>>1,200.\n#### 1,200"},
    "math_500": {
        "problem": "Find x.",
        "solution": "So $x=\\boxed{\\frac{1}{2}}$.",
        "answer": "\\frac{1}{2}",
        "subject": "Algebra",
        "level": 3,
        "unique_id": "test/algebra/1.json",
    },
    "minervamath": {"question": "How far is it?", "answer": "4.5e33"},
    "mmlu": {"question": "Which one?", "subject": "anatomy", "choices": ["a", "b", "c", "d"], "answer": 2},
    "mmlu_pro": {
        "question_id": 70,
        "question": "Which one?",
        "options": ["a", "b", "c", "N/A"],
        "answer": "C",
        "answer_index": 2,
        "cot_content": "",
        "category": "law",
        "src": "x",
    },
    "olympiadbench": {
        "id": 1606,
        "question": "Find both.",
        "solution": ["..."],
        "final_answer": ["$2,3$"],
        "is_multiple_answer": True,
        "unit": None,
        "answer_type": "Numerical",
        "error": None,
        "subfield": "Algebra",
    },
}
EXPECTED: dict[str, dict[str, Any]] = {
    "aime24": {"id": "aime24-60", "gold": "33", "kind": "numeric"},
    "aime25": {"id": "aime25-0", "gold": "70", "kind": "numeric"},
    "amc23": {"id": "amc23-0", "gold": "27", "kind": "numeric"},
    "arc_challenge": {"id": "Mercury_7175875", "gold": "B", "options": ("density", "days", "years", "gravity")},
    "gpqa": {"question": "Which one?", "kind": "mcq"},
    "gsm8k": {"gold": "1200", "kind": "numeric", "rationales": ()},
    "math_500": {"id": "test/algebra/1.json", "gold": "\\frac{1}{2}", "family": "Algebra", "difficulty": 3},
    "minervamath": {"id": "", "gold": "4.5e33", "kind": "numeric"},
    "mmlu": {"gold": "C", "options": ("a", "b", "c", "d"), "metadata": '{"subject": "anatomy"}'},
    "mmlu_pro": {"id": "mmlu_pro-70", "gold": "C", "options": ("a", "b", "c"), "metadata": '{"category": "law"}'},
    "olympiadbench": {"id": "olympiadbench-1606", "gold": "2,3", "kind": "math", "family": "Algebra"},
}
# A right and a wrong reply, as each benchmark's own prompt asks for it.
REPLIES = {
    "aime24": ("So \\boxed{33}.", "So \\boxed{34}."),
    "aime25": ("$70$", "$71$"),
    "amc23": ("\\boxed{27}", "\\boxed{-27}"),
    "arc_challenge": ("B.", "C."),
    "gsm8k": ("#### 1,200", "#### 120"),
    "math_500": ("\\boxed{\\dfrac12}", "\\boxed{\\dfrac13}"),
    "minervamath": ("\\boxed{4.5001e33}", "\\boxed{4.6e33}"),
    "mmlu": ("Answer: C", "Answer: D"),
    "mmlu_pro": ("The answer is (C).", "The answer is (D)."),
    "olympiadbench": ("So the final answer is \\boxed{3,2}.", "So the final answer is \\boxed{2,4}."),
}


def official(name: str, found: Example, reply: str) -> bool | None:
    shown = {"id": "x", "gold": found.gold, "options": found.options, "metadata": found.metadata}
    return rules.apply(name, shown, reply, {}).correct


def is_right(found: Example) -> bool:
    """Whether the check of every row has nothing to mend in an example."""
    named = replace(found, id=found.id or "x")
    return right(named, Counter()) == named


@pytest.mark.parametrize("name", ROWS)
def test_a_row_as_it_is_published(name: str) -> None:
    found = module(name).example(ROWS[name])
    assert {field: getattr(found, field) for field in EXPECTED[name]} == EXPECTED[name]
    assert found.source == name
    assert found.images == ()
    assert is_right(found)
    assert not rules.missing_metadata(name, found.metadata)
    right, wrong = REPLIES.get(name, (f"Answer: {found.gold}", f"Answer: {'A' if found.gold != 'A' else 'B'}"))
    assert official(name, found, right) is True
    assert official(name, found, wrong) is False


@pytest.mark.parametrize("name", ROWS)
def test_nulls_and_other_types_end_no_job(name: str) -> None:
    for column in ROWS[name]:
        for value in (None, [], [None], {"a": 1}, True, 0.5, "x"):
            outcome = tried(name, {**ROWS[name], column: value})
            assert outcome in (*ROWS[name], "an example"), (column, value)


@pytest.mark.parametrize("name", ROWS)
def test_a_column_that_is_not_there_is_named(name: str) -> None:
    for column in ROWS[name]:
        outcome = tried(name, {key: value for key, value in ROWS[name].items() if key != column})
        assert outcome in ("an example", f"no column {column!r}")


def tried(name: str, row: dict[str, Any]) -> str:
    """Return the column for which a row is put aside, that an example came of it, or which column it lacks."""
    try:
        module(name).example(row)
    except RowError as error:
        return error.column
    except DataError as error:
        return str(error).partition(";")[0]
    return "an example"


ODD: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("aime24", {"answer": 33}, {"gold": "33"}),
    ("aime24", {"answer": "000"}, {"gold": "0"}),
    ("aime25", {"answer": "588", "id": 7}, {"gold": "588", "id": "aime25-7"}),
    ("amc23", {"answer": -1.0}, {"gold": "-1"}),
    (
        "arc_challenge",
        {"choices": {"text": ["x", "y", "z", "u", "v"], "label": ["A", "B", "C", "D", "E"]}, "answerKey": "E"},
        {"gold": "E"},
    ),
    ("gsm8k", {"answer": "#### -5"}, {"gold": "-5"}),
    ("math_500", {"answer": "\\text{Evelyn}", "level": None}, {"kind": "text", "difficulty": 0}),
    ("math_500", {"answer": "(3,\\frac{\\pi}{2})"}, {"kind": "math"}),
    ("mmlu_pro", {"options": list("abcdefghij"), "answer_index": 9}, {"gold": "J"}),
    ("mmlu_pro", {"options": ["a", "N/A", "c"], "answer_index": 2}, {"gold": "C", "options": ("a", "N/A", "c")}),
    ("olympiadbench", {"final_answer": ["$x=\\frac{1}{2}$"]}, {"gold": "x=\\frac{1}{2}"}),
    ("olympiadbench", {"final_answer": ["$2$ and $3$"]}, {"gold": "$2$ and $3$"}),
]


@pytest.mark.parametrize(("name", "columns", "expected"), ODD)
def test_odd_rows_are_read(name: str, columns: dict[str, Any], expected: dict[str, Any]) -> None:
    found = module(name).example({**ROWS[name], **columns})
    assert {field: getattr(found, field) for field in expected} == expected
    assert is_right(found)


ASIDE: list[tuple[str, dict[str, Any], tuple[str, str]]] = [
    ("aime24", {"answer": "about 33"}, ("its answer is no whole number", "answer")),
    ("aime24", {"answer": -3}, ("its answer is no whole number", "answer")),
    ("arc_challenge", {"answerKey": "E"}, ("the answer is none of the labels", "answerKey")),
    ("arc_challenge", {"choices": ["a", "b"]}, ("expected `text` and `label`", "choices")),
    ("gsm8k", {"answer": "1200"}, ("no number behind ####", "answer")),
    ("mmlu", {"choices": ["a", None, "c", "d"]}, ("expected a list of texts", "choices")),
    ("mmlu", {"answer": 4}, ("no option has this index", "answer")),
    ("mmlu", {"answer": -1}, ("no option has this index", "answer")),
    ("mmlu", {"answer": "C"}, ("expected an index, got str", "answer")),
    ("mmlu_pro", {"answer_index": 3}, ("no option has this index", "answer_index")),
    ("olympiadbench", {"final_answer": []}, ("not one text with the answers", "final_answer")),
]


@pytest.mark.parametrize(("name", "columns", "expected"), ASIDE)
def test_rows_that_cannot_be_used_say_why(name: str, columns: dict[str, Any], expected: tuple[str, str]) -> None:
    with pytest.raises(RowError) as caught:
        module(name).example({**ROWS[name], **columns})
    assert (caught.value.reason, caught.value.column) == expected


def test_the_options_of_gpqa_are_shuffled_by_their_question() -> None:
    """Always the same for a row, recorded, and the right one in every place over many rows."""
    example, row = module("gpqa").example, ROWS["gpqa"]
    assert example(row) == example({**row, "Subdomain": "other"})
    letters = set()
    for number in range(40):
        found = example({**row, "Question": f"Question {number}"})
        answers = ["right", "one", "two", "three"]
        assert found.options == tuple(answers[place] for place in json.loads(found.metadata)["order"])
        assert found.options["ABCD".index(found.gold)] == "right"
        letters.add(found.gold)
    assert letters == set("ABCD")


OLYMPIAD = [
    # reply, gold, error, correct, why
    ("So the final answer is \\boxed{5}.", "5", "", True, "the box"),
    ("It is \\boxed{4}. So the final answer is \\boxed{5}", "5", "", True, "only what follows the sentence counts"),
    ("\\boxed{2} and \\boxed{3}", "3,2", "", True, "all boxes, in any order"),
    ("\\boxed{2}", "2,3", "", False, "one answer is missing"),
    ("\\boxed{\\pm 2}", "2,-2", "", None, "both signs are two answers, and the spaces leave them to SymPy"),
    ("\\boxed{500}", "5", "", True, "a hundredfold is right"),
    ("\\boxed{5.01}", "5", "", False, "numbers are within 1e-8"),
    ("\\boxed{5.01}", "5", "0.01", True, "or within the row's own tolerance"),
    ("\\boxed{2.05,3}", "2,3", "0.1,", True, "a tolerance for each answer"),
    ("\\boxed{2,3}", "2,4", "0.1,0.1,0.1", None, "tolerances that do not fit are left open"),
    ("the value\nis $5$", "5", "", True, "without a box the formulas of the last line"),
    ("\\boxed{x \\in 5}", "5", "", True, "only what follows the first sign of membership"),
    ("\\boxed{\\frac{1}{2}}", "0.5", "", None, "formulas are left to SymPy"),
    ("\\boxed{5", "5", "", False, "a box that does not close"),
    ("{\\boxed{5}", "5", "", True, "other braces need not"),
    ("\\boxed{\\boxed{5}}", "5", "", False, "a box in a box counts twice"),
    ("\\boxed{50%}", "50", "", True, "the per cent sign does not matter"),
    ("\\boxed{\\mathrm{yes}}", "yes", "", True, "upright letters are letters"),
    ("", "5", "", False, "no answer is one answer too few"),
]


@pytest.mark.parametrize(("reply", "gold", "error", "correct", "why"), OLYMPIAD)
def test_olympiadbench(reply: str, gold: str, error: str, correct: bool | None, why: str) -> None:
    found = olympiad(Item(reply, gold, (), {"answer_type": "Numerical", "error": error}))
    assert found.correct is correct, (why, found)


MINERVA = [
    ("\\boxed{45}", "0.45", True, "a hundredfold is right"),
    ("\\boxed{45\\%}", "0.45", True, "per cent"),
    ("\\boxed{1,000}", "1000", True, "commas"),
    ("\\boxed{1000.2}", "1000", False, "further than 1e-4"),
    ("The answer is x.", "X", True, "the sentence, without case and full stop"),
    (
        "Final Answer: The final answer is $\\frac{1}{2}$. I hope it is correct.",
        "\\frac{1}{2}",
        True,
        "Minerva's words",
    ),
    ("of 3 about 7 remain", "7", True, "the last number"),
    ("\\boxed{\\frac{1}{2}}", "0.5", None, "formulas are left to SymPy"),
    ("\\boxed 7$", "7", True, "a box without braces"),
    ("nothing", "7", False, "no answer"),
]


@pytest.mark.parametrize(("reply", "gold", "correct", "why"), MINERVA)
def test_minervamath(reply: str, gold: str, correct: bool | None, why: str) -> None:
    found = module("minervamath").judge(Item(reply, gold))
    assert found.correct is correct, (why, found)


ARC = [
    ("B", True, "the letter"),
    ("(b)", True, "without case and brackets"),
    ("B. Because it is.", True, "up to the first full stop"),
    ("B\n\nC", True, "up to the first empty line"),
    ("The best answer is B", False, "the harness writes this itself"),
    ("days", False, "the option's text is no letter"),
    ("", False, "no reply"),
]


@pytest.mark.parametrize(("reply", "correct", "why"), ARC)
def test_arc_challenge(reply: str, correct: bool, why: str) -> None:
    found = module("arc_challenge").example(ROWS["arc_challenge"])
    assert official("arc_challenge", found, reply) is correct, why
