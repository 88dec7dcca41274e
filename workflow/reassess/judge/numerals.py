"""Numbers as people write them: digits with separators, fractions, powers of ten, repeating decimals and words."""

import re
from fractions import Fraction
from typing import NamedTuple

# Larger exponents are compared by computer algebra or not at all.
EXPONENT_AT_MOST = 5_000


class Numeral(NamedTuple):
    """A number at the start of a text and where it ends.

    `step` is the unit of the last decimal place written, None for integers and fractions.
    """

    value: Fraction
    step: Fraction | None
    end: int


_INTEGER = (
    r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]{1,3}(?:[ ][0-9]{3})+(?![0-9])|[0-9]{1,3}(?:'[0-9]{3})+(?![0-9])"
    r"|[0-9]+)"
)
_DECIMAL = rf"(?:{_INTEGER}(?:\.[0-9]+)?|\.[0-9]+)"
_NUMBER = re.compile(
    rf"""(?P<sign>[+-]|(?:negative|minus)\s)?\s*(?:
      (?P<whole>[0-9]+)?\s*\\frac\{{\s*(?P<top>[+-]?{_DECIMAL})\s*\}}\{{\s*(?P<bottom>[+-]?{_DECIMAL})\s*\}}
    | (?P<mixed>[0-9]+)\s+(?P<part>[0-9]+)\s*/\s*(?P<parts>[0-9]+)
    | (?P<mantissa>{_DECIMAL})\s*(?:[eE](?P<e>[+-][0-9]+|[0-9]+(?![0-9A-Za-z]))
        |(?:\\times|\\cdot|\*|[xX]|times)\s*10(?:\^\{{\s*(?P<power>[+-]?[0-9]+)\s*\}}|(?P<flat>-[0-9]{{1,3}})(?![0-9.])))
    | 10\^\{{\s*(?P<bare_power>[+-]?[0-9]+)\s*\}}
    | (?P<over>{_DECIMAL})\s*/\s*(?P<under>{_DECIMAL})
    | (?P<plain>{_DECIMAL})
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_ORDINAL = re.compile(r"(?:st|nd|rd|th)(?![A-Za-z])")
_AND_A_FRACTION = re.compile(r"\s+and\s+((?:a|one|two|three)\s+[a-z]+)(?![A-Za-z])", re.IGNORECASE)


def read_numeral(text: str, only_number: bool = False) -> Numeral | None:
    """The number that a normalised text begins with.

    `only_number` says that the text is one number and no list: then "3,5" is three and a half.
    """
    sign, start = _sign(text)
    return (
        _repeating(text, sign, start)
        or _in_base(text, sign, start)
        or (_european(text, sign, start) if only_number else None)
        or _plain(text)
        or _words(text, sign, start)
    )


_SIGN = re.compile(r"\s*(?:(?P<minus>-|(?:negative|minus)\s)|\+)?\s*", re.IGNORECASE)


def _sign(text: str) -> tuple[int, int]:
    match = _SIGN.match(text)
    return (-1 if match and match["minus"] else 1), match.end() if match else 0


def _plain(text: str) -> Numeral | None:
    match = _NUMBER.match(text)
    if not match:
        return None
    groups = match.groupdict()
    sign = -1 if groups["sign"] and groups["sign"] != "+" else 1
    if groups["top"]:
        return _fraction(sign * Fraction(groups["whole"] or 0), sign * _decimal(groups["top"]), groups["bottom"], match)
    if groups["mixed"]:
        return _fraction(
            Fraction(sign * int(groups["mixed"])), Fraction(sign * int(groups["part"])), groups["parts"], match
        )
    if groups["over"]:
        return _fraction(Fraction(0), sign * _decimal(groups["over"]), groups["under"], match)
    digits = groups["plain"] or groups["mantissa"] or "1"
    exponent = int(groups["e"] or groups["power"] or groups["flat"] or groups["bare_power"] or 0)
    if abs(exponent) > EXPONENT_AT_MOST:
        return None
    return _behind_digits(text, _numeral(sign, digits, exponent, match.end()))


def _fraction(whole: Fraction, top: Fraction, bottom: str, match: re.Match[str]) -> Numeral | None:
    below = _decimal(bottom)
    return Numeral(whole + top / below, None, match.end()) if below else None


def _decimal(digits: str) -> Fraction:
    return Fraction(digits.replace(",", "").replace(" ", "").replace("'", ""))


def _numeral(sign: int, digits: str, exponent: int, end: int) -> Numeral:
    places = len(digits.partition(".")[2])
    scale = Fraction(10) ** exponent
    return Numeral(sign * _decimal(digits) * scale, scale / 10**places if places else None, end)


def _behind_digits(text: str, number: Numeral) -> Numeral:
    """Takes in what still belongs to the number: the end of an ordinal, or "and a half"."""
    if number.value.denominator != 1:
        return number
    ordinal = _ORDINAL.match(text, number.end)
    if ordinal:
        return number._replace(end=ordinal.end())
    more = _AND_A_FRACTION.match(text, number.end)
    part = _words(more[1], 1, 0) if more else None
    if more is None or part is None or part.end != len(more[1]) or not 0 < part.value < 1:
        return number
    return Numeral(number.value + (part.value if number.value >= 0 else -part.value), None, more.end())


_REPEATING = re.compile(
    r"""(?P<whole>[0-9]*)\.(?P<first>[0-9]*)(?:
      \\(?:overline|bar)\s*(?:\{\s*(?P<line>[0-9]+)\s*\}|(?P<short>[0-9]))
    | \((?P<brackets>[0-9]+)\)
    | (?P<over>(?:[0-9]\u0305)+)
    | \\dot\s*\{?\s*(?P<dot>[0-9])\s*\}?(?:(?P<between>[0-9]*)\\dot\s*\{?\s*(?P<last>[0-9])\s*\}?)?
    )(?![0-9])""",
    re.VERBOSE,
)


def _repeating(text: str, sign: int, start: int) -> Numeral | None:
    match = _REPEATING.match(text, start)
    if not match:
        return None
    group = match.groupdict(default="")
    period = group["line"] or group["short"] or group["brackets"] or group["over"].replace("\u0305", "")
    period = period or group["dot"] + group["between"] + group["last"]
    places = 10 ** len(group["first"])
    fixed = Fraction(int((group["whole"] + group["first"]) or 0), places)
    return Numeral(sign * (fixed + Fraction(int(period), (10 ** len(period) - 1) * places)), None, match.end())


_BASE_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_BASE = rf"[0-9]{{1,2}}|{'|'.join(_BASE_WORDS)}"
_IN_BASE = re.compile(
    r"\(?(?P<digits>[0-9][0-9A-F]*)\)?(?:"
    rf"_\{{\s*(?:base\s*)?(?P<base>{_BASE})\s*\}}(?P<more>[0-9])?(?![0-9])"
    rf"|\s*\(?(?:in )?base[ -](?P<named>{_BASE})\)?(?![0-9A-Za-z]))"
)


def _in_base(text: str, sign: int, start: int) -> Numeral | None:
    match = _IN_BASE.match(text, start)
    if not match:
        return None
    # Normalised, 1F_16 is 1F_{1}6.
    base = (match["base"] or match["named"]) + (match["more"] or "")
    base = _BASE_WORDS.get(base) or int(base)
    digits = [int(digit, 16) for digit in match["digits"]]
    if not 2 <= base <= 16 or max(digits) >= base:
        return None
    value = 0
    for digit in digits:
        value = value * base + digit
    return Numeral(Fraction(sign * value), None, match.end())


# A comma for the decimal point, where no thousands and no list can be meant.
_EUROPEAN = re.compile(
    r"(?:[0-9]{1,3}(?:[. '][0-9]{3})+,[0-9]+|[0-9]{1,3}(?:\.[0-9]{3}){2,}|[0-9]+,[0-9]{1,2}|0,[0-9]+"
    r"|[0-9]{4,},[0-9]+|[0-9]+,[0-9]{4,})(?![0-9.,']|\s[0-9])"
)
_INDIAN = re.compile(r"[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?(?![0-9,])")


def _european(text: str, sign: int, start: int) -> Numeral | None:
    match = _EUROPEAN.match(text, start)
    if match:
        plain = re.sub("[. ']", "", match[0]).replace(",", ".")
    else:
        match = _INDIAN.match(text, start)
        if not match:
            return None
        plain = match[0].replace(",", "")
    number = _plain(plain + text[match.end() :])
    if number is None or number.end < len(plain):
        return None
    return Numeral(sign * number.value, number.step, number.end - len(plain) + match.end())


_SMALL_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_TENS_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL = {word: value for value, word in enumerate(_SMALL_WORDS.split())}
TENS = {word: 10 * value for value, word in enumerate(_TENS_WORDS.split(), 2)}
_LARGE = {"dozen": 12, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    **{"half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7},
    **{"eighth": 8, "ninth": 9, "tenth": 10, "hundredth": 100},
}
_VOCABULARY = [*SMALL, *TENS, "hundred", *_LARGE, *_PARTS, *(f"{part}s" for part in _PARTS), "point", "a", "an"]
_WORD = "|".join(sorted(_VOCABULARY, key=len, reverse=True))
_NUMBER_WORDS = re.compile(rf"(?:{_WORD})(?:(?:\s*-\s*|\s+|\s+and\s+)(?:{_WORD}))*(?![A-Za-z-])", re.IGNORECASE)
_NUMBER_WORDS_AT_MOST = 24


def _words(text: str, sign: int, start: int) -> Numeral | None:
    match = _NUMBER_WORDS.match(text, start)
    if not match:
        return None
    words = re.findall("[a-z]+", match[0].lower())
    if words[-1] in ("a", "an") and words[-2:-1] == ["half"]:
        # "half an hour", "half a dozen"
        words.pop()
    value = _value_of_words(words) if len(words) <= _NUMBER_WORDS_AT_MOST else None
    if value is None:
        return None
    places = len(words) - words.index("point") - 1 if "point" in words else 0
    return Numeral(sign * value, Fraction(1, 10**places) if places else None, match.end())


def _value_of_words(words: list[str]) -> Fraction | None:
    if "point" in words:
        return _decimal_words(words)
    if words[0] == "half" and len(words) > 2 and words[1] == "a":
        whole = _count(words[1:])
        return None if whole is None else Fraction(whole, 2)
    part = _PARTS.get(words[-1]) or _PARTS.get(words[-1].removesuffix("s"))
    if part is None:
        count = _count(words)
        return None if count is None else Fraction(count)
    before = words[:-1]
    if "and" in before:
        at = len(before) - 1 - before[::-1].index("and")
        whole, before = _count(before[:at]), before[at + 1 :]
    else:
        whole = 0
    # Without "a" or "one" a third is the one behind the second.
    top = 1 if before in (["a"], ["an"]) or (not before and words[-1] == "half") else _count(before)
    # One third, two thirds; "two third" is neither.
    if whole is None or not top or (top == 1) != (words[-1] in _PARTS and words[-1] != "halves"):
        return None
    return whole + Fraction(top, part)


def _decimal_words(words: list[str]) -> Fraction | None:
    at = words.index("point")
    whole = _count(words[:at]) if at else 0
    digits = [SMALL.get(word, 10) for word in words[at + 1 :]]
    if whole is None or not digits or max(digits) > 9:
        return None
    return whole + Fraction(int("".join(map(str, digits))), 10 ** len(digits))


def _count(words: list[str]) -> int | None:
    """The integer that words spell: "two thousand one hundred and five"; None where they are several numbers."""
    total, group, open_places, scale = 0, 0, 1000, 10**15
    for position, word in enumerate(words):
        if word in ("a", "an"):
            if position or len(words) == 1 or words[1] not in ("hundred", *_LARGE):
                return None
            group, open_places = 1, 1
        elif word == "and":
            if not position or words[position - 1] not in ("hundred", *_LARGE) or position == len(words) - 1:
                return None
        elif word in SMALL or word in TENS:
            value = SMALL.get(word) or TENS.get(word, 0)
            if open_places <= 1 or value >= open_places or (value == 0 and len(words) > 1):
                return None
            group += value
            open_places = 10 if word in TENS else 1
        elif word == "hundred":
            if not 0 < group < 100 or open_places > 10:
                return None
            group, open_places = group * 100, 100
        elif word in _LARGE:
            if not group or _LARGE[word] >= scale:
                return None
            scale = _LARGE[word]
            total, group, open_places = total + group * scale, 0, 1000
        else:
            return None
    return total + group
