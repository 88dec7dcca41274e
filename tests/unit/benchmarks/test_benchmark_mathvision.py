"""MATH-Vision's rule: where the answer is found, and what counts as equal."""

import time

import pytest

from reassess.benchmarks import mathvision
from reassess.benchmarks.item import Item

LETTERS = ("A", "B", "C", "D", "E")
ANGLES = ("$10^{\\circ}$", "$20^{\\circ}$", "$30^{\\circ}$", "$40^{\\circ}$", "$50^{\\circ}$")
RATIOS = ("1:2", "1:3", "2:5", "4:11", "3:8")
LENGTHS = ("$\\frac{5\\sqrt{2}}{2}$", "$\\sqrt{11}$", "$2\\sqrt{3}$", "$20\\pi/3$", "3x+2")

FOUND = [
    # reply, the answer found, why
    ("B", "b", "small letters"),
    ("  B  ", "b", "stripped"),
    ("So it must be B.", "b", "a reply that ends in a letter"),
    ("So it must be (B).", "b", "a reply that ends in a letter in parentheses"),
    ("So it must be B", "soitmustbeb", "without a full stop it is no letter"),
    ("So it must be F.", "soitmustbef", "F is no letter"),
    ("B\nbecause ...", "b", "a first line that is a letter"),
    ("(B)\nbecause ...", "b", "a first line that is a letter in parentheses"),
    ("(B) B\nbecause ...", "b", "a letter twice"),
    ("A\nno, it is B.", "a", "an earlier letter of the alphabet is found first"),
    ("(B)", "b", "parentheses go"),
    ("\\boxed{B}", "b", "a box"),
    ("\\boxed{\\text{B}}", "b", "a text in a box"),
    ("\\boxed{(B)}", "b", "parentheses in a box"),
    ("The correct option is \\boxed{B}.", "b", "a box in a sentence"),
    ("\\boxed{A}, no: \\boxed{B}", "b", "the last box"),
    ("\\boxed{12", "\\boxed{12", "a box that is not closed"),
    ("The length is 12.", "12", "a number after the last is"),
    ("From this 12", "12", "is in another word"),
    ("The length is 12 cm.", "thelengthis12cm", "a number with a unit does not follow is"),
    ("The answer is B. It fits.", "b", "a phrase, up to the full stop"),
    ("the correct answer is 7\nIndeed.", "7", "a phrase, up to the end of the line"),
    ("So the answer should be: 7 apples", "7apples", "a phrase and a colon"),
    ("The Answer is 7 apples", "theansweris7apples", "a phrase with another capital"),
    ("Answer: B", "answer:b", "no phrase"),
    ("**B**", "**b**", "emphasis stays"),
    ("B)", "b)", "one parenthesis stays"),
    ("\\boxed{x = 5}", "5", "what follows the equals sign"),
    ("\\boxed{x \\approx 5.2}", "5.2", "what follows the approximation"),
    ("\\boxed{12^\\circ}", "12", "degrees"),
    ("\\boxed{12\\text{ cm}}", "12{cm}", "a unit stays in braces"),
    ("\\boxed{12\\text{ km}}", "12", "kilometres go"),
    ("\\boxed{12\\%}", "12", "a percent sign with a backslash goes"),
    ("\\boxed{12%}", "12%", "a percent sign without stays"),
    ("\\boxed{.5}", "\\frac{1}{2}", "one half is a fraction"),
    ("\\boxed{3/4}", "\\frac{3}{4}", "a quotient of integers is a fraction"),
    ("\\boxed{03/4}", "03/4", "unless it is written otherwise"),
    ("\\boxed{\\dfrac{3}{4}}", "\\frac{3}{4}", "another fraction"),
    ("\\boxed{\\frac34}", "\\frac34", "a fraction without braces is not mended"),
    ("\\boxed{\\frac{\\sqrt3}2}", "\\frac{\\sqrt{3}}2", "a root without braces is"),
    ("\\boxed{\\frac12\\sqrt3}", "\\frac{1}{2}\\sqrt{3}", "and so is a fraction beside it"),
    ("\\boxed{\\sqrt[3]{8}}", "\\sqrt{[}3]{8}", "a root with an index is spoilt"),
    ("\\boxed{(1, \\infty)}", "(1,\\infty)", "blanks go"),
    ("", "", "nothing"),
]

