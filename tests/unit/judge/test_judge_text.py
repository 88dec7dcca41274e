"""Text: equal but for case, white space and punctuation."""

import pytest

from reassess.judge import judge

CASES = [
    ("Paris", "paris", True, "case"),
    ("  Paris\n", "Paris", True, "white space around"),
    ("Paris.", "Paris", True, "a full stop"),
    ('"Paris"', "Paris", True, "quotation marks"),
    ("**Paris**", "Paris", True, "emphasis"),
    ("The answer is Paris.", "Paris", True, "a phrase"),
    ("New   York", "New York", True, "white space inside"),
    ("ice-cream", "ice cream", True, "a hyphen"),
    ("icecream", "ice cream", True, "no space"),
    ("Ｐａｒｉｓ", "Paris", True, "full-width letters"),
    ("cafe\u0301", "café", True, "a composed accent"),
    ("Stra\u00dfe", "strasse", True, "case folding"),
    ("don’t", "don't", True, "an apostrophe"),
    ("\\text{Paris}", "Paris", True, "LaTeX text"),
    ("London", "Paris", False, "another word"),
    ("Paris or London", "Paris", False, "a hedge"),
    ("Paris, London", "Paris", False, "a list"),
    ("not Paris", "Paris", False, "a denial"),
    ("Par", "Paris", False, "a part of the gold"),
    ("Paris in France", "Paris", False, "more than the gold"),
    ("3.5", "35", False, "a decimal point carries meaning"),
    ("-5", "5", False, "a sign carries meaning"),
    ("1 2", "12", False, "two numbers are not one"),
    ("1,000", "1000", True, "a thousands separator"),
    ("1,2", "12", False, "a list of two numbers"),
    ("5:0", "50", False, "a score is no number"),
    ("12/12/2011", "12/12/2011", True, "a date"),
    ("12/11/2011", "12/12/2011", False, "another date"),
    ("50%", "50", False, "percent carries meaning"),
    ("A+", "A-", False, "a grade"),
    ("C++", "C", False, "a name with signs"),
    ("x > 3", "x < 3", False, "a sign between words"),
    ("<", "<", True, "a sign alone"),
    (">", "<", False, "another sign alone"),
    ("yes", "Yes", True, "yes"),
    ("no", "yes", False, "no for yes"),
    ("true", "yes", False, "true is another word than yes"),
    ("Yes, there is a cat.", "yes", True, "yes with an explanation"),
    ("No.", "no", True, "no with a full stop"),
    ("Yes and no", "yes", False, "both"),
    ("Yes, or rather no.", "yes", False, "a change of mind"),
    ("Nothing", "no", False, "a word that begins with no"),
    ("Yes, there is a cat.", "cat", False, "a word of the explanation"),
    ("九", "九", True, "another script"),
    ("八", "九", False, "another character of another script"),
]


@pytest.mark.parametrize(("response", "gold", "correct", "why"), CASES, ids=[case[3] for case in CASES])
def test_text(response: str, gold: str, correct: bool, why: str) -> None:
    assert judge(response, gold, "text").correct is correct, why


def test_any_of_a_list_of_answers() -> None:
    assert judge("grey", "['gray', 'grey']", "text").correct is True
    assert judge("green", "['gray', 'grey']", "text").correct is False
    assert judge("gray, grey", "['gray', 'grey']", "text").correct is False
