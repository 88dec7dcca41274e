"""Plain numbers with their unit and precision: reading them, and when one answers for another."""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from reassess.judge.normalize import normalize_math
from reassess.judge.units import Unit, counted_noun, is_placeholder, known_unit, split_currency

_NUMBER_CHARACTERS = 400
_EXPONENT_AT_MOST = 400
# A gold with more digits than this is a binary float printed in full, such as 15.700000000000001.
_FLOAT_DIGITS = 12
# An exact gold that no decimal equals (1/3, the square root of 2) takes a decimal right to this many digits.
EXACT_GOLD_DIGITS = 6


@dataclass(frozen=True)
class Quantity:
    """A number as written.

    `step` is the unit of the last decimal place written (0.01 for "3.14"), None for integers and fractions, which are
    exact.
    """

    value: Fraction
    step: Fraction | None = None
    percent: bool = False
    unit: Unit | None = None


_INTEGER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]{1,3}(?:[ ][0-9]{3})+(?![0-9])|[0-9]+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.[0-9]+)?|\.[0-9]+)"
_NUMBER = re.compile(
    rf"""(?P<sign>[+-]?)\s*(?:
      (?P<whole>[0-9]+)?\s*\\frac\{{\s*(?P<top>[+-]?{_DECIMAL})\s*\}}\{{\s*(?P<bottom>[+-]?{_DECIMAL})\s*\}}
    | (?P<mixed>[0-9]+)\s+(?P<part>[0-9]+)\s*/\s*(?P<parts>[0-9]+)
    | (?P<mantissa>{_DECIMAL})\s*(?:[eE](?P<e>[+-]?[0-9]+)(?![0-9A-Za-z])
        |(?:\\times|\\cdot|\*|x)\s*10\^\{{\s*(?P<power>[+-]?[0-9]+)\s*\}})
    | 10\^\{{\s*(?P<bare_power>[+-]?[0-9]+)\s*\}}
    | (?P<over>{_DECIMAL})\s*/\s*(?P<under>{_DECIMAL})
    | (?P<plain>{_DECIMAL})
    )""",
    re.VERBOSE,
)
_SMALL_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_TENS_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: value for value, word in enumerate(_SMALL_WORDS.split())}
_TENS = {word: 10 * value for value, word in enumerate(_TENS_WORDS.split(), 2)}
_NUMBER_WORDS = re.compile(
    rf"(?:(?P<tens>{'|'.join(_TENS)})(?:[ -](?P<unit>{'|'.join(list(_SMALL)[1:10])}))?"
    rf"|(?P<small>{'|'.join(sorted(_SMALL, key=len, reverse=True))}))(?![A-Za-z-])",
    re.IGNORECASE,
)
_SCALE = re.compile(r"\s*(hundred|thousand|million|billion|trillion)(?![A-Za-z])", re.IGNORECASE)
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}


@lru_cache(maxsize=8192)
def read_quantity(text: str, glued_letters_are_units: bool = False) -> Quantity | None:
    """The quantity that a text states and nothing else; None for lists, ranges, formulas and sentences.

    Letters that touch the number are variables, unless they are a unit of several letters ("5m" is 5·m, "5cm" is a
    length) or `glued_letters_are_units`.
    """
    if len(text) > _NUMBER_CHARACTERS:
        return None
    currency, amount = split_currency(normalize_math(text))
    if amount.startswith("-") and currency is None:
        currency, rest = split_currency(amount[1:].lstrip())
        amount = "-" + rest if currency else amount
    stated = _read_number(amount)
    if stated is None:
        return None
    quantity, end = stated
    scale = _SCALE.match(amount, end)
    if scale:
        factor = _SCALES[scale[1].lower()]
        step = quantity.step * factor if quantity.step else None
        quantity, end = Quantity(quantity.value * factor, step), scale.end()
    rest = amount[end:]
    if rest.strip() == "%" and currency is None:
        return Quantity(quantity.value, quantity.step, percent=True)
    if rest.isascii() and rest.isalpha() and not glued_letters_are_units and (len(rest) == 1 or not known_unit(rest)):
        return None
    if not rest.strip() or is_placeholder(rest.strip()):
        return Quantity(quantity.value, quantity.step, unit=currency)
    unit = known_unit(rest) or counted_noun(rest)
    if unit is None or (currency is not None and currency.dimension != unit.dimension):
        return None
    return Quantity(quantity.value, quantity.step, unit=unit)


