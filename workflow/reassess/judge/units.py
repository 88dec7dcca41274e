"""Units of measurement that follow a number: which ones are the same, and how they convert."""

import math
import re
from fractions import Fraction
from typing import NamedTuple


class Unit(NamedTuple):
    """What a number counts: a product of dimensions, and how many base units one of it is.

    An unknown word ("apples") is a dimension of its own.
    """

    dimension: str
    factor: Fraction


def _table() -> dict[str, Unit]:
    rows: tuple[tuple[str, str, str], ...] = (
        ("length", "1e-9", "nm nanometer nanometre"),
        ("length", "1e-6", "μm µm um micrometer micrometre micron"),
        ("length", "1e-3", "mm millimeter millimetre"),
        ("length", "1e-2", "cm centimeter centimetre"),
        ("length", "1e-1", "dm decimeter decimetre"),
        ("length", "1", "m meter metre"),
        ("length", "1000", "km kilometer kilometre"),
        ("length", "0.0254", "in inch inches"),
        ("length", "0.3048", "ft foot feet"),
        ("length", "0.9144", "yd yard"),
        ("length", "1609.344", "mi mile"),
        ("length/time", "0.44704", "mph"),
        ("length/time", "5/18", "kmh kph kmph"),
        ("mass", "1e-3", "mg milligram"),
        ("mass", "1", "g gram gm"),
        ("mass", "1000", "kg kilogram kilo kgs"),
        ("mass", "1e6", "ton tonne"),
        ("mass", "453.59237", "lb lbs pound"),
        ("mass", "28.349523125", "oz ounce"),
        ("time", "1e-3", "ms millisecond"),
        ("time", "1", "s sec second"),
        ("time", "60", "min minute"),
        ("time", "3600", "h hr hour"),
        ("time", "86400", "day"),
        ("time", "604800", "week"),
        ("month", "1", "month"),
        ("month", "12", "year yr"),
        ("volume", "1e-3", "ml mL milliliter millilitre"),
        ("volume", "1", "l L liter litre"),
        ("force", "1", "N newton"),
        ("force", "1000", "kN kilonewton"),
        ("charge", "1", "C coulomb"),
        ("magnetic flux density", "1", "T tesla"),
        ("energy", "1", "J joule"),
        ("energy", "1000", "kJ kilojoule"),
        ("calorie", "1", "cal calorie"),
        ("calorie", "1000", "kcal kilocalorie"),
        ("power", "1", "W watt"),
        ("power", "1000", "kW kilowatt"),
        ("voltage", "1", "V volt"),
        ("current", "1e-3", "mA milliampere"),
        ("current", "1", "A ampere amp"),
        ("resistance", "1", "Ω Ω ohm"),
        ("resistance", "1000", "kΩ kΩ kiloohm"),
        ("frequency", "1", "Hz hertz"),
        ("frequency", "1000", "kHz kilohertz"),
        ("frequency", "1e6", "MHz megahertz"),
        ("pressure", "1", "Pa pascal"),
        ("pressure", "1000", "kPa kilopascal"),
        ("amount", "1", "mol mole"),
        ("temperature K", "1", "K kelvin"),
        ("temperature C", "1", "°C celsius"),
        ("temperature F", "1", "°F fahrenheit"),
        ("angle", "1", "° deg degree"),
        ("radian", "1", "rad radian"),
        ("dollar", "1", "USD dollar buck"),
        ("dollar", "0.01", "cent ¢"),
        ("euro", "1", "EUR € euro"),
        ("pound sterling", "1", "GBP £"),
        ("yen or yuan", "1", "¥ JPY CNY RMB yen yuan"),
        ("rupee", "1", "INR ₹ rupee Rs"),
    )
    table: dict[str, Unit] = {}
    for dimension, factor, names in rows:
        for name in names.split():
            table[name] = Unit(dimension, Fraction(factor))
            if len(name) > 3:
                table[name + "s"] = table[name]
    return table


