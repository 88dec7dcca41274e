"""Numbers: spelling, units, percent and rounding."""

import time

import pytest

from reassess.judge import judge
from reassess.judge.quantity import read_quantity

CASES = [
    # response, gold, correct, why
    ("1,234", "1234", True, "a comma parts thousands"),
    ("1 234", "1234", True, "a space parts thousands"),
    ("1\\,234", "1234", True, "a thin space parts thousands"),
    ("1{,}234", "1234", True, "a braced comma parts thousands"),
    ("1,234,567.5", "1234567.5", True, "two commas and a decimal point"),
    ("1234", "1,234", True, "separators in the gold"),
    ("12,34", "1234", False, "a comma that does not part thousands"),
    ("−5", "-5", True, "a Unicode minus"),
    ("–5", "-5", True, "a dash for a minus"),
    ("5", "-5", False, "a lost sign"),
    ("+5", "5", True, "a plus sign"),
    ("５", "5", True, "a full-width digit"),
    ("٣", "3", True, "an Arabic-Indic digit"),
    ("5.", "5", True, "a full stop"),
    ("5.0", "5", True, "a trailing zero"),
    (".5", "0.5", True, "no leading zero"),
    ("007", "7", True, "leading zeros"),
    ("$1,000", "1000", True, "a dollar sign"),
    ("\\$5", "5 dollars", True, "an escaped dollar sign and its name"),
    ("$5$", "5", True, "dollars as delimiters"),
    ("-$5", "-5", True, "a sign before the currency"),
    ("€5", "$5", False, "another currency"),
    ("5 EUR", "€5", True, "a currency code"),
    ("250 cents", "$2.50", True, "cents and dollars"),
    ("30%", "0.3", True, "percent against a fraction of one"),
    ("30%", "30", True, "percent against the bare number"),
    ("30", "30%", True, "the bare number against percent"),
    ("0.3", "30%", True, "a fraction of one against percent"),
    ("30", "0.3", False, "a hundred times too much without a percent sign"),
    ("0.3%", "30%", False, "two percentages differ"),
    ("30 percent", "30\\%", True, "percent in words and in LaTeX"),
    ("30%", "30 cm", False, "percent is no length"),
    ("45°", "45", True, "a degree sign that the gold leaves out"),
    ("45", "45^\\circ", True, "a degree sign that the reply leaves out"),
    ("45^{\\circ}", "45 degrees", True, "degrees in words"),
    ("45 cm", "45°", False, "a length for an angle"),
    ("20°F", "20°C", False, "Fahrenheit for Celsius"),
    ("12", "12 meters.", True, "a unit that the reply leaves out"),
    ("12 m", "12", True, "a unit that the gold leaves out"),
    ("12m", "12", True, "a unit that touches the number"),
    ("12 m", "12 meters.", True, "a unit and its symbol"),
    ("12\\text{ m}", "12 metres", True, "a unit in LaTeX"),
    ("12 cm", "12 m", False, "another unit of length"),
    ("1200 cm", "12 m", True, "a converted unit"),
    ("12 kg", "12 m", False, "a mass for a length"),
    ("4 cm", "4 cm²", False, "a length for an area"),
    ("4 square centimeters", "4 cm²", True, "a square unit in words"),
    ("4 sq. cm", "4 cm^2", True, "an abbreviated square unit"),
    ("60 km/h", "60 kilometers per hour", True, "a compound unit"),
    ("60 m/s", "60 km/h", False, "another speed"),
    ("5 N \\cdot m", "5 newton", False, "a torque for a force"),
    ("5 m/s²", "5", True, "an acceleration that the gold leaves bare"),
    ("36 kmh", "10 m/s", True, "a converted speed"),
    ("12 units", "12 cm", True, "the word units names none"),
    ("5 apples", "5", True, "what is counted"),
    ("5 apples", "5 apple", True, "a plural"),
    ("5 apples", "5 oranges", False, "something else is counted"),
    ("3/4", "0.75", True, "a fraction"),
    ("\\frac{3}{4}", "0.75", True, "a LaTeX fraction"),
    ("\\dfrac34", "0.75", True, "a fraction without braces"),
    ("-\\frac{3}{4}", "-0.75", True, "a negative fraction"),
    ("6/8", "3/4", True, "a fraction not reduced"),
    ("3/4", "4/3", False, "a fraction upside down"),
    ("1 3/4", "1.75", True, "a mixed number"),
    ("1\\frac{3}{4}", "7/4", True, "a mixed number in LaTeX"),
    ("1 1/2", "11/2", False, "a mixed number is no longer numerator"),
    ("½", "0.5", True, "a vulgar fraction"),
    ("3½", "3.5", True, "a vulgar fraction behind a digit"),
    ("5/0", "5", False, "a division by zero"),
    ("1.2e3", "1200", True, "scientific notation"),
    ("1.2 × 10^3", "1200", True, "a power of ten"),
    ("1.2\\times10^{-3}", "0.0012", True, "a negative power of ten"),
    ("10³", "1000", True, "a superscript"),
    ("1.2e4", "1200", False, "another power of ten"),
    ("five", "5", True, "a number word"),
    ("Twenty-one", "21", True, "a compound number word"),
    ("seven apples", "7", True, "a number word with what is counted"),
    ("5 million", "5000000", True, "a scale word"),
    ("five", "6", False, "another number word"),
    ("3.1416", "3.14", True, "more precise than the gold"),
    ("3.1", "3.14", False, "less precise than the gold"),
    ("3", "3.14", False, "an integer for a decimal"),
    ("3.146", "3.14", False, "rounds to something else"),
    ("2.675", "2.68", True, "a tie rounded up"),
    ("2.665", "2.66", True, "a tie rounded to even"),
    ("5.3", "5", False, "an integer gold is exact"),
    ("4.9999", "5", False, "nearly an integer"),
    ("2.50", "2.5", True, "a trailing zero behind the decimals"),
    ("1/3", "0.33", True, "an exact value for a rounded gold"),
    ("0.33", "1/3", False, "two digits for an exact gold"),
    ("0.333333", "1/3", False, "six digits for an exact gold"),
    ("0.333333333", "1/3", True, "nine digits for an exact gold"),
    ("0.333334", "1/3", False, "a wrong sixth digit"),
    ("33.33%", "33.3%", True, "rounding inside a percentage"),
    ("10\\sqrt{3}", "17.32", True, "a root for a rounded gold"),
    ("10√3", "10", False, "a root is more than its factor"),
    ("\\pi", "3.14", True, "a constant for a rounded gold"),
    ("5 or 6", "5", False, "a hedge"),
    ("5, 6", "5", False, "a list"),
    ("5 and 6", "6", False, "a list with and"),
    ("between 5 and 6", "5", False, "a range in words"),
    ("5-6", "5", False, "a range"),
    ("5 or more", "5", False, "an open range"),
    ("not 5", "5", False, "a denial"),
    ("more than 5", "5", False, "a bound"),
    ("about 5", "5", True, "an approximation"),
    ("x = 5", "5", True, "a named value"),
    ("2 + 3 = 5", "5", True, "the end of a calculation"),
    ("2 + 3", "5", False, "a sum that is not worked out"),
    ("12 * 3", "36", False, "a product that is not worked out"),
    ("5 = 6", "6", False, "a false equality"),
    ("There are 5 apples.", "5", True, "a plain sentence"),
    ("The area is 12 cm².", "12", True, "a sentence with a unit"),
    ("It is not 5", "5", False, "a denying sentence"),
    ("It is 6 or maybe it is 5", "5", False, "a hedging sentence"),
    ("I counted 4 but there are 5", "5", False, "a sentence with two numbers"),
    ("\\boxed{5} or \\boxed{6}", "6", False, "a hedge of two boxes"),
    ("cat", "5", False, "no number"),
    ("12/12/2011", "12", False, "a date"),
    ("1.2.3", "1.2", False, "a version number"),
    ("1" + "0" * 500, "5", False, "a number too long to be one"),
    ("1e999999999", "5", False, "an exponent too large"),
]