def _read_number(text: str) -> tuple[Quantity, int] | None:
    match = _NUMBER.match(text)
    if not match:
        return _read_words(text)
    groups = match.groupdict()
    sign = -1 if groups["sign"] == "-" else 1
    if groups["top"]:
        bottom = _decimal(groups["bottom"])
        if bottom == 0:
            return None
        value = Fraction(groups["whole"] or 0) + _decimal(groups["top"]) / bottom
        return Quantity(sign * value), match.end()
    if groups["mixed"]:
        if not int(groups["parts"]):
            return None
        value = int(groups["mixed"]) + Fraction(int(groups["part"]), int(groups["parts"]))
        return Quantity(sign * value), match.end()
    if groups["over"]:
        under = _decimal(groups["under"])
        return (Quantity(sign * _decimal(groups["over"]) / under), match.end()) if under else None
    digits = groups["plain"] or groups["mantissa"] or "1"
    exponent = int(groups["e"] or groups["power"] or groups["bare_power"] or 0)
    if abs(exponent) > _EXPONENT_AT_MOST:
        return None
    scale = Fraction(10) ** exponent
    places = len(digits.partition(".")[2])
    step = scale / 10**places if places else None
    return Quantity(sign * _decimal(digits) * scale, step), match.end()


def _decimal(digits: str) -> Fraction:
    return Fraction(digits.replace(",", "").replace(" ", ""))


def _read_words(text: str) -> tuple[Quantity, int] | None:
    match = _NUMBER_WORDS.match(text)
    if not match:
        return None
    if match["small"]:
        value = _SMALL[match["small"].lower()]
    else:
        value = _TENS[match["tens"].lower()] + (_SMALL[match["unit"].lower()] if match["unit"] else 0)
    return Quantity(Fraction(value)), match.end()


def compare_quantities(gold: Quantity, reply: Quantity) -> tuple[bool, str]:
    """Whether a reply states the gold's number, and the reason.

    A unit that one side leaves out is right, a different one is wrong, and units of one dimension convert. p% equals
    p/100; against a number without the sign it may also stand for p. A gold with decimal places takes any number that
    rounds to it, an integer takes none but itself, and a reply with fewer decimals than the gold is wrong unless it is
    equal.
    """
    factor = Fraction(1)
    if gold.unit is not None and reply.unit is not None:
        if gold.unit.dimension != reply.unit.dimension:
            return False, "different unit"
        factor = reply.unit.factor / gold.unit.factor
    if gold.percent != reply.percent and (gold.unit or reply.unit):
        return False, "different unit"
    readings = {Fraction(1)}
    if gold.percent != reply.percent:
        readings.add(Fraction(100) if gold.percent else Fraction(1, 100))
    equal = any(_same_value(gold, _scaled(reply, factor * reading)) for reading in readings)
    return equal, "same number" if equal else "different number"


def _scaled(quantity: Quantity, factor: Fraction) -> Quantity:
    return Quantity(quantity.value * factor, quantity.step * factor if quantity.step else None)


def _same_value(gold: Quantity, reply: Quantity) -> bool:
    if gold.value == reply.value:
        return True
    if gold.step is not None:
        value, step = _without_float_noise(gold.value, gold.step)
        return _rounds_to(reply.value, value, step)
    return gold.value.denominator != 1 and states_digits_of(reply, gold.value)


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
    coarse = step * 10 ** (digits - _FLOAT_DIGITS)
    steps = round(value / coarse)
    while steps and steps % 10 == 0:
        steps, coarse = steps // 10, coarse * 10
    return steps * coarse, coarse
