"""Plain numbers with their unit and precision: reading them, and when one answers for another."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from reassess.judge.normalize import normalize_math
from reassess.judge.numerals import read_numeral
from reassess.judge.unit_names import PAIRS_IN_FORMULAS, Unit, find_unit
from reassess.judge.units import (
    PERCENT,
    SAME,
    Conversion,
    conversions,
    counted_noun,
    is_angle,
    is_currency,
    is_placeholder,
    respell_unit,
    split_currency,
    times,
    unit_readings,
)

_NUMBER_CHARACTERS = 400
# A gold with more digits than this is a binary float printed in full, such as 15.700000000000001.
_FLOAT_DIGITS = 12
# An exact gold that no decimal equals (1/3, the square root of 2) takes a decimal right to this many digits.
EXACT_GOLD_DIGITS = 9


@dataclass(frozen=True)
class Quantity:
    """A number as written.

    `step` is the unit of the last decimal place written (0.01 for "3.14"), None for integers and fractions, which are
    exact. `also` are other readings of the same text, for where the first one answers nothing: "25 C" is a charge, or a
    temperature.
    """

    value: Fraction
    step: Fraction | None = None
    percent: bool = False
    unit: Unit | None = None
    also: "tuple[Quantity, ...]" = ()


# With a comma inside it is a point or an interval.
_BRACKETS = re.compile(r"^[(\[]([^()\[\],]*)[)\]]$")
_PLAIN = re.compile(r"-?[0-9]{1,18}(?:\.([0-9]{1,18}))?")


@lru_cache(maxsize=8192)
def read_quantity(text: str, number_expected: bool = False) -> Quantity | None:
    """The quantity that a text states and nothing else; None for lists, ranges, formulas and sentences.

    Letters that touch the number are variables, unless they are a unit of several letters ("5m" is 5·m, "5cm" is a
    length). `number_expected` says that the text is meant as one number with its unit: then "5m" is a length,
    "3,5" a decimal, "3k" three thousand, and a word or symbol that is no known unit is a unit of its own.
    """
    plain = _PLAIN.fullmatch(text)
    if plain:
        return Quantity(Fraction(text), Fraction(1, 10 ** len(plain[1])) if plain[1] else None)
    if len(text) > _NUMBER_CHARACTERS:
        return None
    amount = normalize_math(text)
    if number_expected:
        amount = _BRACKETS.sub(r"\1", amount)
    currency, amount = split_currency(amount)
    if amount.startswith("-") and currency is None:
        currency, rest = split_currency(amount[1:].lstrip())
        amount = "-" + rest if currency else amount
    number = read_numeral(amount, number_expected)
    if number is None:
        return None
    stated = Quantity(number.value, number.step, unit=currency)
    rest = amount[number.end :]
    quantity = _with_scale(stated, rest, number_expected)
    if quantity is None:
        return None if currency else _compound(amount)
    if "¥" in text and currency is not None and quantity.unit == currency:
        return replace(quantity, also=(*quantity.also, replace(quantity, unit=find_unit("CNY"), also=())))
    return quantity


_SCALES = {
    **{"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12},
    **{"lakh": 10**5, "crore": 10**7, "万": 10**4, "亿": 10**8, "bn": 10**9, "mn": 10**6, "mln": 10**6, "tn": 10**12},
}
_SCALE = re.compile(rf"\s*({'|'.join(_SCALES)})(?![A-Za-z])", re.IGNORECASE)
_SHORT_SCALES = {"k": 10**3, "K": 10**3, "M": 10**6, "m": 10**6, "B": 10**9, "b": 10**9, "T": 10**12}
_SHORT_SCALE = re.compile(r"(\s?)([kKMmBbT])(?![A-Za-z/^°])(?!\s*(?:/|\\cdot|\*))")
# Behind a number without a currency these may only be a scale, and touch it; K and M may be kelvin and molar too.
_ONLY_SCALES = frozenset("kB")


def _with_scale(stated: Quantity, rest: str, only_number: bool) -> Quantity | None:
    scale = _SCALE.match(rest)
    if scale:
        return _with_unit(_times(stated, _SCALES[scale[1].lower()]), rest[scale.end() :], only_number)
    short = _SHORT_SCALE.match(rest) if only_number else None
    if not short:
        return _with_unit(stated, rest, only_number)
    scaled = _with_unit(_times(stated, _SHORT_SCALES[short[2]]), rest[short.end() :], only_number)
    if stated.unit is not None or (scaled and scaled.unit and is_currency(scaled.unit)):
        return scaled
    if short[2] in _ONLY_SCALES and not short[1]:
        return scaled
    plain = _with_unit(stated, rest, only_number)
    if short[2] not in "KM" or scaled is None or plain is None:
        return plain
    first, second = (scaled, plain) if short[2] == "M" and not short[1] else (plain, scaled)
    return replace(first, also=(*first.also, replace(second, also=())))


def _times(quantity: Quantity, factor: int) -> Quantity:
    return replace(
        quantity, value=quantity.value * factor, step=None if quantity.step is None else quantity.step * factor
    )


_FORMULA = r"(?:[A-Z][a-z]?(?:_\{[0-9]\}|[0-9])?){2,}"
# What says nothing about the unit: "5 cm long", "20 dollars in total", "5 kg of apples".
_TAIL = re.compile(
    r"\s+(?:long|tall|high|wide|deep|thick|old|away|apart|each|left|remaining|altogether|overall|times|total"
    r"|in (?:total|all)|(?:in|of) (?:length|width|height|depth|area|volume|weight)"
    r"|in (?:diameter|radius|perimeter|circumference))$"
    rf"|\s+of\s+(?:[A-Za-z' -]+|{_FORMULA})$"
)
_SUBSTANCE = re.compile(rf"\s+(?:of\s+)?({_FORMULA})$")
_OF_MASS = re.compile(r"\s*(?:\(?[wvm]/[wvm]\)?|by (?:mass|weight|volume))$")
_MASS_PERCENT = re.compile(r"(?:wt|mol|vol|at|mass)\.?\s*(?=%$)")
_DEGREE_LETTER = re.compile(r"^\^\{\s*[oO]\s*\}")
_PERCENTAGE_POINTS = re.compile(r"\s*(?:percentage|%)\s*points?$|\s*%?pts?$|\s*pp$", re.IGNORECASE)
_GLUED_WORD_AT_LEAST = 4
_RARE_PREFIXES = frozenset("ayzfhE")


def _with_unit(stated: Quantity, rest: str, only_number: bool) -> Quantity | None:
    unit = rest.strip()
    if not unit or is_placeholder(unit):
        return stated
    if only_number:
        unit = _MASS_PERCENT.sub("", _DEGREE_LETTER.sub("°", unit))
        if not _TAIL.sub("", " " + unit):
            return stated
    if unit[0] == "%" or _PERCENTAGE_POINTS.match(unit):
        return _percentage(stated, unit, only_number)
    if only_number and stated.unit is not None:
        return _money(stated, stated.unit, unit)
    if rest.isascii() and rest.isalpha() and not _may_touch(rest, only_number):
        return None
    readings = _readings(unit, only_number)
    if stated.unit is not None:
        readings = tuple(reading for reading in readings if reading.dimension == stated.unit.dimension)
    if not readings:
        return None
    first, *others = (replace(stated, unit=reading) for reading in readings)
    return replace(first, also=tuple(others))


def _may_touch(letters: str, only_number: bool) -> bool:
    if only_number:
        is_rare = len(letters) == 2 and letters[0] in _RARE_PREFIXES and letters not in PAIRS_IN_FORMULAS
        return len(letters) >= _GLUED_WORD_AT_LEAST or (find_unit(letters) is not None and not is_rare)
    return letters in PAIRS_IN_FORMULAS or (len(letters) > 2 and find_unit(letters) is not None)


def _readings(unit: str, only_number: bool) -> tuple[Unit, ...]:
    if not only_number:
        noun = counted_noun(unit)
        return unit_readings(unit) or ((noun,) if noun else ())
    if unit[0] == "-":
        return unit_readings(unit[1:])
    readings = unit_readings(unit, True)
    substance = _SUBSTANCE.search(unit)
    if substance and find_unit(substance[1]) is None:
        unit = unit[: substance.start()]
    return unit_readings(_TAIL.sub("", unit), True) or readings


def _percentage(stated: Quantity, unit: str, only_number: bool) -> Quantity | None:
    if stated.unit is not None:
        return None
    percentage = replace(stated, percent=True)
    rest = "" if _PERCENTAGE_POINTS.match(unit) else unit[1:].strip()
    if not rest:
        return percentage
    if not only_number:
        return None
    if _OF_MASS.match(rest) or not _TAIL.sub("", " " + rest).strip():
        return percentage
    rates = unit_readings(rest, True) if rest.startswith(("per ", "/")) else ()
    return replace(percentage, unit=rates[0], also=(percentage,)) if rates else None


def _money(stated: Quantity, currency: Unit, rest: str) -> Quantity | None:
    rest = _TAIL.sub("", " " + rest).strip()
    if not rest:
        return stated
    for unit in unit_readings(rest, True):
        if unit.dimension == currency.dimension:
            return replace(stated, unit=unit)
        if not is_currency(unit):
            # "$15 per hour" also answers "$15".
            return replace(stated, unit=times(currency, unit), also=(stated,))
    return None


_PART_UNIT = re.compile(r"\s*(°|[′″]|[^\W\d_]+\.?)(\s*,\s*|\s+and\s+|\s*)")
_PARTS_AT_MOST = 4
_ARC = {
    **dict.fromkeys(("′", "m", "min", "mins", "minute", "minutes"), "arcmin"),
    **dict.fromkeys(("″", "s", "sec", "secs", "second", "seconds"), "arcsec"),
}


def _compound(amount: str) -> Quantity | None:
    """A quantity in parts of ever smaller units: "2 h 30 min", 5 ft 3 in, 35°30′15″."""
    sign, amount = (-1, amount[1:]) if amount.startswith("-") else (1, amount)
    text = respell_unit(amount).strip()
    parts: list[tuple[Quantity, Unit]] = []
    position, joint = 0, ""
    while position < len(text):
        if len(parts) == _PARTS_AT_MOST or not text[position].isalnum():
            return None
        number = read_numeral(text[position:])
        spelling = _PART_UNIT.match(text, position + number.end) if number else None
        if number is None or spelling is None:
            return None
        unit = _part_unit(spelling[1].rstrip("."), [part[1] for part in parts])
        if unit is None or (parts and not _continues(parts[-1], number.value, unit, joint)):
            return None
        parts.append((Quantity(number.value, number.step), unit))
        position, joint = spelling.end(), spelling[2].strip()
    if len(parts) < 2 or joint:
        return None
    first = parts[0][1]
    value = sum((part.value * unit.factor for part, unit in parts), start=Fraction(0)) / first.factor
    last, smallest = parts[-1]
    step = None if last.step is None else last.step * smallest.factor / first.factor
    return Quantity(sign * value, step, unit=first)


def _part_unit(spelling: str, before: list[Unit]) -> Unit | None:
    if before and is_angle(before[0]):
        spelling = _ARC.get(spelling, spelling)
    elif before and before[0].dimension == _TIME and spelling == "m":
        spelling = "min"
    unit = next(iter(unit_readings(spelling, True)), None)
    return None if unit is None or any(base.startswith("~") for base, _ in unit.dimension) else unit


_TIME = (("s", 1),)


def _continues(before: tuple[Quantity, Unit], value: Fraction, unit: Unit, joint: str) -> bool:
    larger = before[1]
    if before[0].value.denominator != 1 or larger.dimension != unit.dimension or unit.offset:
        return False
    ratio = larger.factor / unit.factor
    # "5 m and 30 cm" may be two lengths.
    is_list = bool(joint) and not is_currency(unit) and ratio in (10, 100, 1000)
    return ratio > 1 and value < ratio and not is_list


def compare_quantities(gold: Quantity, reply: Quantity) -> tuple[bool, str]:
    """Whether a reply states the gold's number, and the reason.

    A unit that one side leaves out is right, a different one is wrong, and units of one dimension convert. p% equals
    p/100; against a number without the sign it may also stand for p. A gold with decimal places takes any number that
    rounds to it, an integer takes none but itself, and a reply with fewer decimals than the gold is wrong unless it is
    equal. Where a conversion is no round number (miles to kilometres), a reply of three digits may be rounded too.
    """
    same_unit = False
    for one, other in _pairs(gold, reply):
        for conversion in conversions(_unit(one), _unit(other)):
            same_unit = True
            if _same_value(one, other, conversion):
                return True, "same number"
    return False, "different number" if same_unit else "different unit"


def _pairs(gold: Quantity, reply: Quantity) -> Iterator[tuple[Quantity, Quantity]]:
    yield gold, reply
    # A second reading as a unit counts only where the other side names one.
    for other in gold.also:
        if other.unit is None or reply.unit is not None:
            yield other, reply
    for other in reply.also:
        if other.unit is None or gold.unit is not None:
            yield gold, other


def _unit(quantity: Quantity) -> Unit | None:
    if not quantity.percent:
        return quantity.unit
    return PERCENT if quantity.unit is None else times(PERCENT, quantity.unit)


def _same_value(gold: Quantity, reply: Quantity, conversion: Conversion) -> bool:
    factor, shift = conversion
    step = None if reply.step is None else reply.step * abs(factor)
    converted = Quantity(reply.value * factor + shift, step)
    if gold.value == converted.value:
        return True
    if gold.step is not None:
        return _rounds_to(converted.value, *_without_float_noise(gold.value, gold.step))
    if (gold.value.denominator != 1 or conversion != SAME) and states_digits_of(reply, (gold.value - shift) / factor):
        return True
    return _is_rounded_conversion(gold, reply, conversion)


_ROUND_FACTORS = (2, 3, 5)
_LEAST_STEPS = 100


def _is_rounded_conversion(gold: Quantity, reply: Quantity, conversion: Conversion) -> bool:
    """Whether an integer gold and a reply in another system of units are each the other one rounded.

    A factor such as 60 or 1000 leaves nothing to round for the sake of the unit.
    """
    factor, shift = conversion
    if gold.unit is None or reply.unit is None or is_angle(gold.unit) or gold.value.denominator != 1:
        return False
    if not shift and _is_round(factor):
        return False
    step = reply.step or Fraction(1)
    if reply.value % step or step * factor > 1 or (abs(reply.value) < _LEAST_STEPS * step and factor != 1):
        return False
    there = _rounds_to(reply.value * factor + shift, gold.value, Fraction(1))
    return there and _rounds_to((gold.value - shift) / factor, reply.value, step)


def _is_round(factor: Fraction) -> bool:
    for part in (factor.numerator, factor.denominator):
        for prime in _ROUND_FACTORS:
            while part % prime == 0:
                part //= prime
        if part != 1:
            return False
    return True


def states_digits_of(reply: Quantity, exact: Fraction) -> bool:
    """Whether a decimal reply is an exact value rounded to enough digits."""
    if reply.step is None or abs(reply.value / reply.step) < 10 ** (EXACT_GOLD_DIGITS - 1):
        return False
    return _rounds_to(exact, reply.value, reply.step)


def _rounds_to(value: Fraction, target: Fraction, step: Fraction) -> bool:
    """Whether a value rounds to the target at this step, with ties going either away from zero or to even."""
    steps = value / step
    half_up = math.floor(abs(steps) + Fraction(1, 2))
    return target / step in (round(steps), half_up if steps >= 0 else -half_up)


def _without_float_noise(value: Fraction, step: Fraction) -> tuple[Fraction, Fraction]:
    digits = len(str(abs(int(value / step))))
    if digits <= _FLOAT_DIGITS + 2:
        return value, step
    # The noise is never in front of the decimal point.
    coarse = max(step, min(step * 10 ** (digits - _FLOAT_DIGITS), Fraction(1, 10)))
    return round(value / coarse) * coarse, coarse
