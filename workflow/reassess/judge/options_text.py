"""Multiple choice: which options a text fits, and where option texts stand in a sentence."""

import re
import string
from collections.abc import Sequence

from reassess.judge.equality import compare_math
from reassess.judge.normalize import fold_unicode, math_key, same_text, strip_math_delimiters, unwrap_text_commands
from reassess.judge.quantity import compare_quantities, read_quantity
from reassess.judge.statement import claim, shortened

_FORMULA_CHARACTERS = 100
_FORMULA_OPTIONS = 10
_SENTENCE_OPTIONS = 26
_WORD_CHARACTERS = 300

_ARTICLE = re.compile(r"^(?:an?|the)\s+", re.IGNORECASE)
_PREFIX = re.compile(r"\s*(?:[(\[]\s*([A-Za-z])\s*[)\]]|([A-Za-z])\s*[).:])\s*(?=\S)")
_LETTERS_ONLY = re.compile(r"[(\[]?[A-Za-z][)\]]?(?:[\s,;/&.]+(?:and\s+|or\s+)?[(\[]?[A-Za-z][)\].]?)+")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_TWO_WORDS = re.compile(r"[^\W\d_]{3,}[\s,]+[^\W\d_]{3,}")
_WORD = re.compile(r"[^\W\d_]{3,}")
_SIGN = re.compile(r"[~¬!=<>+*/^≤≥≠±∪|()\[\]{}-]")
_IMAGE = re.compile(r"<?\bimage[ _-]?([0-9]+)\b>?", re.IGNORECASE)
_FORMULA_SIGN = re.compile(r"[0-9=<>≤≥≠∞π√^\\()\[\]{}+∈∪∅]")


def without_prefixes(options: Sequence[str]) -> list[str]:
    """The option texts without "A.", "(B)" and so on, where every option begins with its own letter."""
    found = [_PREFIX.match(option) for option in options]
    own = [(match[1] or match[2]).upper() if match else "" for match in found]
    if len(options) < 2 or "".join(own) != string.ascii_uppercase[: len(options)]:
        return list(options)
    return [option[match.end() :] if match else option for option, match in zip(options, found, strict=True)]


def exact_matches(text: str, options: Sequence[str]) -> list[str]:
    """The letters of the options that a text states word for word or sign for sign."""
    return [letter for letter, option in _lettered(options) if _same_option(text, option)]


def value_matches(text: str, options: Sequence[str]) -> list[str]:
    """The letters of the options that a text fits as a number, a quantity or a formula.

    Raises:
        RuntimeError: the symbolic worker cannot be started.
    """
    stated = read_quantity(text)
    if stated is not None:
        fitting = [
            letter
            for letter, option in _lettered(options)
            if (quantity := read_quantity(option)) is not None and compare_quantities(quantity, stated)[0]
        ]
        if fitting:
            return fitting
    if len(options) > _FORMULA_OPTIONS or not _is_formula(text):
        return []
    return [letter for letter, option in _lettered(options) if _is_formula(option) and compare_math(option, text).equal]


def matching(text: str, options: Sequence[str]) -> list[str]:
    """The letters of the options that a text fits: word for word, or where there are none, as mathematics."""
    return exact_matches(text, options) or value_matches(text, options)


def claimed_matches(text: str, options: Sequence[str]) -> list[str]:
    """The letters of the options that fit the number or formula in which a short sentence ends."""
    said = claim(text)
    if said is None:
        return []
    for reading in (said, *shortened(said)):
        found = matching(reading, options)
        if found:
            return found
    return []


def _lettered(options: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(string.ascii_uppercase[: len(options)], options, strict=False))


def _same_option(text: str, option: str) -> bool:
    if math_key(text) == math_key(option) or _symbol(text) == _symbol(option):
        return True
    if read_quantity(text) is not None or read_quantity(option) is not None or _LETTERS_ONLY.fullmatch(text):
        return False
    # Brackets and signs carry no meaning in prose, but (2, 5] is not [2, 5).
    if not all(_WORD.search(_COMMAND.sub(" ", each)) or not _SIGN.search(each) for each in (text, option)):
        return False
    return same_text(_ARTICLE.sub("", text), _ARTICLE.sub("", option))


def _symbol(text: str) -> str:
    """A chemical formula or the name of a picture in one spelling: CO_{2} is CO2, and <image 2> is image 2."""
    text = _IMAGE.sub(r"image \1", text)
    return re.sub(r"_\{([0-9]+)\}", r"\1", math_key(text))


