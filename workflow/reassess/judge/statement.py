"""The claim that a short sentence ends in: "The pole is 250 cm tall." claims "250 cm"."""

import re

from reassess.judge.normalize import fold_unicode, strip_math_delimiters, unwrap_text_commands
from reassess.judge.numerals import SMALL, TENS

_CHARACTERS = 300
_TRAILING_WORDS = 8

# A sentence with one of these may claim something else than the number in it, or nothing at all.
_UNCLEAR = re.compile(
    r"\b(?:not|no|never|neither|nor|cannot|maybe|perhaps|possibly|probably|might|could|either|between|unless|except"
    r"|instead|but|although|though|however|anything|everything|nothing|any|other|wrong|incorrect|false|unknown|unsure|unclear|uncertain|impossible|guess|whatever|whichever|if|than"
    r"|range|ranges|least|most|nearly|almost|under|over|above|below|exceeds?|up to|too)\b|n't\b|\?",
    re.IGNORECASE,
)
# What follows explains the claim.
_EXPLANATION = re.compile(r"(?<=[\w}\])%°$])\s*,?\s+(?:because|since|due to|as (?:the|it|we|there))\b.*", re.DOTALL)
# Chinese replies say the number behind or between words without spaces.
_CJK = re.compile("[\u4e00-\u9fff][\u4e00-\u9fff。，、：]*")
_CJK_UNCLEAR = re.compile("[不非没未或]")
# In front of a number these make it part of a calculation or of a longer quantity.
_BINDS = frozenset(
    {
        "of",
        "by",
        "with",
        "from",
        "per",
        "plus",
        "minus",
        "times",
        "and",
        "or",
        "to",
        "through",
        "until",
        "modulo",
        "mod",
        "versus",
        "vs",
        "root",
        "square",
        "cube",
        "squared",
        "cubed",
        "log",
        "ln",
        "sin",
        "cos",
        "tan",
        "negative",
        "half",
        "twice",
        "double",
        "triple",
        "out",
        "without",
    }
)
# "comes to 5", "a distance of 5 km".
_LEADS = re.compile(
    r"[a-z]+s to|equal to|(?:total|area|volume|length|value|perimeter|circumference|probability|angle|speed|velocity"
    r"|acceleration|distance|mass|weight|height|width|depth|radius|diameter|average|mean|median|score|cost|price|time"
    r"|answer|result) of"
)
# Behind a number these make it another number, or take it back.
_CHANGES = re.compile(
    r"\b(?:per|out|off|short|minus|plus|times|or|and|hundred|thousand|million|billion|trillion|dozen|half|halves"
    r"|thirds?|quarters?|squared|cubed|percent|percentage|more|less|fewer|greater|bigger|smaller|to|by|away from)\b",
    re.IGNORECASE,
)
_NO_UNIT = re.compile(
    r"(?:of|in|for|on|at|as|is|are|was|were|away|tall|high|long|wide|deep|old|apart|left|remaining|altogether|total|each"
    r"|here|there|now|today|exactly|respectively|along|across|around|inside|when|where|which|that|because|after|before"
    r"|during|among|within)[,.;:]?",
    re.IGNORECASE,
)
_TENS = "|".join(TENS)
_NUMBER_WORD = "|".join((*SMALL, *TENS, "hundred", "thousand", "million", "billion"))
# Words that stand inside a formula or a quantity.
_FORMULA_WORD = re.compile(
    rf"(?:{_NUMBER_WORD}|(?:{_TENS})-[a-z]+|arcsin|arccos|arctan|sinh|cosh"
    r"|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|pi|infinity|inf|USD|EUR|GBP|CNY|RMB|JPY|INR|Rs)[,.;:]?",
    re.IGNORECASE,
)
_WORD = re.compile(r"[\"'(]*(?:字|[^\W\d_](?:[^\W\d_]|['’-])+)[\"')]*[,.;:!]*")
_ARTICLE = re.compile(r"(?:a|an|A|I)[,.;:]?")
_JOINT = re.compile(r"(?:and|or)", re.IGNORECASE)
_AFTER_NUMBER = re.compile(r"[0-9²³°%)}\]]$")


def claim(answer: str) -> str | None:
    """The formula or quantity at the end of a short sentence, with the words behind it; None where it is unclear."""
    if len(answer) > _CHARACTERS:
        return None
    answer = _CJK.sub(" 字 ", _EXPLANATION.sub("", answer)) if not _CJK_UNCLEAR.search(answer) else "?"
    if _UNCLEAR.search(answer):
        return None
    text = " ".join(strip_math_delimiters(unwrap_text_commands(fold_unicode(answer))).replace("**", "").split())
    text = text.replace(" ^", "^")
    tokens = text.split(" ")
    kinds = _kinds(tokens)
    starts = [i for i, kind in enumerate(kinds) if kind == "f" and i and kinds[i - 1] == "w"]
    if not starts:
        return text if "f" in kinds else None
    start = starts[-1]
    # "the square, x = 3" is no square of x: a comma parts the two.
    before = [token.lower().strip("\"'(") for token in tokens[max(0, start - 2) : start]]
    if before[-1] in _BINDS and not (
        len(before) == 2 and kinds[start - 2] == "w" and _LEADS.fullmatch(" ".join(before))
    ):
        return None
    return " ".join(tokens[start:]).rstrip(" .,;")


def shortened(text: str) -> list[str]:
    """A claim without more and more of the words behind it, the longest first, as long as they change nothing."""
    tokens = text.split(" ")
    found = []
    for n in range(1, min(_TRAILING_WORDS, len(tokens) - 1) + 1):
        dropped = tokens[-n:]
        if not _WORD.fullmatch(dropped[0]) and not _ARTICLE.fullmatch(dropped[0]):
            break
        # The word next to a number may be its unit.
        beside = not _is_word(tokens[-n - 1])
        if (not beside or _NO_UNIT.fullmatch(dropped[0])) and not _CHANGES.search(" ".join(dropped)):
            found.append(" ".join(tokens[:-n]).rstrip(" .,;"))
    return found


def _kinds(tokens: list[str]) -> list[str]:
    """`w` for words of prose, `f` for parts of a formula or quantity."""
    kinds: list[str] = []
    for i, token in enumerate(tokens):
        if _JOINT.fullmatch(token):
            following = tokens[i + 1] if i + 1 < len(tokens) else ""
            inside = bool(kinds) and kinds[-1] == "f" and not _is_word(following)
            kinds.append("f" if inside else "w")
        else:
            # Another number may follow a unit: 2 hours 30 minutes.
            between = bool(kinds) and kinds[-1] == "f" and _AFTER_NUMBER.search(tokens[i - 1])
            formula = not _is_word(token) or (between and _number_follows(tokens, i))
            kinds.append("f" if formula else "w")
    return kinds


def _number_follows(tokens: list[str], i: int) -> bool:
    return i + 1 < len(tokens) and tokens[i + 1][:1].isdigit() and tokens[i][-1:].isalpha()


def _is_word(token: str) -> bool:
    return bool(_WORD.fullmatch(token) or _ARTICLE.fullmatch(token)) and not _FORMULA_WORD.fullmatch(token)
