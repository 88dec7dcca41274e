"""Cells as text, options and levels, and responses taken apart."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reassess.sources.responses import NO_ANSWER, read_response
from reassess.sources.values import RowError, level, option_columns, options, text, texts

TEXTS: list[tuple[Any, str]] = [
    (None, ""),
    (float("nan"), ""),
    (pd.NaT, ""),
    (pd.NA, ""),
    (np.float32("nan"), ""),
    (decimal.Decimal("NaN"), ""),
    ("  ", ""),
    ([], ""),
    (" a ", " a "),
    (b"caf\xc3\xa9", "café"),
    (2, "2"),
    (2.0, "2"),
    (-0.0, "0"),
    (0.1, "0.1"),
    (1e-7, "1e-07"),
    (1e22, "1e+22"),
    (np.int64(7), "7"),
    (np.float64(2.0), "2"),
    (np.bool_(True), "True"),
    (True, "True"),
    (False, "False"),
    (decimal.Decimal("2.00"), "2"),
    (decimal.Decimal("2.50"), "2.5"),
    (decimal.Decimal("1E+3"), "1000"),
]


@pytest.mark.parametrize(("cell", "wanted"), TEXTS)
def test_a_cell_as_text(cell: Any, wanted: str) -> None:
    assert text(cell, "answer") == wanted


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (b"caf\xe9", "not UTF-8 text"),
        ("\ud800", "not UTF-8 text"),
        (float("inf"), "not a finite number"),
        (decimal.Decimal("Infinity"), "not a finite number"),
        (["a"], "a list or a mapping in place of text"),
        (np.array([1, 2]), "a list or a mapping in place of text"),
        ({"a": 1}, "a list or a mapping in place of text"),
        (datetime.date(2020, 1, 2), "a date in place of text (a spreadsheet makes one of 1/2)"),
        (pd.Timestamp("2020-01-02"), "a date in place of text (a spreadsheet makes one of 1/2)"),
    ],
)
def test_a_cell_that_is_no_text(cell: Any, reason: str) -> None:
    with pytest.raises(RowError) as error:
        text(cell, "answer")
    assert (error.value.reason, error.value.column) == (reason, "answer")


def test_texts_are_one_or_a_list() -> None:
    assert texts(None, "r") == ()
    assert texts("a", "r") == ("a",)
    assert texts(np.array(["a", "b"]), "r") == ("a", "b")
    for cell in (["a", float("nan")], [pd.NA], [None, np.array([1, 2])]):
        with pytest.raises(RowError, match="an empty value in a list"):
            texts(cell, "r")


def test_a_level_is_a_whole_number() -> None:
    assert [level(cell, "level", strict=True) for cell in (None, 3, 3.0, "3", "Level 5", "level 2")] == [
        0,
        3,
        3,
        3,
        5,
        2,
    ]
    assert [level(cell, "level", strict=False) for cell in ("hard", 0.5, "Level ?")] == [0, 0, 0]
    with pytest.raises(RowError, match="the level is not a whole number"):
        level("hard", "level", strict=True)


OPTIONS: list[tuple[Any, tuple[str, ...]]] = [
    (None, ()),
    ("", ()),
    ([], ()),
    ("[]", ()),
    (["x", "y"], ("x", "y")),
    (np.array(["x", "y"], dtype=object), ("x", "y")),
    ([1, 2.0, 0.5], ("1", "2", "0.5")),
    ("['x', \"y's\"]", ("x", "y's")),
    ('["x", "y"]', ("x", "y")),
    ("[1, 2]", ("1", "2")),
    (["A. x", "B. y"], ("x", "y")),
    (["(A) x", "(B) y"], ("x", "y")),
    (["A", "B", "C"], ("A", "B", "C")),
    (["A. x", "y"], ("A. x", "y")),
    (["A. Lincoln", "G. Washington"], ("A. Lincoln", "G. Washington")),
    ({"A": "x", "B": "y"}, ("x", "y")),
    ({"A": "x", "B": "y", "C": None}, ("x", "y")),
    ("{'A': 'x', 'B': 'y'}", ("x", "y")),
    ("A. 1,000;B. 2; and more;C. 3", ("1,000", "2; and more", "3")),
    ("A. 3; B. 4; C. No correct answer", ("3", "4", "No correct answer")),
    ("A) x\nB) y", ("x", "y")),
    ("(A) x (B) y (C) z", ("x", "y", "z")),
    ("A: x, B: y", ("x", "y")),
    ("A、四；B、五".replace("；", ";"), ("四", "五")),
]


@pytest.mark.parametrize(("cell", "wanted"), OPTIONS)
def test_options_in_one_cell(cell: Any, wanted: tuple[str, ...]) -> None:
    assert options(cell, "options") == (wanted, {})


def test_options_with_labels_of_their_own() -> None:
    cell = {"text": ["x", "y"], "label": ["1", "2"]}
    assert options(cell, "choices") == (("x", "y"), {"1": "A", "2": "B"})
    with pytest.raises(RowError, match="not a list of options"):
        options({"text": ["x", "y"], "label": ["1"]}, "choices")


@pytest.mark.parametrize(
    "cell",
    [
        "x or y",
        "A. x;C. y",
        "A. x; B. y; E. z",
        "B. x; C. y",
        {"A": "x", "C": "y"},
        {"left": "x", "right": "y"},
        "A. x",
        ["(B) x", "(A) y"],
    ],
)
def test_options_that_are_not_lettered_in_order(cell: Any) -> None:
    with pytest.raises(RowError, match="options are not lettered A, B, C"):
        options(cell, "options")


def test_options_in_columns() -> None:
    columns = ("A", "B", "C", "D")
    assert option_columns(["x", "y", "", None], columns) == ("x", "y")
    assert option_columns(["x", 2.0, "nan", float("nan")], columns) == ("x", "2")
    assert option_columns([None] * 4, columns) == ()
    assert option_columns(["x", "y", pd.NA], columns[:3]) == ("x", "y")
    with pytest.raises(RowError, match="an option is missing before others") as error:
        option_columns(["x", None, "z", None], columns)
    assert error.value.column == "B"


LONG = "We look at the picture and think. " * 8
RESPONSES: list[tuple[str, str, str | None]] = [
    ("red", "red", None),
    ("<think>r</think><answer>5</answer>", "5", "r"),
    ("<think></think><answer>5</answer>", "5", ""),
    ("<think>\n \n</think>5", "5", "\n \n"),
    ("<think>yes</think>\n\nThe colour is \\boxed{red}.", "red", "yes"),
    ("r</think>5", "5", "r"),
    ("<think>\\boxed{3}? no</think>\\boxed{4}", "4", "\\boxed{3}? no"),
    ("We add. <answer>5</answer>", "5", "We add."),
    ("<answer>4</answer> or rather <answer>5</answer>", "5", None),
    ("<answer>\\boxed{5}</answer>", "5", None),
    ("So $x = \\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}", "So $x = \\frac{1}{2}$."),
    ("$\\boxed{5}$.", "5", None),
    ("First \\boxed{3}. Then \\boxed{5}, in the end.", "5", "First 3. Then 5, in the end."),
    ("2+2=4\n#### 1,000", "1,000", "2+2=4"),
    (LONG + "The answer is 5.", "5", LONG.strip()),
    (LONG + "\nFinal Answer: (B)", "(B)", LONG.strip()),
    (LONG + "\n**Answer:** 3.5 cm", "3.5 cm", LONG.strip()),
    ("The answer is 5.", "5", None),
]


@pytest.mark.parametrize(("response", "gold", "rationale"), RESPONSES)
def test_a_response_is_taken_apart(response: str, gold: str, rationale: str | None) -> None:
    assert read_response(response, "response") == (gold, rationale)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (LONG, NO_ANSWER),
        ("<think>r</think>" + LONG, NO_ANSWER),
        ("<think>r</think>", NO_ANSWER),
        ("<think>r</think><answer> </answer>", NO_ANSWER),
        ("It is." + "\n" * 200_000 + "It is.", NO_ANSWER),
        (" " * 200_000 + "<think>", "the tags of the response do not match"),
        (LONG + "The answer is found by adding.\nAnd so on.", NO_ANSWER),
        ("Answer: 4\n\nExplanation: two and two.", NO_ANSWER),
        ("<think>r", "the tags of the response do not match"),
        ("<think>r</think><answer>5", "the tags of the response do not match"),
        ("<think>r</think></think>5", "the tags of the response do not match"),
    ],
)
def test_a_response_without_a_final_answer(response: str, reason: str) -> None:
    with pytest.raises(RowError) as error:
        read_response(response, "response")
    assert (error.value.reason, error.value.column) == (reason, "response")