def _is_formula(text: str) -> bool:
    """Whether a text is short and may be a formula: signs or digits, and no two words in a row."""
    if len(text) > _FORMULA_CHARACTERS or not _FORMULA_SIGN.search(text):
        return False
    return not _TWO_WORDS.search(_COMMAND.sub(" ", unwrap_text_commands(text).replace("\\", " \\")))


_YES_NO = re.compile(r"(yes|no|true|false|正确|错误|是|否)(?=\s*[,.;:!，。]|\s+-\s)", re.IGNORECASE)
_OPPOSITE = {"yes": "no", "no": "yes", "true": "false", "false": "true"}


def leading_yes_no(text: str, options: Sequence[str]) -> list[str]:
    """The letter of the option Yes, No, True or False with which a text begins: "No, there is no such line."."""
    first = _YES_NO.match(text)
    if not first:
        return []
    word, rest = first[1].lower(), text[first.end() :].lower()
    opposite = _OPPOSITE.get(word, "\n")
    # "Yes, no doubt" is a yes; "Yes. No.", "Yes, or no" and "Yes, but in fact no" are none.
    if re.search(rf"\b(?:or|and|but|maybe|perhaps|wait|actually|rather)\b|\b{opposite}\b\s*(?:[,.;:!?]|$)|\?", rest):
        return []
    if any(same_text(word, option) for option in options):
        rivals = [option for option in options if re.match(rf"\s*{word}\b", option, re.IGNORECASE)]
        return exact_matches(word, options) if len(rivals) == 1 else []
    return []


def mark_options(text: str, options: Sequence[str]) -> tuple[str, set[str]]:
    """A sentence with "(B)" in place of the text of option B, and the letters that stand in it this way.

    The longest text wins where several begin at one place: in "acute isosceles" there is no "acute". Texts of fewer
    than three letters are left alone, because "He" and "No" are words of any sentence, and so are plain numbers. Other
    single letters of the sentence become small ones.
    """
    if len(options) > _SENTENCE_OPTIONS:
        return text, set()
    words = [(letter, word) for letter, option in _lettered(options) if (word := _as_word(option))]
    if not words:
        return text, set()
    words.sort(key=lambda pair: -len(pair[1]))
    spellings = {word.casefold(): letter for letter, word in words}
    either = "|".join(re.escape(word) for _, word in words)
    pattern = rf"(?:\b(?:an?|the)\s+)?(?<![\w$^_\\/-])({either})(?![\w^_/]|-\w)|[(\[]?\b(?-i:[A-Z])\b[)\]]?"
    found: set[str] = set()

    def mark(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0].strip("()[]").lower()
        found.add(spellings[match[1].casefold()])
        return f" ({spellings[match[1].casefold()]}) "

    return " ".join(re.sub(pattern, mark, _plain_spelling(text), flags=re.IGNORECASE).split()), found


def holds_short_option(text: str, options: Sequence[str]) -> bool:
    """Whether an option of one or two letters, such as "No", stands in a sentence as a word."""
    short = [option.strip() for option in options if option.strip().isalpha() and not _as_word(option)]
    return any(re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text, re.IGNORECASE) for option in short)


def mask_options(text: str, options: Sequence[str]) -> str:
    """A sentence without the option texts that hold letters of their own, such as "Plan B" and "Both A and B"."""
    with_letters = [option for option in options if " " in option.strip() and re.search(r"\b[A-Z]\b", option)]
    words = sorted(filter(None, map(_as_word, with_letters)), key=len, reverse=True)
    if not words:
        return text
    pattern = r"(?<!\w)(?:" + "|".join(map(re.escape, words)) + r")(?!\w)"
    return re.sub(pattern, "#", _plain_spelling(text), flags=re.IGNORECASE)


def _plain_spelling(text: str) -> str:
    text = unwrap_text_commands(strip_math_delimiters(fold_unicode(text)))
    return re.sub(r"[\"'‘’“”`*]+(?![a-z])|(?<![A-Za-z])[\"'`*]+", " ", re.sub(r"\s+", " ", text))


def _as_word(option: str) -> str:
    """An option's text as it may stand in a sentence, empty where it is too short or a number or formula."""
    text = _ARTICLE.sub("", " ".join(_plain_spelling(option).split()).strip(" .,;:"))
    if len(text) > _WORD_CHARACTERS:
        return ""
    letters = sum(character.isalpha() for character in text)
    is_word = letters >= 3 or (letters >= 2 and not text.isascii())
    return text if is_word and read_quantity(text) is None and not re.search(r"[\\=<>^]", text) else ""
