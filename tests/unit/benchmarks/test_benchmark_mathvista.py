"""MathVista's rule: short cuts, the nearest option, and numbers as text."""

import time
from typing import Any

import pytest

from reassess.benchmarks import mathvista
from reassess.benchmarks.item import Item

SHAPES = ("triangle", "square", "circle", "pentagon")
NUMBERS = ("3/11", "8/11", "6/11", "3/5")

# What a judge model extracted, options, gold, correct, why.
CHOICES = [
    ("B", SHAPES, "square", True, "a letter is the option's text"),
    ("(B) square", SHAPES, "square", True, "a letter in parentheses"),
    ("(b)", SHAPES, "square", True, "a small letter in parentheses"),
    ("not (A) but (B)", SHAPES, "triangle", True, "the first letter in parentheses, whatever the words"),
    (" B\n", SHAPES, "square", True, "the extraction is stripped"),
    ("square", SHAPES, "square", True, "the text"),
    ("a square", SHAPES, "square", True, "the nearest text"),
    ("B.", NUMBERS, "3/5", True, "a full stop makes it no letter: the shortest text is nearest"),
    ("b", SHAPES, "square", True, "a small letter is none: of two texts as near the first"),
    ("(E)", SHAPES, "square", True, "a letter beyond the options is compared as the text E"),
    ("", SHAPES, "square", True, "nothing extracted: the first of the shortest"),
    ("none of them", SHAPES, "pentagon", False, "something is chosen all the same"),
    ("f(a) = 8/11", NUMBERS, "3/11", True, "the argument of a function is the letter A"),
    ("B", SHAPES, "Square", False, "the gold is compared by case"),
    ("B", SHAPES, "B", True, "rows of a user's own have a letter in place of the text"),
    ("A", SHAPES, "B", False, "which is the letter of one option"),
    ("A", ("B", "A"), "B", True, "unless the text is a letter itself"),
]

# Extraction, answer type, precision, gold, correct, why.
NUMBERS_AND_LISTS = [
    ("14", "integer", None, "14", True, "an integer"),
    ("5.7", "integer", None, "5", True, "an integer is cut towards zero"),
    ("-5.7", "integer", None, "-5", True, "below zero too"),
    ("1e3", "integer", None, "1000", True, "as Python reads numbers"),
    ("14 cm", "integer", None, "14", False, "a unit is wrong"),
    ("1,000", "integer", None, "1000", False, "so is a comma"),
    ("$14", "integer", None, "14", False, "and a sign of currency"),
    ("inf", "integer", None, "0", False, "infinity is no integer"),
    ("1.45", "float", 2.0, "1.45", True, "a float"),
    ("1.4532", "float", 2.0, "1.45", True, "rounded to the precision"),
    ("1.45", "float", 1.0, "1.4", True, "rounded by Python, in binary"),
    ("2", "float", 1.0, "2.0", True, "written by Python"),
    ("0.7", "float", 2.0, "0.70", False, "a gold with a zero at the end is never met"),
    ("0.7", "float", "1", "0.7", True, "the precision may be text"),
    ("0.7", "float", None, "0.7", False, "without a precision nothing is right"),
    ("70%", "float", 1.0, "0.7", False, "a percentage is no number"),
    ("[2007, 2008]", "list", None, "[2007, 2008]", True, "a list as text"),
    ("[2007,2008]", "list", None, "[2007, 2008]", False, "blanks in a list count"),
]