NUMBERS = [
    # reply, gold, correct
    ("1'234'567", "1234567", True),
    ("12\u2009345", "12345", True),
    ("1'23", "123", False),
    ("1.234,56", "1234.56", True),
    ("3,5", "3.5", True),
    ("-3,5", "-3.5", True),
    ("0,333", "0.333", True),
    ("1.234.567", "1234567", True),
    ("3,500", "3.5", False),
    ("1.234", "1234", False),
    ("5,6", "5", False),
    ("(3,4)", "3.4", False),
    ("1,23,456", "123456", True),
    ("negative eight", "-8", True),
    ("minus 8", "-8", True),
    ("negative eight", "8", False),
    ("one hundred twenty", "120", True),
    ("one hundred and twenty", "120", True),
    ("two hundred fifty thousand", "250000", True),
    ("twelve hundred", "1200", True),
    ("two and a half", "2.5", True),
    ("2 and a half", "5/2", True),
    ("two and two thirds", "8/3", True),
    ("three quarters", "0.75", True),
    ("three point one four", "3.14", True),
    ("half a dozen", "6", True),
    ("five and six", "11", False),
    ("one two three", "123", False),
    ("nineteen", "9", False),
    ("third", "1/3", False),
    ("7th", "7", True),
    ("21st", "21", True),
    ("1st", "1", True),
    ("2nd place", "2", True),
    ("13th", "3", False),
    ("0.\\overline{27}", "3/11", True),
    ("0.1\\overline{6}", "1/6", True),
    ("0.\\dot{6}", "2/3", True),
    ("0.\\dot{1}4285\\dot{7}", "1/7", True),
    ("0.(27)", "3/11", True),
    ("-0.\\overline{3}", "-1/3", True),
    ("0.\\overline{3}", "0.33", True),
    ("0.33", "0.\\overline{3}", False),
    ("0.\\overline{14}", "1/7", False),
    ("101_2", "5", True),
    ("1F_16", "31", True),
    ("77_{8}", "63", True),
    ("101_{two}", "5", True),
    ("101 in base 2", "5", True),
    ("101_2", "101", False),
    ("102_2", "5", False),
    ("1e400", "1e401", False),
    ("10^{400}", "1e400", True),
    ("10^5000", "1e5000", True),
    ("1e4999", "1e5000", False),
    ("1e-400", "0", False),
    ("1.5 × 10^-3", "1.5E-3", True),
    ("6.626 × 10−34", "6.626e-34", True),
    ("10⁵", "100000", True),
    ("$2.5M", "$2,500,000", True),
    ("3k", "3000", True),
    ("€3.5bn", "3500000000", True),
    ("5M", "5 million", True),
    ("5万", "50000", True),
    ("2.5", "$2.5M", False),
    ("5 dozen", "60", True),
    ("5 percentage points", "5%", True),
    ("5 percent points", "0.05", True),
    ("20% of students", "20%", True),
    ("5‰", "0.5%", True),
    ("50 ppm", "0.005%", True),
    ("50 ppm", "50%", False),
    ("-15.7", "-15.700000000000001", True),
    ("15.7", "-15.700000000000001", False),
    ("-15.72", "-15.700000000000001", False),
    ("8/3", "2.6666666666666665", True),
    ("3", "3.0000000000000004", True),
    ("3.2", "3.0000000000000004", False),
]


