"""What a short sentence claims."""

import pytest

from reassess.judge import judge

CLAIMED = [
    ("The pole is 250 cm tall.", "2.5 m", "numeric"),
    ("The star is about 400000 km away.", "4 \\times 10^5", "math"),
    ("There are seven cubes in the picture.", "7", "numeric"),
    ("Sales peaked in the year 2015.", "2015", "numeric"),
    ("The trip takes 150 minutes in total.", "150 min", "numeric"),
    ("$\\frac{3}{8}$ of the students", "37.5\\%", "math"),
    ("The shaded area comes to $16 - 4\\pi$.", "16-4\\pi", "math"),
    ("The lines meet at the point P(3, -4).", "(3,-4)", "math"),
    ("We have sin x = 1/2 exactly when x = π/6 or x = 5π/6.", "x = \\frac{\\pi}{6}, \\frac{5\\pi}{6}", "math"),
    ("x² = 9, so x = 3 or x = -3.", "\\pm 3", "math"),
    ("Therefore, $x = 5$.", "5", "math"),
    ("Simplifying, 3 < x.", "x > 3", "math"),
    ("\\boxed{\\text{The vertex is } (2, -1)}", "(2,-1)", "math"),
    ("A total of 12 apples", "12", "numeric"),
    ("The total surface area is $54\\pi\\text{ cm}^2$.", "54π", "math"),
]
UNCLEAR = [
    ("It is not 5.", "5", "numeric"),
    ("It could be 5.", "5", "numeric"),
    ("More than 5", "5", "numeric"),
    ("At least 5 cubes", "5", "numeric"),
    ("Between 5 and 7", "7", "numeric"),
    ("Either 5 or 7", "7", "numeric"),
    ("from 3 to 5", "5", "numeric"),
    ("the square root of 2", "2", "math"),
    ("the sum of 2 and 3", "3", "math"),
    ("5 out of 8", "5", "numeric"),
    ("5 is wrong", "5", "numeric"),
    ("5 million people", "5", "numeric"),
    ("5 less", "5", "numeric"),
    ("Is it 5?", "5", "numeric"),
    ("$15 per day", "$15 per hour", "numeric"),
    ("12 divided by 4", "4", "numeric"),
    ("It is 5 or 6.", "6", "numeric"),
    ("It is 5, maybe 6.", "6", "numeric"),
]


@pytest.mark.parametrize(("response", "gold", "kind"), CLAIMED)
def test_a_short_sentence_claims_what_it_ends_in(response: str, gold: str, kind: str) -> None:
    assert judge(response, gold, kind).correct is True


@pytest.mark.parametrize(("response", "gold", "kind"), UNCLEAR)
def test_a_sentence_that_takes_back_or_bounds_a_number_claims_nothing(response: str, gold: str, kind: str) -> None:
    assert judge(response, gold, kind).correct is False