EQUAL = [
    # reply, gold, options, correct, why
    ("B", "B", LETTERS, True, "the letter"),
    ("C", "B", LETTERS, False, "another letter"),
    ("b", "B", (), True, "case"),
    ("\\boxed{1:3}", "B", RATIOS, True, "the option's text"),
    ("\\boxed{1/3}", "B", RATIOS, True, "a ratio is a quotient"),
    ("\\boxed{0.33}", "B", RATIOS, True, "rounded to two decimals"),
    ("\\boxed{1:2}", "B", RATIOS, False, "another option's text"),
    ("\\boxed{30^\\circ}", "C", ANGLES, False, "an option in degrees is no number"),
    ("C", "C", ANGLES, True, "its letter is"),
    ("\\boxed{\\sqrt{11}}", "B", LENGTHS, True, "a root"),
    ("\\boxed{3.32}", "B", LENGTHS, True, "its value"),
    ("\\boxed{\\sqrt{12}}", "C", LENGTHS, True, "another form of a root"),
    ("\\boxed{\\frac{5}{\\sqrt 2}}", "A", LENGTHS, True, "another form of a fraction"),
    ("\\boxed{\\frac{20}{3}\\pi}", "D", LENGTHS, True, "π"),
    ("\\boxed{3x+2}", "E", LENGTHS, True, "symbols as text"),
    ("\\boxed{2+3x}", "E", LENGTHS, False, "symbols have no value"),
    ("B", "BC", LETTERS, False, "a gold of several letters"),
    ("C", "C", (), True, "an open question whose gold is a letter"),
    ("6", "6", (), True, "a number"),
    ("6.0", "6", (), True, "the value"),
    ("6.004", "6", (), True, "two decimals"),
    ("6.006", "6", (), False, "beyond two decimals"),
    ("0.004", "0.001", (), True, "small values are all zero"),
    ("1,000", "1000", (), True, "a comma before three digits"),
    ("1,00", "100", (), False, "a comma before two digits is a list"),
    ("\\boxed{3:46}", "3:45", (), True, "times are quotients"),
    ("\\boxed{50\\%}", "50\\%", (), False, "a percent sign in the gold counts"),
    ("\\boxed{0.5}", "50\\%", (), True, "and makes it a hundredth"),
    ("\\boxed{69^\\circ}", "69{degrees}", (), False, "a gold with a word"),
    ("\\boxed{69 \\text{degrees}}", "69{degrees}", (), True, "is met by its spelling"),
    ("\\boxed{\\frac{36}{13}}", "\x0crac{36}{13}", (), False, "a gold with a broken escape is not met"),
    ("\\boxed{5}", "$\\boxed{5}$", (), False, "nor one in a box"),
    ("\\boxed{(3, -4)}", "(3,-4)", (), True, "a tuple"),
    ("\\boxed{(3.0, -4)}", "(3,-4)", (), True, "a tuple of values"),
    ("\\boxed{(\\frac{6}{2}, -4)}", "(3,-4)", (), False, "a quotient in a tuple is a float"),
    ("\\boxed{(\\frac{1}{2}, 1)}", "(0.5,1)", (), True, "as is a decimal number"),
    ("\\boxed{(-\\infty, 3)}", "(-\\infty,3)", (), True, "infinity as text"),
    ("\\boxed{(-∞, 3.0)}", "(-\\infty,3)", (), True, "infinity beside a value"),
    ("\\boxed{(0, 3]}", "(0,3]", (), True, "a half-open interval as text"),
    ("\\boxed{(0, 3.0]}", "(0,3]", (), False, "it has no values"),
    ("\\boxed{3, 4}", "4, 3", (), False, "a list has no order of its own"),
    ("", "6", (), False, "an empty reply"),
    ("6", "", (), False, "an empty gold"),
    ("6", " ", (), False, "a blank gold"),
]

