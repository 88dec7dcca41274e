"""What the symbolic worker computes. Runs in the worker process only: importing it loads SymPy and math-verify."""

import json
import logging
import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended.math_normalization import NormalizationConfig
from math_verify import parse, verify
from math_verify.parser import LatexExtractionConfig

from reassess.judge import grammar

_DIGITS = 60
_TINY, _HUGE = sympy.Float(10) ** -400, sympy.Float(10) ** 400
_SAME_DIGITS = sympy.Float(10) ** -50
# Coarse enough for decimal coefficients, fine enough to tell any two answers apart.
_SAME_AT_POINT = sympy.Float(10) ** -9
_PROBES = 2
_MEMORY_BYTES = 4 * 2**30
_IDLE_SECONDS = 900

# math-verify's own clean-up takes trailing letters for units ("3t" becomes 3); the text is normalised before it comes.
_AS_WRITTEN = NormalizationConfig(
    basic_latex=False, units=False, malformed_operators=False, nits=False, boxed="none", equations=False
)
_LATEX_ONLY = [LatexExtractionConfig(boxed_match_priority=-1, normalization_config=_AS_WRITTEN)]


@lru_cache(maxsize=1024)
def _parse(latex: str) -> Any:
    found = parse(f"${latex}$", _LATEX_ONLY, fallback_mode="no_fallback", parsing_timeout=None)
    return found[0] if found and isinstance(found[0], sympy.Basic | sympy.MatrixBase) else None


_quick = lru_cache(maxsize=1024)(grammar.parse)


def _parse_pair(first: str, second: str) -> tuple[Any, Any]:
    """Both formulas by the same reader, so that both have the same symbols."""
    quick = _quick(first), _quick(second)
    return quick if None not in quick else (_parse(first), _parse(second))


def equal(gold: str, reply: str) -> bool | None:
    """Whether two formulas are equal; None where one of them is no formula."""
    first, second = _parse_pair(gold, reply)
    if first is None or second is None:
        return None
    if _is_number(first) and _is_number(second):
        return _same_number(first, second)
    if isinstance(first, sympy.Expr) and isinstance(second, sympy.Expr):
        if _differ_at_a_point(first, second):
            return False
        if _moderate(first) and _moderate(second) and _constant(_exact(first) - _exact(second)) == 0:
            return True
        if first.has(sympy.Float) or second.has(sympy.Float):
            first, second = _exact(first), _exact(second)
        if _same_for_positive(first, second):
            return True
    return bool(verify(first, second, timeout_seconds=None))


def _same_for_positive(first: sympy.Expr, second: sympy.Expr) -> bool:
    """Whether two formulas are equal for positive variables, as school algebra has it, and not unequal for others."""
    symbols = sorted(first.free_symbols | second.free_symbols, key=str)
    negative = {symbol: sympy.Rational(-53 - 17 * index, 31) for index, symbol in enumerate(symbols)}
    with suppress(Exception):
        left, right = (sympy.N(side.doit().subs(negative), 20) for side in (first, second))
        if left.is_real and right.is_real and not _close(left, right, _SAME_AT_POINT):
            return False
    positive = {symbol: sympy.Dummy(str(symbol), positive=True) for symbol in symbols}
    with suppress(Exception):
        return bool(sympy.simplify((first - second).doit().subs(positive)) == 0)
    return False


def value(latex: str) -> str | None:
    """A real constant of ordinary size in decimal digits; None for anything else."""
    expression = _quick(latex)
    expression = _parse(latex) if expression is None else expression
    if expression is None or not _is_number(expression):
        return None
    number = sympy.N(_exact(expression), _DIGITS)
    ordinary = number.is_Float and number.is_finite and (not number or _TINY < abs(number) < _HUGE)
    return str(number) if ordinary else None


def ratio_sign(first: str, second: str) -> int:
    """The sign of the constant that the first formula is of the second, 0 where there is no such constant."""
    numerator, denominator = _parse_pair(first, second)
    if not isinstance(numerator, sympy.Expr) or not isinstance(denominator, sympy.Expr):
        return 0
    left, right = _exact(numerator), _exact(denominator)
    both = _moderate(left) and _moderate(right)
    ratio = _constant(left / right) if both else sympy.simplify(left / right)
    if ratio is None or not ratio.is_number or not ratio.is_real or not ratio.is_finite or ratio.is_zero:
        return 0
    return 1 if ratio > 0 else -1


# Beyond these, terms of very different size would hide each other at 40 digits.
_MODERATE_EXPONENT = 12
_MODERATE_NUMBER = 10**6
_POINTS = 6


def _moderate(expression: sympy.Expr) -> bool:
    """Whether values at a few points tell two such formulas apart: nothing in them is very large or very small."""
    if not expression.free_symbols or expression.has(sympy.Piecewise, sympy.Sum, sympy.Product, sympy.Integral):
        return False
    for number in expression.atoms(sympy.Number):
        if not number.is_finite or abs(number) > _MODERATE_NUMBER or (number and abs(number) * _MODERATE_NUMBER < 1):
            return False
    powers = [power.exp for power in expression.atoms(sympy.Pow) if power.exp.is_number]
    return all(abs(exponent) <= _MODERATE_EXPONENT for exponent in powers if exponent.is_real)


