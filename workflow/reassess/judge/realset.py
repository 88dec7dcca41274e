"""Sets of real numbers: intervals, inequalities, unions and the reals without points, in one canonical form."""

import math
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from reassess.judge.structure import FLIPPED, NAME

_CHARACTERS = 120
_PARTS_AT_MOST = 8
# Values are known to 60 digits; two forms of one endpoint agree to this many decimals.
_DECIMALS = 10**45

Bound = Fraction | float
Value = Callable[[str], Fraction | None]


class Interval(NamedTuple):
    """From `low` to `high`, with or without its ends; an end without bound is infinite and open."""

    low: Bound
    has_low: bool
    high: Bound
    has_high: bool


class RealSet(NamedTuple):
    """Disjoint intervals in ascending order, and the variable that is bounded by them, where one is named."""

    intervals: tuple[Interval, ...]
    name: str | None = None


_REALS = (Interval(-math.inf, False, math.inf, False),)
# What no point, number or list has.
_SIGN_OF_A_SET = re.compile(r"[∪∖<>≤≥≠∞]|\\emptyset|\\cap(?![A-Za-z])")
_MEMBER = re.compile(r"\s*(\\?[A-Za-z])\s*∈\s*")
_ALL = re.compile(r"\(?\s*(?:R|(?:the set of )?all (?:the )?real numbers|all reals)\s*\)?", re.IGNORECASE)
_WITHOUT = re.compile(r"R∖\\?\{(.*?)\\?\}")
_INTERVAL = re.compile(r"([\[(])([^\[\](),;]*(?:\([^()]*\))?[^\[\](),;]*)[,;]([^\[\],;]*)([\])])")
_POINTS = re.compile(r"\\\{(.*)\\\}")
_SIGNS = re.compile(r"([<>≤≥≠])")
_ABSOLUTE = re.compile(r"(?:\||\\l?vert\s?|\\mid\s?)(.+?)(?:\||\\r?vert|\\mid)")
_SHIFTED = re.compile(r"(\\?[A-Za-z])(?:([+-])(.+))?")


def is_set(text: str) -> bool:
    """Whether a normalised text can only be a set of numbers or a condition on one."""
    return len(text) <= _CHARACTERS and bool(_SIGN_OF_A_SET.search(text))


def read_set(text: str, value: Value) -> RealSet | None:
    """The set that a normalised text describes, None where it is none with constant ends.

    Args:
        text: in the notation of `normalize_math`.
        value: the value of a constant formula, None where it has none.
    """
    text = text.strip(" .,;")
    if len(text) > _CHARACTERS or not text:
        return None
    member = _MEMBER.match(text)
    if member:
        found = read_set(text[member.end() :], value)
        return found and found._replace(name=found.name or member[1])
    if text == "\\emptyset":
        return RealSet(())
    if _ALL.fullmatch(text):
        return RealSet(_REALS)
    for pattern, combine in ((r"∪|(?<![A-Za-z\\])or(?![A-Za-z])", _union), (r"\\cap(?![A-Za-z])", _intersection)):
        pieces = re.split(pattern, text)
        if len(pieces) > 1:
            return _combined(pieces, combine, value)
    if _SIGNS.search(text):
        pieces = re.split(r"(?<![A-Za-z\\])and(?![A-Za-z])|[,;]", text)
        if len(pieces) > 1:
            return _combined(pieces, _intersection, value)
        return _condition(text, value)
    without = _WITHOUT.fullmatch(text)
    if without:
        holes = _numbers(without[1], value)
        return RealSet(_intersection([_side("≠", hole) for hole in holes])) if holes else None
    points = _POINTS.fullmatch(text)
    numbers = _numbers(points[1], value) if points else []
    if numbers:
        return RealSet(_union([(Interval(number, True, number, True),) for number in numbers]))
    return _interval(text, value)


def _numbers(text: str, value: Value) -> list[Fraction]:
    """The numbers of a list, empty where one of them is none or they are too many."""
    parts = text.split(",")
    bounds = [_bound(part, value) for part in parts] if len(parts) <= _PARTS_AT_MOST else []
    numbers = [bound for bound in bounds if isinstance(bound, Fraction)]
    return numbers if len(numbers) == len(parts) else []