_KNOWN = _table()
_CURRENCY_PREFIX = re.compile(r"(USD|EUR|GBP|CNY|RMB|JPY|INR|Rs\.?|[€£¥₹])\s*")
_EXPONENT = re.compile(r"\^?\{?([23])\}?$")
_POWER_WORDS = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3}
_PLACEHOLDER = re.compile(r"(?:square |sq\.? |cubic )?units?(?:\^\{[23]\})?(?: squared| cubed)?$", re.IGNORECASE)
_UNKNOWN_WORD = re.compile(r"[A-Za-z][A-Za-z'-]{2,}$")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_UNKNOWN_WORDS_AT_MOST = 3

# After these a number is no longer the whole of what is said: "5 or more", "5 not 6", "5 million".
_NOT_A_UNIT = re.compile(
    "or|and|to|not|no|but|if|than|more|less|fewer|least|most|plus|minus|times|over|under|above|below|is|are|was|were"
    "|equals?|with|without|when|where|then|because|so|maybe|perhaps|possibly|otherwise|either|neither|nor|vs"
    "|hundred|thousand|million|billion|trillion|dozen|half|halves|thirds?|quarters?|squared|cubed|root"
    "|zero|one|two|three|four|five|six|seven|eight|nine|ten|pi|sin|cos|tan|log|ln|exp|sqrt"
)


def split_currency(text: str) -> tuple[Unit | None, str]:
    """A currency in front of an amount, and the rest of the text."""
    match = _CURRENCY_PREFIX.match(text)
    if not match:
        return None, text
    return _KNOWN[match[1].rstrip(".")], text[match.end() :]


def known_unit(text: str) -> Unit | None:
    """The unit of measurement that a normalised text spells in full, compound ones included; None for other words."""
    numerator, *denominators = (_product(part) for part in re.split(r"\s*/\s*|\s+per\s+", text.strip()))
    if numerator is None:
        return None
    dimension, factor = numerator
    for denominator in denominators:
        if denominator is None:
            return None
        dimension += "/" + denominator.dimension
        factor /= denominator.factor
    return Unit(dimension, factor)


def _product(text: str) -> Unit | None:
    units = [_simple_unit(part) for part in re.split(r"\s*\\cdot\s*", text)]
    known = [unit for unit in units if unit is not None]
    if len(known) < len(units):
        return None
    return Unit(
        "·".join(sorted(unit.dimension for unit in known)),
        math.prod((unit.factor for unit in known), start=Fraction(1)),
    )


def _simple_unit(text: str) -> Unit | None:
    words = text.split()
    if not words or len(words) > 3:
        return None
    power = 1
    if words[0].lower() in _POWER_WORDS and len(words) == 2:
        power, words = _POWER_WORDS[words[0].lower()], words[1:]
    elif words[-1] in ("squared", "cubed") and len(words) == 2:
        power, words = (2 if words[-1] == "squared" else 3), words[:1]
    elif words[0].lower() in ("degree", "degrees", "°") and len(words) == 2:
        words = ["°" + words[1]] if len(words[1]) == 1 else words[1:]
    if len(words) != 1:
        return None
    name = words[0].rstrip(".")
    exponent = _EXPONENT.search(name)
    if exponent and power == 1:
        power, name = int(exponent[1]), name[: exponent.start()]
    unit = _KNOWN.get(name) or (_KNOWN.get(name.lower()) if len(name) > 2 else None)
    if unit is None:
        return None
    return unit if power == 1 else Unit(f"{unit.dimension}^{power}", unit.factor**power)


def is_placeholder(text: str) -> bool:
    """Whether the text says "units", which names no unit at all."""
    return bool(_PLACEHOLDER.match(text))


def counted_noun(text: str) -> Unit | None:
    """What a number counts, where that is no unit of measurement: up to three plain words.

    Two letters, or letters in alphabetical order such as "xyz", are a product of variables.
    """
    words = text.lower().split()
    if not words or len(words) > _UNKNOWN_WORDS_AT_MOST:
        return None
    if any(not _UNKNOWN_WORD.match(word) or _NOT_A_UNIT.fullmatch(word) or word in _ALPHABET for word in words):
        return None
    return Unit(" ".join(word.removesuffix("s") for word in words), Fraction(1))