VALUES = [
    ("1/2\\pi", 0.159, "juxtaposition binds before the slash"),
    ("2^10", 1024, "an exponent is a whole number"),
    ("2^{3}^2", 64, "powers from the left"),
    ("-2^2", -4, "a sign after a power"),
    ("2^{-1}", 0.5, "a negative exponent"),
    ("2--3", 5, "two signs"),
    ("2\\cdot-3", -6, "a sign in a product"),
    ("2(3)[4]", 24, "brackets side by side"),
    ("2 3", 6, "numbers side by side"),
    ("8\\div2\\times3", 12, "products from the left"),
    ("{1\\over4}", 0.25, "over"),
    ("3!", 6, "a factorial"),
    ("2^3!", 40320, "a factorial of a power"),
    ("\\sqrt[3]{27}", 3, "a root with an index"),
    ("\\left(1+2\\right)^2", 9, "sized parentheses"),
    ("1,234.5", 1234.5, "a comma and a point"),
    ("1,2345", 6170, "three digits after a comma, then a factor"),
    ("12\\%", 0.12, "a percentage"),
    (".5", 0.5, "no digit before the point"),
    ("5)and more", 5, "what follows a closing bracket is not read"),
    ("5_2", 5, "nor what follows an underscore"),
    ("3'", 3, "a transpose of a number"),
]

NO_VALUES = [
    "",
    "x",
    "e",
    "5x",
    "5 cm",
    "5%",
    "5°",
    "(5",
    "5+",
    "5 \\%",
    "(5)\\%",
    "\\frac12",
    "\\sqrt2",
    "2^-1",
    "2^(3)",
    "5,6",
    "5;6",
]
NO_VALUES += ["|5|", "\\sin(1)", "1<2", "1/0", "\\sqrt{-1}", "(-8)^{0.5}", "10^{10^{10}}", "9" * 5_000, "2000!", "1.5!"]
NO_VALUES += ["(" * 100 + "1" + ")" * 100, "10.5^{400}", "\\frac{1}{2", "5\\infty", "½"]


def judge(reply: str, gold: str, options: tuple[str, ...] = ()) -> bool | None:
    return mathvision.judge(Item(reply, gold, options)).correct


@pytest.mark.parametrize(("reply", "answer", "why"), FOUND, ids=[case[2] for case in FOUND])
def test_the_answer_is_found(reply: str, answer: str, why: str) -> None:
    assert mathvision.judge(Item(reply, "")).answer == answer, why


@pytest.mark.parametrize(("reply", "gold", "options", "correct", "why"), EQUAL, ids=[case[4] for case in EQUAL])
def test_the_answer_is_compared(reply: str, gold: str, options: tuple[str, ...], correct: bool, why: str) -> None:
    assert judge(reply, gold, options) is correct, why


@pytest.mark.parametrize(("text", "value", "why"), VALUES, ids=[case[2] for case in VALUES])
def test_arithmetic_has_a_value(text: str, value: float, why: str) -> None:
    assert mathvision._Reader(text).value() == pytest.approx(value, abs=5e-3), why


@pytest.mark.parametrize("text", NO_VALUES, ids=[text[:20] for text in NO_VALUES])
def test_anything_else_has_none(text: str) -> None:
    with pytest.raises((ValueError, TypeError, ArithmeticError)):
        mathvision._rounded(text)


def test_a_models_answer_is_not_used() -> None:
    assert mathvision.judge(Item("I think seven", "7", (), {}, "7")).correct is False


def test_the_reason_says_how_they_are_equal() -> None:
    assert mathvision.judge(Item("\\boxed{0.5}", "A", RATIOS)) == (
        True,
        "\\frac{1}{2}",
        "the option's text: equal value",
    )


@pytest.mark.parametrize(
    "text",
    [
        "OXED{" * 20_000,
        "1+" * 50_000 + "1",
        "9" * 100_000,
        "(" * 100_000,
        "1," * 50_000,
        "," + "123," * 25_000,
        "9*" * 50_000,
        "-" * 100_000,
        "is " * 33_000,
        "\\sqrt" * 20_000,
        "\\frac" * 20_000 + "\\sqrt",
        "(" + "9^9," * 25_000 + ")",
    ],
)
def test_long_text_is_read_in_bounded_time(text: str) -> None:
    begin = time.process_time()
    for reply in (text, f"\\boxed{{{text}}}"):
        judge(reply, "A", ("5", "6"))
    judge("5", text)
    assert time.process_time() - begin < 20