# Reply, question type, answer type, options, gold, correct, why.
SHORT_CUTS = [
    ("square", "multi_choice", "text", SHAPES, "square", True, "a reply that is an option"),
    ("circle", "multi_choice", "text", SHAPES, "square", False, "a reply that is another option"),
    ("square ", "multi_choice", "text", SHAPES, "square", None, "a blank more goes to a model"),
    ("B", "multi_choice", "text", SHAPES, "square", None, "a letter goes to a model"),
    ("", "multi_choice", "text", SHAPES, "square", True, "an empty reply is the shortest option"),
    (" 14\n", "free_form", "integer", (), "14", True, "an integer, blanks aside"),
    ("14.0", "free_form", "integer", (), "14", None, "a float for an integer goes to a model"),
    ("12345678901234567", "free_form", "integer", (), "12345678901234568", True, "integers pass through a float"),
    ("1.449", "free_form", "float", (), "1.4", True, "a float"),
    ("The answer is 14.", "free_form", "integer", (), "14", None, "a sentence goes to a model"),
    ('The answer is "14".', "free_form", "integer", (), "14", None, "the quick extraction is off"),
    ("", "free_form", "integer", (), "14", False, "an empty reply asks no model"),
    ("", "free_form", "list", (), "", True, "and is a list of its own"),
    ("[1, 2]", "free_form", "list", (), "[1, 2]", None, "a list goes to a model"),
]


def item(reply: str, gold: str, options: tuple[str, ...] = (), answer: str | None = None, **metadata: Any) -> Item:
    columns = {"question_type": "free_form", "answer_type": "text", "precision": 1.0} | metadata
    return Item(reply, gold, options, columns, answer)


@pytest.mark.parametrize(("extraction", "options", "gold", "correct", "why"), CHOICES, ids=[c[4] for c in CHOICES])
def test_choice(extraction: str, options: tuple[str, ...], gold: str, correct: bool, why: str) -> None:
    assert (
        mathvista.judge(item("So ...", gold, options, extraction, question_type="multi_choice")).correct is correct
    ), why


@pytest.mark.parametrize(
    ("extraction", "kind", "precision", "gold", "correct", "why"),
    NUMBERS_AND_LISTS,
    ids=[case[5] for case in NUMBERS_AND_LISTS],
)
def test_free_form(extraction: str, kind: str, precision: object, gold: str, correct: bool, why: str) -> None:
    found = mathvista.judge(item("So ...", gold, (), extraction, answer_type=kind, precision=precision))
    assert found.correct is correct, why


@pytest.mark.parametrize(
    ("reply", "question", "kind", "options", "gold", "correct", "why"), SHORT_CUTS, ids=[case[6] for case in SHORT_CUTS]
)
def test_short_cut(
    reply: str, question: str, kind: str, options: tuple[str, ...], gold: str, correct: bool | None, why: str
) -> None:
    found = mathvista.judge(item(reply, gold, options, question_type=question, answer_type=kind))
    assert found.correct is correct, why


def test_a_short_cut_goes_before_the_model() -> None:
    assert mathvista.judge(item("14", "14", (), "15", answer_type="integer")).correct is True


def test_the_answer_is_what_was_compared() -> None:
    found = mathvista.judge(item("So ...", "square", SHAPES, "(C)", question_type="multi_choice"))
    assert found == (False, "circle", "extracted by a model")
    assert mathvista.judge(item("So ...", "5", (), "five", answer_type="integer")).answer is None


def test_a_choice_without_options_has_no_verdict() -> None:
    assert mathvista.judge(item("B", "square", (), "B", question_type="multi_choice")).correct is None


def distance_by_table(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for index, character in enumerate(one, 1):
        above, row = row, [index]
        for column, against in enumerate(other, 1):
            row.append(min(row[-1] + 1, above[column] + 1, above[column - 1] + (character != against)))
    return row[-1]


def test_the_edit_distance_is_levenshteins() -> None:
    words = [
        "",
        "a",
        "b",
        "ab",
        "kitten",
        "sitting",
        "Saturday",
        "Sunday",
        "aaaa",
        "abab" * 20,
        "∠ABC",
        "x" * 70,
        "ba" * 33,
    ]
    for one in words:
        for other in words:
            assert mathvista.edit_distance(one, other) == distance_by_table(one, other), (one, other)


@pytest.mark.parametrize("text", ["x " * 50_000, "9" * 100_000, "(" * 100_000, "\x00∞" * 50_000])
def test_long_text_is_read_in_bounded_time(text: str) -> None:
    begin = time.process_time()
    for kind in ("integer", "float", "list", "text"):
        mathvista.judge(item(text, "5", (), text, answer_type=kind))
    mathvista.judge(item(text, "square", SHAPES, text, question_type="multi_choice"))
    assert time.process_time() - begin < 20
