"""The units of measurement by symbol and by name, in base units."""

import re
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

Dimension = tuple[tuple[str, int], ...]


class Unit(NamedTuple):
    """What a number counts: base dimensions with their exponents, and how many base units one of it is.

    The base units are kg, m, s, A, K, mol, cd, the degree of angle, the calendar month, the bit and each currency; any
    unknown word ("apples") is one more. The dimension is sorted and holds no exponent 0; that of a percentage or of
    mg/kg is empty. `offset` is where a temperature scale starts, in kelvin.
    """

    dimension: Dimension
    factor: Fraction
    offset: Fraction = Fraction(0)


# 180/π; no answer has as many digits.
DEGREES_PER_RADIAN = Fraction("57.2957795130823208767981548141051703324054724665643215491602438612")

_PREFIXES = {
    **{"Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1},
    **{"d": -1, "c": -2, "m": -3, "μ": -6, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24},
}
_PREFIX_WORDS = {
    **{"exa": 18, "peta": 15, "tera": 12, "giga": 9, "mega": 6, "kilo": 3, "hecto": 2, "deca": 1, "deka": 1},
    **{"deci": -1, "centi": -2, "milli": -3, "micro": -6, "nano": -9, "pico": -12, "femto": -15, "atto": -18},
}
_FORCE, _ENERGY, _POWER, _PRESSURE = "kg m s-2", "kg m2 s-2", "kg m2 s-3", "kg m-1 s-2"

# Factor, dimension, symbols (their case counts), names (it does not); all of these take prefixes.
_PREFIXED: tuple[tuple[str, str, str, str], ...] = (
    ("1", "m", "m", "meter metre"),
    ("1e-3", "kg", "g", "gram gramme"),
    ("1", "s", "s", "second sec"),
    ("1", "A", "A", "ampere amp"),
    ("1", "K", "K", "kelvin"),
    ("1", "mol", "mol", "mole"),
    ("1", "cd", "cd", "candela"),
    ("1", _FORCE, "N", "newton"),
    ("1e-5", _FORCE, "dyn", "dyne"),
    ("1", _PRESSURE, "Pa", "pascal"),
    ("1e5", _PRESSURE, "bar", "bar"),
    ("1", _ENERGY, "J Nm", "joule"),
    ("1", "kg m s-1", "Ns", ""),
    ("1", "kg m2 s-1", "Js", ""),
    ("1", "kg m-1 s-1", "Pas", ""),
    ("1.602176634e-19", _ENERGY, "eV", "electronvolt"),
    ("4.184", _ENERGY, "cal", "calorie"),
    ("3600", _ENERGY, "Wh", "watthour"),
    ("1", _POWER, "W VA", "watt"),
    ("1", "A s", "C", "coulomb"),
    ("3600", "A s", "Ah", ""),
    ("1", "kg m2 s-3 A-1", "V", "volt"),
    ("1", "kg-1 m-2 s4 A2", "F", "farad"),
    ("1", "kg m2 s-2 A-2", "H", "henry"),
    ("1", "kg s-2 A-1", "T", "tesla"),
    ("1e-4", "kg s-2 A-1", "G", "gauss"),
    ("1", "kg m2 s-2 A-1", "Wb", "weber"),
    ("1", "kg m2 s-3 A-2", "Ω Ohm ohm", "ohm"),
    ("1", "kg-1 m-2 s3 A2", "S", "siemens mho"),
    # A hertz is a turn per second: 60 rpm is 1 Hz, 1 rad/s is not.
    ("360", "angle s-1", "Hz", "hertz"),
    ("1e-3", "m3", "L l", "liter litre"),
    ("1", "decay s-1", "Bq", "becquerel"),
    ("3.7e10", "decay s-1", "Ci", "curie"),
    ("1", "m2 s-2", "Gy", "gray"),
    ("1", "sievert", "Sv", "sievert"),
    ("1", "lumen", "lm", "lumen"),
    ("1", "lumen m-2", "lx", "lux"),
    ("1000", "mol m-3", "M", "molar"),
    ("30856775814913673", "m", "pc", "parsec"),
    ("12", "month", "yr", "year"),
    ("1000", "kg", "t", "tonne"),
    ("1", "bit", "b", "bit"),
    ("1", "bit s-1", "bps", ""),
    ("8", "bit", "B", "byte"),
)
# The same without prefixes.
_PLAIN: tuple[tuple[str, str, str, str], ...] = (
    ("0.0254", "m", "in", "inch inches"),
    ("0.3048", "m", "ft", "foot feet"),
    ("0.9144", "m", "yd", "yard"),
    ("1609.344", "m", "mi", "mile"),
    ("1852", "m", "nmi", "nauticalmile"),
    ("201.168", "m", "", "furlong"),
    ("1.8288", "m", "", "fathom"),
    ("1e-6", "m", "", "micron"),
    ("100000", "m", "hundredkm", ""),
    ("1e-10", "m", "Å", "angstrom ångström ångstrom"),
    ("149597870700", "m", "au AU", ""),
    ("9460730472580800", "m", "ly", "lightyear"),
    ("10000", "m2", "ha", "hectare"),
    ("4046.8564224", "m2", "ac", "acre"),
    ("1e-6", "m3", "cc", "ccm"),
    ("0.003785411784", "m3", "gal", "gallon"),
    ("0.000946352946", "m3", "qt", "quart"),
    ("0.000473176473", "m3", "", "pint"),
    ("0.0002365882365", "m3", "", "cup"),
    ("0.0000295735295625", "m3", "floz", "fluidounce"),
    ("0.00001478676478125", "m3", "tbsp", "tablespoon"),
    ("0.00000492892159375", "m3", "tsp", "teaspoon"),
    ("0.158987294928", "m3", "bbl", "barrel"),
    ("0.44704", "m s-1", "mph", ""),
    ("5/18", "m s-1", "kmh kph kmph KMH KPH", ""),
    ("463/900", "m s-1", "kn kt kts", "knot"),
    ("1", "kg", "KG Kg", "kilo"),
    ("0.001", "kg", "gm", ""),
    ("0.45359237", "kg", "lb lbs lbm LB", "pound"),
    ("0.028349523125", "kg", "oz", "ounce"),
    ("6.35029318", "kg", "st", "stone"),
    ("1000", "kg", "", "ton metricton"),
    ("907.18474", "kg", "", "shortton"),
    ("1.66053906892e-27", "kg", "u amu Da", "dalton"),
    ("2e-4", "kg", "ct", "carat"),
    ("1000", "m", "KM Km", ""),
    ("0.01", "m", "CM Cm", ""),
    ("60", "s", "min", "minute"),
    ("3600", "s", "h hr HR", "hour"),
    ("86400", "s", "d", "day"),
    ("604800", "s", "wk", "week"),
    ("1209600", "s", "", "fortnight"),
    ("1", "month", "mo", "month"),
    ("120", "month", "", "decade"),
    ("1200", "month", "", "century centuries"),
    ("4.4482216152605", _FORCE, "lbf", "poundforce"),
    ("9.80665", _FORCE, "kgf", ""),
    ("1e-7", _ENERGY, "", "erg"),
    ("1.3558179483314004", _ENERGY, "ftlbf", ""),
    ("0.01", _ENERGY, "Ncm", ""),
    ("8000", "bit", "KB", ""),
    ("1000", "bit", "Kb", ""),
    ("1055.05585262", _ENERGY, "", "btu"),
    ("4184", _ENERGY, "Cal", ""),
    ("3600000", _ENERGY, "kwh KWH KWh Kwh", ""),
    ("1000", _ENERGY, "KJ Kj kj", ""),
    ("1000", _POWER, "KW Kw kw", ""),
    ("745.69987158227022", _POWER, "hp HP", "horsepower"),
    ("1000", "kg m2 s-3 A-1", "KV Kv kv", ""),
    ("101325", _PRESSURE, "atm", "atmosphere"),
    ("101325/760", _PRESSURE, "mmHg Torr", "torr"),
    ("3386.389", _PRESSURE, "inHg", ""),
    ("6894.757293168361", _PRESSURE, "psi PSI", ""),
    ("1000", _PRESSURE, "KPa kpa KPA", ""),
    ("1", "m-1", "D dpt", "diopter dioptre"),
    ("360", "angle s-1", "hz HZ rps", ""),
    ("360000", "angle s-1", "khz KHz KHZ", ""),
    ("360000000", "angle s-1", "mhz Mhz MHZ", ""),
    ("360000000000", "angle s-1", "ghz Ghz GHZ", ""),
    ("6", "angle s-1", "rpm RPM", ""),
    ("1/60", "beat s-1", "bpm BPM", ""),
    ("1", "angle", "° deg", "degree"),
    ("1/60", "angle", "arcmin", "arcminute"),
    ("1/3600", "angle", "arcsec", "arcsecond"),
    ("0.9", "angle", "gon grad", "gradian"),
    ("360", "angle", "rev", "revolution turn cycle"),
    ("1000", "kg m2 s-3 A-2", "", "kilohm"),
    ("1000000", "kg m2 s-3 A-2", "", "megohm"),
    ("1", "kg m2 s-2 A-2", "", "henries"),
    ("1e-6", "", "ppm", ""),
    ("1e-9", "", "ppb", ""),
    ("1e-3", "", "‰", ""),
    ("1", "USD", "USD", "dollar buck"),
    ("0.01", "USD", "¢", "cent penny pennies"),
    ("1", "EUR", "EUR €", "euro"),
    ("1", "GBP", "GBP £", "poundsterling quid"),
    ("0.01", "GBP", "", "pence"),
    ("1", "JPY", "JPY ¥", "yen"),
    ("1", "CNY", "CNY RMB 元", "yuan renminbi"),
    ("1", "INR", "INR ₹ Rs Rs.", "rupee"),
    ("1", "KRW", "KRW ₩", "won"),
    ("1", "RUB", "RUB ₽", "ruble rouble"),
    ("1", "CHF", "CHF", "franc"),
    ("1", "AUD", "AUD", ""),
    ("1", "CAD", "CAD", ""),
    ("1", "NZD", "NZD", ""),
    ("1", "HKD", "HKD", ""),
    ("1", "SGD", "SGD", ""),
    ("1", "BRL", "BRL", ""),
    ("1", "MXN", "MXN", ""),
    ("1", "TRY", "TRY ₺", "lira"),
    ("1", "ILS", "ILS ₪", "shekel"),
)


def _dimension(text: str) -> Dimension:
    pairs = re.findall(r"([A-Za-z]+)(-?[0-9]+)?", text)
    return tuple(sorted((base, int(power or 1)) for base, power in pairs))


def _table(rows: Iterable[tuple[str, str, str, str]], column: int) -> dict[str, Unit]:
    return {name: Unit(_dimension(row[1]), Fraction(row[0])) for row in rows for name in row[column].split()}


_RADIAN = Unit(_dimension("angle"), DEGREES_PER_RADIAN)
_CELSIUS = Unit(_dimension("K"), Fraction(1), Fraction("273.15"))
_FAHRENHEIT = Unit(_dimension("K"), Fraction(5, 9), Fraction("459.67") * 5 / 9)
_PREFIXED_SYMBOLS = {**_table(_PREFIXED, 2), "rad": _RADIAN}
_PREFIXED_NAMES = {**_table(_PREFIXED, 3), "radian": _RADIAN}
_ONLY_PREFIXED = frozenset("bB")
_FEW_PREFIXES = {"b": "kMGTP", "B": "kMGTP", "t": "MG", "yr": "kMG", "M": "mμunp"}
_SYMBOLS = {
    **{symbol: unit for symbol, unit in _PREFIXED_SYMBOLS.items() if symbol not in _ONLY_PREFIXED},
    **_table(_PLAIN, 2),
    **{"°C": _CELSIUS, "°F": _FAHRENHEIT, "°K": Unit(_dimension("K"), Fraction(1))},
}
_NAMES = {**_PREFIXED_NAMES, **_table(_PLAIN, 3), "celsius": _CELSIUS, "fahrenheit": _FAHRENHEIT}
_PLURAL_SYMBOLS = frozenset(
    {"kg", "km", "cm", "mm", "ml", "mL", "hr", "yd", "yr", "gm", "kWh", "min", "wk", "mo", "rev", "mol"}
)
# With these the unit is the first of two; which one it is shows when the other side names its own.
SECOND_READINGS = {
    "C": _CELSIUS,
    "F": _FAHRENHEIT,
    "′": _SYMBOLS["arcmin"],
    "″": _SYMBOLS["arcsec"],
    "¥": _SYMBOLS["CNY"],
    "cal": _SYMBOLS["Cal"],
    "pound": _SYMBOLS["GBP"],
    "pounds": _SYMBOLS["GBP"],
    "ton": _NAMES["shortton"],
    "tons": _NAMES["shortton"],
    "calories": _SYMBOLS["Cal"],
    "Calories": _SYMBOLS["Cal"],
    "oz": _SYMBOLS["floz"],
    "ounces": _SYMBOLS["floz"],
}
_SYMBOLS.update({"′": _SYMBOLS["ft"], "″": _SYMBOLS["in"]})
# Next to a formula any other letter is more likely a variable.
LETTERS_IN_FORMULAS = frozenset("mgshlLNCTJWVAKΩ°€£¥₹¢")
# Any other two letters that touch a number are a product of variables.
PAIRS_IN_FORMULAS = frozenset(
    {
        *("nm", "μm", "um", "mm", "cm", "dm", "km", "in", "ft", "yd", "mi", "mg", "gm", "kg", "lb", "oz", "ms", "hr"),
        *("ml", "mL", "kN", "kJ", "kW", "mA", "kΩ", "Hz", "Pa", "eV"),
    }
)


@lru_cache(maxsize=4096)
def find_unit(name: str) -> Unit | None:
    """The unit with this symbol or name, prefix included; the case of symbols counts (mW is not MW)."""
    if name in _SYMBOLS:
        return _SYMBOLS[name]
    for length in (1, 2):
        prefix, symbol = name[:length], name[length:]
        if prefix in _PREFIXES and symbol in _PREFIXED_SYMBOLS and prefix in _FEW_PREFIXES.get(symbol, _PREFIXES):
            return _multiple(_PREFIXED_SYMBOLS[symbol], _PREFIXES[prefix])
    if name.endswith("s") and name[:-1] in _PLURAL_SYMBOLS:
        return find_unit(name[:-1])
    word = name.lower()
    return _find_name(word) if len(word) > 2 else None


def _find_name(word: str) -> Unit | None:
    for name in (word, word.removesuffix("s")):
        if name in _NAMES:
            return _NAMES[name]
        for prefix, power in _PREFIX_WORDS.items():
            if name.startswith(prefix) and name[len(prefix) :] in _PREFIXED_NAMES:
                return _multiple(_PREFIXED_NAMES[name[len(prefix) :]], power)
    return None


def _multiple(unit: Unit, power: int) -> Unit:
    return Unit(unit.dimension, unit.factor * Fraction(10) ** power)