@pytest.mark.parametrize(("reply", "gold", "correct"), NUMBERS)
def test_spellings_of_numbers(reply: str, gold: str, correct: bool) -> None:
    assert judge(f"<answer>{reply}</answer>", gold, "numeric").correct is correct


@pytest.mark.parametrize("text", ["3,5", "1.234,56", "3k", "5 dB", "5 N m"])
def test_a_formula_is_read_as_one_number_only_where_that_is_known(text: str) -> None:
    assert read_quantity(text) is None
    assert read_quantity(text, True) is not None


FORMULAS = [
    "2x",
    "5 x",
    "2ab",
    "5xy",
    "2abc",
    "5 mod 7",
    "5 in 6",
    "5 by 6",
    "5-6",
    "5 to 6",
    "5 or more",
    "5!",
    "1, 2",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_and_hedges_are_no_quantities(text: str) -> None:
    assert read_quantity(text, True) is None


@pytest.mark.parametrize(
    "text", ["five " * 79, "5 " + "m " * 190, "0." + "1" * 390 + "(", "5 " + "(" * 390, "1 000" * 70]
)
def test_long_texts_are_read_quickly(text: str) -> None:
    start = time.process_time()
    read_quantity(text, True)
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize(("response", "gold", "correct", "why"), CASES, ids=[case[3] for case in CASES])
def test_numeric(response: str, gold: str, correct: bool, why: str) -> None:
    assert judge(response, gold, "numeric").correct is correct, why


def test_reasons_tell_a_wrong_unit_from_a_wrong_number() -> None:
    assert judge("5 kg", "5 cm", "numeric").reason == "different unit"
    assert judge("6 cm", "5 cm", "numeric").reason == "different number"
