"""Gold answers as data sets publish them."""

import pytest

from reassess.judge import judge

PACKAGED = [
    ("#### 12", "12", "the end of worked arithmetic"),
    ("She buys 3 + 9 = 12 pens.\n#### 12", "12", "work before the hashes"),
    ("$\\boxed{12}$", "12", "a box in dollars"),
    ("$$6$$", "6", "display dollars"),
    ("<answer> 145° </answer>", "145", "an answer element"),
    ("<think>80 + 65</think><answer>145</answer>", "145", "reasoning and an answer element"),
    ("The triangle is right-angled. †Answer: 12", "12", "a dagger mark"),
    ("Answer: 12", "12", "a marker"),
    ("777 ", "777", "trailing space"),
    ("25°.", "25", "a degree sign and a full stop"),
    ("\x0crac{36}{13}", "\\frac{36}{13}", "a form feed instead of \\f"),
    ("\x08oxed{12}", "12", "a backspace instead of \\b"),
    ("5\times 2", "5\\times 2", "a tab instead of \\t"),
    ("69{degrees}", "69°", "a unit in braces"),
    ("$12 \\text{ cm}$", "12 cm", "a unit in \\text"),
    ("\\text{12}", "12", "a number in \\text"),
    ("118掳", "118°", "a degree sign in the wrong encoding"),
    ("Area $=9 \\pi \\mathrm{cm}^{2}$", "9\\pi", "a label, an equality and a unit"),
    ("-15.700000000000001", "-15.7", "a binary float in full"),
    ("['12', '12.0 cm']", "12", "a list of strings is a choice of answers"),
    ("['7', '12']", "12", "any of the answers will do"),
    ("['\\\\frac{1}{2}', '7']", "0.5", "LaTeX in a list of strings"),
]


@pytest.mark.parametrize(("gold", "reply", "why"), PACKAGED, ids=[case[2] for case in PACKAGED])
def test_packaging_is_removed(gold: str, reply: str, why: str) -> None:
    assert judge(reply, gold, "math").correct is True, why
    assert judge("8", gold, "math").correct is False, why


UNUSABLE = [
    ("", "math", None, "empty"),
    ("  \n", "text", None, "blank"),
    ("$$", "math", None, "dollars around nothing"),
    ("\\boxed{}", "mcq", None, "empty multiple choice"),
    ("\\boxed{}", "math", None, "an empty box"),
    ("[' ']", "math", None, "a list of a blank string"),
    ("cat", "numeric", None, "no number"),
    ("", "numeric", None, "an empty number"),
    ("5 or 6", "numeric", None, "two numbers"),
    ("E", "mcq", ["1", "2"], "a letter beyond the options"),
    ("7", "mcq", ["1", "2"], "an index beyond the options"),
    ("cat", "mcq", ["1", "2"], "a text that is no option"),
]


@pytest.mark.parametrize(("gold", "kind", "options", "why"), UNUSABLE, ids=[case[3] for case in UNUSABLE])
@pytest.mark.parametrize("response", ["5", "", "<think>5", "B", "cat"])
def test_an_unusable_gold_judges_nobody(
    response: str, gold: str, kind: str, options: list[str] | None, why: str
) -> None:
    judgement = judge(response, gold, kind, options)
    assert judgement.correct is None, why
    assert judgement.reason.startswith("gold"), why


GOLDS = [
    "5", "-3", "0.5", "1,234", "\\frac{3}{4}", "\\frac{36}{13}", "10\\sqrt{3}", "10√{2}", "2\\pi", "1-\\frac{1}{e}",
    "(0.886, -0.465)", "[1, 6, 2, 0, 5]", "\\{1, 2, 3\\}", "(-\\infty, 4]", "x = 5", "x^2 + y^2 = 1", "x \\geq 3",
    ">-2", "$ < $", "5:0", "13:18", "12/12/2011", "12 meters.", "4 cm²", "30°", "25°.", "69{degrees}", "$$6$$", "777 ",
    "S 23.5 ^\\circ W", "118掳T", "Area $=9 \\pi \\mathrm{cm}^{2}$", "(1)3;(2)3", "no solution", "\x0crac{36}{13}",
    "$\\boxed{7}$", "50\\%", "\\$5", "9^9^9^9", "\\begin{pmatrix}1 & 2\\\\3 & 4\\end{pmatrix}", "3 \\pm \\sqrt{2}",
    "(1,2)\\cup(3,4)", "-15.700000000000001", "\\text{B}", "2 + 3i", "\\sin 30^\\circ", "f(x) = x^2 + 1", "#### 12",
    "The two triangles are congruent, so the angles agree.", "5 or 6", "九", "96\n376",
]  # fmt: skip


@pytest.mark.parametrize("gold", GOLDS)
def test_a_boxed_gold_is_correct(gold: str) -> None:
    assert judge("\\boxed{" + gold + "}", gold, "math").correct is True


@pytest.mark.parametrize("gold", GOLDS)
def test_a_gold_is_not_answered_by_another_number(gold: str) -> None:
    assert judge("\\boxed{8128}", gold, "math").correct is False
