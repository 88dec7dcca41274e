"""The quick reader of formulas against the full grammar, and what it leaves to that."""

import logging
from collections.abc import Iterator

import pytest
import sympy

from reassess.judge import algebra, grammar

READ = [
    "1", "-3", "2.50", "x", "2x", "-2x^{2}+3x-1", "x y z", "3x^{2}y", "\\frac{1}{2}", "\\frac{x+1}{y-2}",
    "\\frac{1}{1+\\frac{1}{x}}", "\\sqrt{2}", "3\\sqrt{x+1}", "\\sqrt[3]{x^{2}}", "x^{\\frac{2}{3}}", "x^{-1}",
    "2^{n+1}-2", "1/2x", "a/b \\cdot c", "a \\cdot b/c", "x/2y", "(x+1) \\cdot (x-1)", "2 \\cdot (x+1)^{2}",
    "-(x+1)", "3-(x-2)", "\\pi r^{2}", "2\\pi r", "\\frac{4}{3}\\pi r^{3}", "\\sin x", "\\sin 2x", "\\sin (2x+1)",
    "2\\sin x\\cos x", "\\sin^{2} x", "\\sin^{2} x+\\cos^{2} x", "\\tan^{-1}(x)", "\\arctan x", "\\ln x",
    "\\ln (x+1)", "\\log_{2} 24", "3+\\log_{2} 3", "\\frac{\\sin x}{x}", "5!", "x_{1}+x_{2}", "v_{0}^{2}/(2g)",
    "\\theta", "\\alpha+\\beta", "\\sqrt{a^{2}+b^{2}}", "{x}^{2}", "-x^{2}", "(-x)^{2}", "x-1-2", "8/4/2",
    "\\cos 2\\theta", "x^{2n}", "a-b+c", "2 \\cdot -3",
]  # fmt: skip
LEFT_TO_THE_FULL_GRAMMAR = [
    "", "x+", "(x", "x)", "e^{x}", "f(x)", "i", "\\int x dx", "\\sum_{k=1}^{n} k", "\\lim_{x \\to 0} x", "x=2",
    "|x|", "x%", "90°", "\\begin{matrix}1\\end{matrix}", "\\log x", "\\sin x / 2", "\\sin (x)^{2}",
    "2\\frac{1}{2}", "x 2", "2^3^4", "x!", "3!!", "\\frac{1}{0}", "1/0", "0^{0}", "0^{-1}", "2^{\\sqrt{2}}",
    "2^{99999}", "\\binom{5}{2}", "\\infty", "x^", "^2", "1,000", "\\frac12", "(" * 5000 + "x" + ")" * 5000,
]  # fmt: skip


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """math-verify logs each formula that it reads without a timer."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("latex", READ)
def test_both_readers_read_the_same(latex: str) -> None:
    quick, full = grammar.parse(latex), algebra._parse(latex)
    assert quick is not None
    assert full is not None
    # The full grammar gives its symbols assumptions of their own.
    full = algebra._exact(full.subs({symbol: sympy.Symbol(str(symbol)) for symbol in full.free_symbols}))
    assert {str(symbol) for symbol in quick.free_symbols} == {str(symbol) for symbol in full.free_symbols}
    assert sympy.simplify(quick - full) == 0


@pytest.mark.parametrize("latex", LEFT_TO_THE_FULL_GRAMMAR, ids=lambda text: text[:20])
def test_the_rest_is_left_to_the_full_grammar(latex: str) -> None:
    assert grammar.parse(latex) is None