def _combined(
    pieces: list[str], combine: Callable[[Sequence[tuple[Interval, ...]]], tuple[Interval, ...]], value: Value
) -> RealSet | None:
    if len(pieces) > _PARTS_AT_MOST:
        return None
    sets = [read_set(piece, value) for piece in pieces]
    known = [found for found in sets if found is not None]
    names = {found.name for found in known if found.name}
    if len(known) < len(sets) or len(names) > 1:
        return None
    return RealSet(combine([found.intervals for found in known]), next(iter(names), None))


def _bound(text: str, value: Value) -> Bound | None:
    text = text.strip()
    if text.lstrip("+-").strip() == "∞":
        return -math.inf if text.startswith("-") else math.inf
    number = value(text) if text else None
    return None if number is None else Fraction(round(number * _DECIMALS), _DECIMALS)


def _interval(text: str, value: Value) -> RealSet | None:
    match = _INTERVAL.fullmatch(text)
    if not match:
        return None
    low, high = _bound(match[2], value), _bound(match[3], value)
    if low is None or high is None or low > high:
        return None
    has_low = match[1] == "[" and low != -math.inf
    has_high = match[4] == "]" and high != math.inf
    return RealSet(_union([(Interval(low, has_low, high, has_high),)]))


def _condition(text: str, value: Value) -> RealSet | None:
    """a < x ≤ b, x ≠ a, |x - a| < b and their like."""
    pieces = _SIGNS.split(text)
    sides, signs = [piece.strip() for piece in pieces[::2]], pieces[1::2]
    if len(signs) > 2:
        return None
    at = next((i for i, side in enumerate(sides) if NAME.fullmatch(side) or _ABSOLUTE.fullmatch(side)), None)
    if at is None:
        return None
    found: list[tuple[Interval, ...]] = []
    for i, sign in enumerate(signs):
        if at not in (i, i + 1):
            return None
        bound = _bound(sides[i + 1 if at == i else i], value)
        if bound is None:
            return None
        found.append(_side(sign if at == i else FLIPPED.get(sign, sign), bound))
    intervals = _intersection(found)
    absolute = _ABSOLUTE.fullmatch(sides[at])
    if not absolute:
        return RealSet(intervals, sides[at])
    shifted = _SHIFTED.fullmatch(absolute[1].replace(" ", ""))
    centre: Bound | None = Fraction(0)
    if shifted and shifted[3]:
        centre = _bound(shifted[3], value)
        centre = -centre if centre is not None and shifted[2] == "+" else centre
    if not shifted or not isinstance(centre, Fraction):
        return None
    positive = _intersection([intervals, (Interval(Fraction(0), True, math.inf, False),)])
    right = tuple(Interval(i.low + centre, i.has_low, i.high + centre, i.has_high) for i in positive)
    left = tuple(Interval(centre - i.high, i.has_high, centre - i.low, i.has_low) for i in positive)
    return RealSet(_union([left, right]), shifted[1])


def _side(sign: str, bound: Bound) -> tuple[Interval, ...]:
    below = Interval(-math.inf, False, bound, sign == "≤")
    above = Interval(bound, sign == "≥", math.inf, False)
    if sign == "≠":
        return (below, above)
    return (below,) if sign in "<≤" else (above,)


def _union(sets: Sequence[tuple[Interval, ...]]) -> tuple[Interval, ...]:
    merged: list[Interval] = []
    every = [interval for found in sets for interval in found if not _is_empty(interval)]
    for interval in sorted(every, key=lambda i: (i.low, not i.has_low)):
        last = merged[-1] if merged else None
        touches = last and (
            interval.low < last.high or (interval.low == last.high and (last.has_high or interval.has_low))
        )
        if last and touches:
            high, has_high = max((last.high, last.has_high), (interval.high, interval.has_high))
            merged[-1] = last._replace(high=high, has_high=has_high)
        else:
            merged.append(interval)
    return tuple(merged)


def _intersection(sets: Sequence[tuple[Interval, ...]]) -> tuple[Interval, ...]:
    found: tuple[Interval, ...] = _REALS
    for other in sets:
        pairs = []
        for left in found:
            for right in other:
                low, lacks_low = max((left.low, not left.has_low), (right.low, not right.has_low))
                high, has_high = min((left.high, left.has_high), (right.high, right.has_high))
                pairs.append((Interval(low, not lacks_low, high, has_high),))
        found = _union(pairs)
    return found


def _is_empty(interval: Interval) -> bool:
    if interval.low == interval.high:
        return not (interval.has_low and interval.has_high)
    return interval.low > interval.high