def _constant(expression: sympy.Expr) -> sympy.Expr | None:
    """The one value that a formula takes at a few points of either sign, 0 where it vanishes at all; else None.

    Points where it is not a finite real number do not count, and three have to be left.
    """
    symbols = sorted(expression.free_symbols, key=str)
    values = []
    for i in range(_POINTS):
        # Fixed fractions without meaning in any formula: four points are positive, then signs alternate.
        signs = [1 if i < 4 or (i + k) % 2 else -1 for k in range(len(symbols))]
        point = {
            symbol: sympy.Rational(sign * (211 + 97 * i + 59 * k), 173)
            for k, (symbol, sign) in enumerate(zip(symbols, signs, strict=True))
        }
        with suppress(Exception):
            found = sympy.N(expression.subs(point).doit(), 40)
            if found.is_real and found.is_finite:
                values.append(found)
    if len(values) < 3:
        return None
    if all(abs(found) < _VANISHES for found in values):
        return sympy.Integer(0)
    alike = all(_close(found, values[0], _SAME_CONSTANT) for found in values[1:])
    return values[0] if alike else None


_VANISHES = sympy.Float(10) ** -30
_SAME_CONSTANT = sympy.Float(10) ** -28


def _is_number(expression: Any) -> bool:
    return isinstance(expression, sympy.Expr) and not expression.free_symbols and bool(expression.is_number)


def _exact(expression: sympy.Expr) -> sympy.Expr:
    """Evaluated, and with decimals as the fractions they stand for."""
    return sympy.nsimplify(expression.doit(), rational=True)


def _same_number(first: sympy.Expr, second: sympy.Expr) -> bool:
    left, right = _exact(first), _exact(second)
    if left.has(sympy.nan, sympy.zoo) or right.has(sympy.nan, sympy.zoo):
        return False
    if left == right:
        return True
    if (left.is_Rational and right.is_Rational) or not (left.is_finite and right.is_finite):
        return False
    return _close(sympy.N(left, _DIGITS), sympy.N(right, _DIGITS), _SAME_DIGITS)


def _differ_at_a_point(first: sympy.Expr, second: sympy.Expr) -> bool:
    """Whether two formulas take different values somewhere, which settles most wrong answers without simplifying.

    The points are positive, where the branches of roots and logarithms agree with school algebra.
    """
    symbols = sorted(first.free_symbols | second.free_symbols, key=str)
    for probe in range(_PROBES):
        point = {symbol: sympy.Rational(137 + 61 * index + 29 * probe, 101) for index, symbol in enumerate(symbols)}
        with suppress(Exception):
            left, right = (sympy.N(side.doit().subs(point), 20) for side in (first, second))
            if left.is_number and right.is_number and left.is_finite and right.is_finite:
                return not _close(left, right, _SAME_AT_POINT)
    return False


def _close(left: sympy.Expr, right: sympy.Expr, tolerance: sympy.Float) -> bool:
    return bool(abs(left - right) <= tolerance * max(abs(left), abs(right), tolerance))


_OPERATIONS: dict[str, Callable[..., bool | str | int | None]] = {
    "equal": equal,
    "value": value,
    "ratio_sign": ratio_sign,
}


# The parser learns its grammar as it goes, and SymPy loads modules late: children that are forked later have both.
_WARM_UP = (
    ("\\frac{x^{2}}{2}-3x y+\\sqrt{5}", "(x-1) \\cdot (y+2)"),
    ("2\\sin x \\cos x", "\\sin (2x)"),
    ("\\log_{2} 8 + \\ln (x+1)", "e^{x}-\\sqrt[3]{x}"),
    ("\\frac{\\pi }{3} + 2\\sqrt{3}", "\\binom{5}{2} + 3!"),
)


def serve() -> None:
    """Answers requests, a JSON line each, until the input ends: [seconds, operation, arguments...] gets [result, used].

    A child process computes, and the result is "stopped" where it needs more than the seconds that the request gives
    it: its timer counts processor time, so that the verdict does not depend on what else the machine does, and the
    timer's signal is not handled in Python, so that no C loop can delay it. The next child is there at once, because
    this process has loaded SymPy already.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A parent may have these ignored or blocked, which child processes inherit.
    timers = (signal.SIGALRM, signal.SIGPROF)
    for timer in timers:
        signal.signal(timer, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, timers)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    logging.disable(logging.CRITICAL)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    # Libraries may print; only answers may reach the parent.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for first, second in _WARM_UP:
        equal(first, second)
        ratio_sign(first, second)
        value(first)
    print(json.dumps("ready"), file=answers, flush=True)
    while True:
        child = os.fork()
        if child == 0:
            _compute(requests, answers)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGPROF:
            return
        print(json.dumps(["stopped", None]), file=answers, flush=True)


def _compute(requests: Any, answers: Any) -> None:
    while True:
        # A worker whose parent died while another process holds the pipe open would wait for ever.
        signal.alarm(_IDLE_SECONDS)
        request = requests.readline()
        signal.alarm(0)
        if not request:
            return
        seconds, operation, *arguments = json.loads(request)
        started = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            result = _OPERATIONS[operation](*arguments)
        except Exception:
            result = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps([result, time.process_time() - started]), file=answers, flush=True)
