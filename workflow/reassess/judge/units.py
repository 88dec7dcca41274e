"""Units of measurement that follow a number: reading them, and how one converts into another."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from reassess.judge.unit_names import (
    DEGREES_PER_RADIAN,
    LETTERS_IN_FORMULAS,
    SECOND_READINGS,
    Dimension,
    Unit,
    find_unit,
)

DEGREE: Dimension = (("angle", 1),)
_TEMPERATURE: Dimension = (("K", 1),)
_MONTH: Dimension = (("month", 1),)
_SECOND: Dimension = (("s", 1),)
_SECONDS_PER_MONTH = (Fraction(365 * 86_400, 12), Fraction("365.25") * 7_200)
PERCENT = Unit((), Fraction(1, 100))

_CURRENCY_PREFIX = re.compile(
    r"(?P<land>U\.?S\.?|AU?|CA?|HK|SG?|NZ|R)?\s*USD\s*|(?P<code>EUR|GBP|CNY|RMB|JPY|INR|KRW|CHF|AUD|CAD|HKD|Rs\.?"
    r"|[€£¥₹₩₽₺₪])\s*"
)
_LANDS = {
    "A": "AUD",
    "AU": "AUD",
    "C": "CAD",
    "CA": "CAD",
    "HK": "HKD",
    "S": "SGD",
    "SG": "SGD",
    "NZ": "NZD",
    "R": "BRL",
}


def split_currency(text: str) -> tuple[Unit | None, str]:
    """A currency in front of an amount, and the rest of the text."""
    match = _CURRENCY_PREFIX.match(text)
    if not match:
        return None, text
    code = match["code"] or _LANDS.get(match["land"] or "", "USD")
    return find_unit(code.rstrip(".")), text[match.end() :]


_NAME = r"°[CFK](?![A-Za-z])|[^\W\d_]+\.?|[°′″%‰¢€£¥₹₩₽₺₪]"
_TOKEN = re.compile(
    rf"""\s*(?:
      (?P<over>/|\\div(?![A-Za-z])|per(?![^\W\d_]))
    | (?P<times>(?:\\cdot|\\times)(?![A-Za-z])|\*|(?<=[^\W\d_])-(?=[^\W\d_]))
    | (?P<open>[({{]) | (?P<close>[)}}])
    | \^\{{\s*(?P<power>[+-]?[0-9]{{1,2}})\s*\}} | (?<=[^\W\d_])(?P<tail>-?[1-9])(?![0-9])
    | (?P<name>{_NAME}) | (?P<sign>[^\w\s\\^{{}}()\[\]<>=+*/|,;:!?.'"&~@#-])
    )""",
    re.VERBOSE,
)
_CHARACTERS_AT_MOST = 120
_TOKENS_AT_MOST = 30
_GROUPS_AT_MOST = 4
_POWER_AT_MOST = 12
_POWER_BEFORE = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_POWER_BEHIND = {"squared": 2, "cubed": 3, "square": 2, "sq": 2}


class _Token(NamedTuple):
    kind: str
    text: str


def _tokens(text: str) -> list[_Token] | None:
    tokens: list[_Token] = []
    position, text = 0, text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match or len(tokens) == _TOKENS_AT_MOST:
            return None
        kind = match.lastgroup or ""
        tokens.append(_Token("power" if kind == "tail" else kind, match[kind]))
        position = match.end()
    return tokens


_SPELLINGS = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"(?:\bdegrees?|\bdeg\.?|°)\s*(?:celsius|centigrade)\b|(?:\bdegrees?|\bdeg\.?)\s*C\b|°\s+C\b", "°C"),
        (r"(?:\bdegrees?|\bdeg\.?|°)\s*fahrenheit\b|(?:\bdegrees?|\bdeg\.?)\s*F\b|°\s+F\b", "°F"),
        (r"(?:\bdegrees?|\bdeg\.?|°)\s*kelvins?\b|°\s*K\b", "K"),
        (r"\blight[ -]years?\b", "ly"),
        (r"\bhalf[ -]li(?:fe|ves)\b", "halflife"),
        (r"(?<=/)\s*100 ?km\b", "hundredkm"),
        (r"\bnautical[ -]miles?\b", "nmi"),
        (r"\bfluid ounces?\b|\bfl\.? oz\b", "floz"),
        (r"\b(metric|short) ton(?:ne)?s?\b", r"\1ton"),
        (r"\bpounds? sterling\b", "GBP"),
        (r"\bpounds?[ -]force\b", "lbf"),
        (r"\b(?:foot|feet|ft)[ -]?(?:pounds?|lbs?)\b", "ftlbf"),
        (r"\b(?:U\.?S\.?|American) (?=dollars?\b|USD\b|cents?\b)", ""),
        (r"\bmm ?of mercury\b|\bmm Hg\b", "mmHg"),
        (r"\b(?:electron|watt)[ -](?=volts?\b|hours?\b)", lambda match: match[0][:-1]),
        (r"\barc[ -](?=min|sec)", "arc"),
        (r"\bkilogram[ -]force\b", "kgf"),
        (r"''|′′|\"", "″"),
        (r"'", "′"),
    )
)
_TWO_WORDS = re.compile(
    r"degree|deg|°|light|nautical|fluid|fl\.? oz|ton|lbs?\b|pound|force|U\.?S|American|Hg|mercury|electron|watt|arc"
    r"|half|100|['\"′]",
    re.IGNORECASE,
)
_GROUP = r"\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}"
_COMMANDS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:text|math)?(?:rm|bf|it|sf|normal|text)?(?=[\s{])|\\text(?=\s*\{)", ""),
        (rf"\\frac\s*{_GROUP}\s*{_GROUP}", r"(\1)/(\2)"),
        (r"\^\{\s*\\prime\s*\\prime\s*\}|\^\\prime\s*\\prime", "″"),
        (r"\^\{\s*\\prime\s*\}|\^\\prime", "′"),
        (r"\\mu\s*", "μ"),
        (r"\s?\\(?:Omega|ohm)(?![A-Za-z])", "Ω"),
        (r"\\(?:AA(?![A-Za-z])|(?:mathring|r)\s*\{\s*A\s*\})", "Å"),
        (r"\\ell(?![A-Za-z])", "L"),
    )
)


def respell_unit(text: str) -> str:
    """A unit without LaTeX commands and with names of two words in one: "fluid ounces" is "floz"."""
    if "\\" in text:
        for pattern, replacement in _COMMANDS:
            text = pattern.sub(replacement, text)
    text = re.sub(r"μ\s+(?=[A-Za-zΩ])", "μ", text)
    if _TWO_WORDS.search(text):
        for pattern, spelling in _SPELLINGS:
            text = pattern.sub(spelling, text)
    return text


_PLACEHOLDER = re.compile(r"(?:square |sq\.? |cubic )?units?(?:\^\{[23]\})?(?: squared| cubed)?$", re.IGNORECASE)


def is_placeholder(text: str) -> bool:
    """Whether the text says "units", which names no unit at all."""
    return bool(_PLACEHOLDER.match(text))


_UNKNOWN_WORD = re.compile(r"[A-Za-z][A-Za-z'-]{2,}$")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_UNKNOWN_WORDS_AT_MOST = 3

# After these a number is no longer the whole of what is said: "5 or more", "5 not 6", "5 million".
_NOT_A_UNIT = re.compile(
    "or|and|to|not|no|but|if|than|more|less|fewer|least|most|plus|minus|times|over|under|above|below|is|are|was|were"
    "|equals?|with|without|when|where|then|because|so|maybe|perhaps|possibly|otherwise|either|neither|nor|vs"
    "|hundred|thousand|million|billion|trillion|dozen|half|halves|thirds?|quarters?|squared|cubed|root"
    "|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[a-z]+teen|twenty|thirty|forty|fifty|sixty"
    "|seventy|eighty|ninety|negative|pi|sin|cos|tan|log|ln|exp|sqrt"
    "|the|an|in|on|at|as|of|for|by|from|out|it|this|that|there|which|can|cannot|could|would|should|might|may|will"
    "|approx|approximately|about|around|roughly|nearly|almost|up|down|lower|upper|bound|estimated?|guess|unsure"
    "|between|until|till|through|versus|per|false|true|wrong|incorrect|never|none|nothing|unknown|except|only|mod"
    "|plus-minus|and/or|alternatively|respectively|resp|etc|eg|ie|ex|even|odd|base|do|be|has|have|we|he|she|they|you"
    "|lim|max|arg|det|gcd|lcm|dx|dy|dt|dz|doesn't|isn't|don't|can't|it's|actually|wait|else|however|though|yet"
)


def counted_noun(text: str) -> Unit | None:
    """What a number counts, where that is no unit of measurement: up to three plain words.

    Two letters, or letters in alphabetical order such as "xyz", are a product of variables.
    """
    words = text.split()
    if not words or len(words) > _UNKNOWN_WORDS_AT_MOST or not all(map(_UNKNOWN_WORD.match, words)):
        return None
    nouns = [_noun(word) for word in words]
    known = [noun for noun in nouns if noun]
    return _combine((noun, 1) for noun in known) if len(known) == len(words) else None


_PLURALS = {
    **{"people": "person", "children": "child", "men": "man", "women": "woman", "mice": "mouse", "geese": "goose"},
    **{"teeth": "tooth", "leaves": "leaf", "loaves": "loaf", "knives": "knife", "vertices": "vertex", "dice": "die"},
}


def _noun(word: str) -> Unit | None:
    lower = word.lower()
    if not word or _NOT_A_UNIT.fullmatch(lower) or lower in _ALPHABET:
        return None
    if len(word) == 1 and not (word > _LAST_ALPHABET or unicodedata.category(word) in ("So", "Sc")):
        return None
    # The case of a symbol counts, that of a word does not.
    name = _singular(lower) if word[1:].islower() else word
    return Unit(((f"~{name}", 1),), Fraction(1))


# Scripts in which one character is a word begin here.
_LAST_ALPHABET = "\u2e80"


def _singular(word: str) -> str:
    """One spelling for a noun and its plural, not always a word: "horse" and "horses" are "hor"."""
    stem = _PLURALS.get(word, word).rstrip("es") or word
    return stem[:-1] + "y" if stem.endswith("i") else stem


class _Factor(NamedTuple):
    """A unit in a product, its power, and whether a slash stands before it at all, or directly."""

    unit: Unit
    power: int
    below: bool
    directly: bool


class _Parser:
    """Reads tokens into factors; `words` says whether an unknown word is a unit of its own."""

    def __init__(self, tokens: list[_Token], words: bool) -> None:
        self._tokens = tokens
        self._words = words
        self._at = 0

    def whole(self) -> list[_Factor] | None:
        """The factors of all tokens; None where they are no unit."""
        factors = self._product(0)
        return factors if self._at == len(self._tokens) else None

    def _kind(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._tokens[at].kind if at < len(self._tokens) else "end"

    def _product(self, depth: int) -> list[_Factor] | None:
        factors: list[_Factor] = []
        below = False
        while self._kind() not in ("end", "close"):
            directly = self._kind() == "over"
            below = below or directly
            if directly or self._kind() == "times":
                if self._kind() == "times" and not factors:
                    return None
                self._at += 1
            read = self._factor(depth)
            if read is None:
                return None
            factors.append(_Factor(*read, below, directly))
        return factors or None

    def _factor(self, depth: int) -> tuple[Unit, int] | None:
        power = 1
        if self._kind() == "name" and self._kind(1) in ("name", "open") and self._word() in _POWER_BEFORE:
            power = _POWER_BEFORE[self._word()]
            self._at += 1
        unit = self._group(depth) if self._kind() == "open" else self._single()
        while unit is not None:
            if self._kind() == "power":
                power *= int(self._tokens[self._at].text)
            elif self._kind() == "name" and self._word() in _POWER_BEHIND and self._kind(1) != "name":
                power *= _POWER_BEHIND[self._word()]
            else:
                break
            self._at += 1
        return None if unit is None or not 0 < abs(power) <= _POWER_AT_MOST else (unit, power)

    def _word(self) -> str:
        return self._tokens[self._at].text.lower().rstrip(".")

    def _group(self, depth: int) -> Unit | None:
        if depth == _GROUPS_AT_MOST:
            return None
        self._at += 1
        factors = self._product(depth + 1)
        closed = self._kind() == "close"
        self._at += 1
        return _combine((f.unit, -f.power if f.below else f.power) for f in factors) if factors and closed else None

    def _single(self) -> Unit | None:
        if self._kind() not in ("name", "sign"):
            return None
        text = self._tokens[self._at].text
        self._at += 1
        unit = find_unit(text) or find_unit(text.rstrip("."))
        return unit or (_noun(text.rstrip(".")) if self._words else None)


def _combine(powers: Iterable[tuple[Unit, int]]) -> Unit:
    pairs = list(powers)
    if len(pairs) == 1 and pairs[0][1] == 1:
        return pairs[0][0]
    exponents: dict[str, int] = {}
    factor = Fraction(1)
    for unit, power in pairs:
        factor *= unit.factor**power
        for base, exponent in unit.dimension:
            exponents[base] = exponents.get(base, 0) + exponent * power
    return Unit(tuple(sorted((base, exponent) for base, exponent in exponents.items() if exponent)), factor)


@lru_cache(maxsize=4096)
def unit_readings(text: str, words: bool = False) -> tuple[Unit, ...]:
    """The units that a normalised text may spell in full, the likeliest first; nothing for a text that spells none.

    "J/kg K" is read as J/(kg·K) and as (J/kg)·K. `words` says that a number stands in front: then an unknown word or
    symbol is a unit of its own and any letter may be a symbol; otherwise letters that may as well be variables are no
    units.
    """
    if len(text) > _CHARACTERS_AT_MOST:
        return ()
    text = respell_unit(text)
    readings = [*_products(_METRES_PER_SECOND.sub("m s", text), words), *_products(text, words)]
    second = SECOND_READINGS.get(text.strip().rstrip("."))
    return tuple(dict.fromkeys([*readings, *([second] if second and readings else [])]))


# "ms^{-1}" is seldom one over a millisecond.
_METRES_PER_SECOND = re.compile(r"(?<![A-Za-z])ms(?=\^\{ ?-|-[1-9])")


def _products(text: str, words: bool) -> tuple[Unit, ...]:
    tokens = _tokens(text)
    if not tokens or (not words and _may_be_formula(tokens)):
        return ()
    factors = _Parser(tokens, words).whole()
    if not factors:
        return ()
    return (
        _combine((f.unit, -f.power if f.below else f.power) for f in factors),
        _combine((f.unit, -f.power if f.directly else f.power) for f in factors),
    )


def _may_be_formula(tokens: list[_Token]) -> bool:
    if tokens[0].kind == "over":
        return True
    names = [token.text for token in tokens if token.kind == "name"]
    if any(len(name) == 1 and name not in LETTERS_IN_FORMULAS for name in names):
        return True
    signs = any(token.kind in ("over", "times") or token.text.startswith("-") for token in tokens)
    return len(names) > 1 and not signs and all(len(name) == 1 for name in names)


def known_unit(text: str) -> Unit | None:
    """The unit of measurement that a normalised text spells in full, compound ones included; None for other words."""
    return next(iter(unit_readings(text)), None)


def is_angle(unit: Unit | None) -> bool:
    """Whether a unit is one of plane angle; its factor is then its size in degrees, to 60 digits for the radian."""
    return unit is not None and unit.dimension == DEGREE


def is_currency(unit: Unit) -> bool:
    """Whether a unit is an amount of money, or money per something."""
    return any(len(base) == 3 and base.isupper() for base, _ in unit.dimension)


def times(first: Unit, second: Unit) -> Unit:
    """The product of two units."""
    return _combine(((first, 1), (second, 1)))


class Conversion(NamedTuple):
    """How a number in one unit is written in another: times the factor, plus the shift."""

    factor: Fraction
    shift: Fraction = Fraction(0)


SAME = Conversion(Fraction(1))


def conversions(gold: Unit | None, reply: Unit | None) -> tuple[Conversion, ...]:
    """The ways in which a reply's number may be meant in the gold's unit; none where the units differ.

    A missing unit is the gold's own. A number without a unit is also a plain number, which a percentage or a part per
    million converts to.
    """
    if gold is None or reply is None:
        there = gold or reply
        if there is None or there.dimension:
            return (SAME,)
        return (SAME, Conversion(1 / there.factor if gold else there.factor))
    if gold.dimension == reply.dimension:
        return (Conversion(reply.factor / gold.factor, (reply.offset - gold.offset) / gold.factor),)
    return _between_dimensions(gold, reply)


def _between_dimensions(gold: Unit, reply: Unit) -> tuple[Conversion, ...]:
    pair = (gold.dimension, reply.dimension)
    if pair == (_MONTH, _SECOND):
        return tuple(Conversion(reply.factor / (gold.factor * seconds)) for seconds in _SECONDS_PER_MONTH)
    if pair == (_SECOND, _MONTH):
        return tuple(Conversion(reply.factor * seconds / gold.factor) for seconds in _SECONDS_PER_MONTH)
    if set(pair) == {DEGREE, _TEMPERATURE}:
        # "25 degrees" leaves out the scale.
        angle, heat = (gold, reply) if gold.dimension == DEGREE else (reply, gold)
        return (SAME,) if angle.factor == 1 and heat.offset else ()
    return tuple(_per_turn(gold, reply))


def _per_turn(gold: Unit, reply: Unit) -> Iterator[Conversion]:
    """10 per second may be 10 turns or 10 radians per second, where one side names the angle and the other does not."""
    angles = [dict(unit.dimension).get("angle", 0) for unit in (gold, reply)]
    bare = [tuple(base for base in unit.dimension if base[0] != "angle") for unit in (gold, reply)]
    if bare[0] != bare[1] or not bare[0] or 0 not in angles or {abs(angle) for angle in angles} != {0, 1}:
        return
    for degrees in (Fraction(360), DEGREES_PER_RADIAN):
        yield Conversion(reply.factor / gold.factor * degrees ** (angles[0] - angles[1]))
