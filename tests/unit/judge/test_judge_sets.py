"""Sets of real numbers in their many notations."""

import pytest

from reassess.judge import judge

SAME = [
    ("(-\\infty, 3) \\cup (3, \\infty)", "\\mathbb{R} \\setminus \\{3\\}"),
    ("x \\neq 3", "(-∞,3)∪(3,∞)"),
    ("ℝ \\ {-3, 3}", "x ≠ 3 and x ≠ -3"),
    ("|x| < 1", "(-1, 1)"),
    ("|x - 2| \\le 3", "[-1, 5]"),
    ("x < -2 or x > 2", "|x| > 2"),
    ("1 ≤ |x| ≤ 3", "[-3,-1] ∪ [1,3]"),
    ("]2, 5[", "(2,5)"),
    ("]-\\infty; 4]", "x \\leqslant 4"),
    ("(-2, 1] ∪ (1, 4)", "(-2, 4)"),
    ("[1,3] ∪ [2,5]", "1 ≤ x ≤ 5"),
    ("(1,2) U (3, 4)", "(3,4) ∪ (1,2)"),
    ("x > 1 and x < 4", "(1,4)"),
    ("m < 1, m ≠ 0", "(-∞,0)∪(0,1)"),
    ("[\\sqrt{12}, \\infty)", "x ≥ 2\\sqrt{3}"),
    ("∅", "no solution"),
    ("\\varnothing", "\\{\\}"),
    ("all real numbers", "(-\\infty, \\infty)"),
    ("x ∈ (0, 1)", "0 < x < 1"),
]
DIFFERENT = [
    ("(-1, 1)", "|x| \\le 1"),
    ("x > 3", "x ≥ 3"),
    ("x > 3", "y > 3"),
    ("(1, 2)", "[1, 2)"),
    ("]2, 5[", "[2, 5]"),
    ("(-2, 1) ∪ (1, 4)", "(-2, 4)"),
    ("ℝ \\ {3}", "ℝ \\ {-3}"),
    ("|x - 2| < 3", "|x + 2| < 3"),
    ("x < -2 or x > 2", "-2 < x < 2"),
    ("[1, 3] ∪ [4, 5]", "[1, 5]"),
    ("\\emptyset", "\\{\\emptyset\\}"),
    ("\\emptyset", "0"),
    ("(-\\infty, \\infty)", "(-\\infty, 0)"),
    ("x > 5", "5"),
]


@pytest.mark.parametrize(("gold", "reply"), SAME)
def test_one_set_in_two_notations(gold: str, reply: str) -> None:
    assert judge(f"<answer>{reply}</answer>", gold, "math").correct is True
    assert judge(f"<answer>{gold}</answer>", reply, "math").correct is True


@pytest.mark.parametrize(("gold", "reply"), DIFFERENT)
def test_ends_signs_and_variables_count(gold: str, reply: str) -> None:
    assert judge(f"<answer>{reply}</answer>", gold, "math").correct is False
    assert judge(f"<answer>{gold}</answer>", reply, "math").correct is False
