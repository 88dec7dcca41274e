"""Formulas that only computer algebra can compare: bounds first, then the worker process."""

import math
import re
from fractions import Fraction
from functools import lru_cache

from reassess.judge import worker

_CHARACTERS = 300
_DEPTH = 20
_DIGITS = 40
_EXPONENT = 10_000
_TOWER_DIGITS = 4.0
_FACTORIAL = 2_000

_ALLOWED = re.compile(r"[0-9A-Za-z+\-*/^_(){}\[\]|!.,=<>&\\% ∞°]+")
_EXPONENT_NUMBER = re.compile(r"\^\{?[({\s]*-?\s*([0-9]+)")
_TOWER = re.compile(r"\^[{(\s]*-?([0-9]+)[)}\s]*\^[{(\s]*-?([0-9]+)[)}\s]*(\^?)")
_FACTORIAL_NUMBER = re.compile(r"([0-9]+)\s*\)?\s*!\s*(!?)")
# 3E33333333 would be a float of that size.
_LONG_EXPONENT = re.compile(r"[eE][+-]?[0-9]{4,}")
_BROKEN_NUMBER = re.compile(r"[0-9]*\.[0-9]*\.|[0-9]\s+[0-9]|\.(?![0-9])")


def within_bounds(formula: str) -> bool:
    """Whether computing with a formula is worth starting: its length, nesting, digits, exponents and factorials."""
    if not formula or len(formula) > _CHARACTERS or not _ALLOWED.fullmatch(formula) or _BROKEN_NUMBER.search(formula):
        return False
    depth = 0
    for character in formula:
        depth += (character in "([{") - (character in ")]}")
        if not 0 <= depth <= _DEPTH:
            return False
    if depth or any(len(digits) > _DIGITS for digits in re.findall("[0-9]+", formula)):
        return False
    if any(int(number) > _EXPONENT for number in _EXPONENT_NUMBER.findall(formula)):
        return False
    if any(repeated or int(number) > _FACTORIAL for number, repeated in _FACTORIAL_NUMBER.findall(formula)):
        return False
    if ("!" in formula and "^" in formula) or _LONG_EXPONENT.search(formula):
        return False
    return not any(
        taller or (int(base) > 1 and int(exponent) * math.log10(int(base)) > _TOWER_DIGITS)
        for base, exponent, taller in _TOWER.findall(formula)
    )


_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_DEGREES = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*°")
_NAMES = re.compile(r"(\\[A-Za-z]+|[A-Za-z]{3,}(?: +[A-Za-z]{2,})*|[A-Za-z])")
_LATEX_WORD = re.compile(r"\\begin\{[a-z]*\}|\\end\{[a-z]*\}")
# Without those that the parser gives a meaning of their own, such as e, d and f.
_SPARE = "abcjlmnpqrstuvwxyz"


def takes_angle(formula: str) -> bool:
    """Whether a degree sign in the formula belongs to the argument of a function and not to the result."""
    return bool(_TRIGONOMETRIC.search(formula))


def to_latex(formulas: list[str]) -> list[str]:
    """The formulas as LaTeX that the parser reads as a person would, with one naming for all of them.

    The parser folds case and multiplies the letters of a word, which would make R and r, or "cat" and "act", the same:
    words and those capitals that also occur as small letters become letters that none of the formulas uses. It also
    takes I, and not i, for the imaginary unit.
    """
    texts = [_explicit(formula) for formula in formulas]
    names = {name for text in texts for name in _NAMES.findall(_LATEX_WORD.sub("", text)) if name[0] != "\\"}
    spare = iter([letter for letter in _SPARE if letter not in names and letter.upper() not in names])
    renamed = {}
    for name in sorted(names):
        if len(name) > 2 or name == "I" or (name.isupper() and name.lower() in names):
            renamed[name] = next(spare, name)
    if not any("_{i" in text for text in texts):
        renamed["i"] = "I"
    return ["".join(renamed.get(part, part) for part in _split_names(text)) for text in texts]


def _split_names(text: str) -> list[str]:
    parts: list[str] = []
    start = 0
    for environment in _LATEX_WORD.finditer(text):
        parts += [*_NAMES.split(text[start : environment.start()]), environment[0]]
        start = environment.end()
    return [*parts, *_NAMES.split(text[start:])]


# The parser adds the factors of "2(3)" as if they were a mixed number, and takes "a(b + 1)" for a function of b + 1.
_IMPLICIT_PRODUCT = re.compile(r"(?<=[0-9)])\s*(?=\()|(?<=\))\s*(?=[0-9A-Za-z\\])(?!\\(?:right|cdot|times|div|end))")
_CHOOSE = re.compile(r"(?<![A-Za-z\\])C\(([0-9]{1,3}), ?([0-9]{1,3})\)")
_LETTER_TIMES = re.compile(r"(?<![A-Za-z\\])([a-eijk-oq-zA-EI-OQ-Z])\s*(?=\()")


def _explicit(formula: str) -> str:
    if takes_angle(formula):
        formula = _DEGREES.sub(r"(\1\\cdot\\pi/180)", formula)
    formula = formula.replace("°", "").replace("∞", "\\infty ").replace("%", "/100")
    formula = _CHOOSE.sub(r"\\binom{\1}{\2}", formula)
    formula = _IMPLICIT_PRODUCT.sub(r" \\cdot ", formula)
    return _LETTER_TIMES.sub(r"\1 \\cdot ", formula)


@lru_cache(maxsize=4096)
def same_formula(gold: str, reply: str) -> tuple[bool, str]:
    """Whether two normalised formulas are equal for every value of their variables, and the reason.

    Raises:
        ExhaustedError: the judgement has no time left.
        RuntimeError: the worker process cannot be started.
    """
    if not (within_bounds(gold) and within_bounds(reply)):
        return False, "different text"
    try:
        equal = worker.shared.ask("equal", *to_latex([gold, reply]))
    except worker.StoppedError:
        return False, "comparison stopped"
    if equal is None:
        return False, "different text"
    return bool(equal), "same formula" if equal else "different formula"


@lru_cache(maxsize=4096)
def real_value(formula: str) -> Fraction | None:
    """The value of a constant real formula to 60 digits; None for anything else.

    Raises:
        ExhaustedError: the judgement has no time left.
        RuntimeError: the worker process cannot be started.
    """
    if not within_bounds(formula):
        return None
    try:
        digits = worker.shared.ask("value", *to_latex([formula]))
    except worker.StoppedError:
        return None
    return None if digits is None else Fraction(digits)


@lru_cache(maxsize=4096)
def ratio_sign(first: str, second: str) -> int:
    """The sign of the constant that one formula is of another, 0 where there is no such constant.

    Raises:
        ExhaustedError: the judgement has no time left.
        RuntimeError: the worker process cannot be started.
    """
    if not (within_bounds(first) and within_bounds(second)):
        return 0
    try:
        sign = worker.shared.ask("ratio_sign", *to_latex([first, second]))
    except worker.StoppedError:
        return 0
    return int(sign or 0)
