"""Multiple choice: which option a reply names, by letter or by text."""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from reassess.judge.normalize import (
    fold_unicode,
    math_key,
    same_text,
    strip_emphasis,
    strip_math_delimiters,
    unwrap_text_commands,
)
from reassess.judge.quantity import compare_quantities, read_quantity

_ANSWER_CHARACTERS = 2_000
_SENTENCE_CHARACTERS = 200

_ALONE = re.compile(r"[(\[{]?\s*([A-Za-z])\s*[)\]}]?\s*[.:)]?")
_SEVERAL = re.compile(r"[(\[]?[A-Z][)\].]?(?:\s*(?:,|;|/|&|\band\b|\bor\b|\s)\s*(?:and\s+|or\s+)?[(\[]?[A-Z][)\].]?)+")
_RUN_TOGETHER = re.compile(r"[A-Z]{2,6}")
_LEADING = re.compile(r"(?:[(\[]\s*([A-Za-z])\s*[)\]]|([A-Za-z])\s*[).:]|([A-Z])\s+-)\s*(.*)", re.DOTALL)
_NAMED = re.compile(
    r"(?i:the\s+)?(?i:option|choice|answer|letter)\s*:?\s*[(\[]?"
    r"([A-Z](?![A-Za-z'])|[a-z](?=\s*(?:[)\].:,]|$)))[)\].:,]*\s*(.*)",
    re.DOTALL,
)
_LETTER_AND_TEXT = re.compile(r"([A-Z])\s+(.+)", re.DOTALL)
_BRACKETED = re.compile(r"(?<![A-Za-z0-9\\])[(\[]([A-Z])[)\]]")
_DELIMITED = re.compile(r"(?<![A-Za-z0-9\\])([A-Z])[).:](?=\s|$)")
# "A" may be the article and "I" the pronoun, so neither counts on its own in a sentence.
_BARE = re.compile(r"(?<![A-Za-z0-9'\\])([B-HJ-Z])(?![A-Za-z0-9'])")
_JOINED = re.compile(
    r"(?<![A-Za-z])([A-Z])\s*(?:,|/|&|\band\b|\bor\b)\s*(?:and\s+|or\s+)?(?:option\s+)?[(\[]?([A-Z])(?![A-Za-z'])"
)
_ARTICLE = re.compile(r"^(?:a|an|the)\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Key:
    """The right choice: letters, all of which must be named, or a text where the options are not known."""

    letters: frozenset[str] = frozenset()
    text: str | None = None


def read_key(gold: str, options: Sequence[str] | None) -> Key | None:
    """The right choice that a gold states, or None where it is no option.

    It may be a letter, several letters, a letter with its text, an option's text, or with options given a zero-based
    index. A digit string that is itself an option is that option and no index.
    """
    text = _plain(gold) if len(gold) <= _ANSWER_CHARACTERS else ""
    if not text:
        return None
    letters = _letters_alone(text)
    if options is None:
        if not letters:
            leading = _LEADING.fullmatch(text)
            letters = frozenset(filter(None, leading.groups()[:3])) if leading and leading[4] else frozenset()
        return Key(letters) if letters and all(letter.isupper() for letter in letters) else Key(text=text)
    valid = _valid_letters(options)
    if letters and letters <= valid:
        return Key(letters)
    matching = _matching(text, options)
    if matching:
        return Key(frozenset(matching[:1]))
    if re.fullmatch("[0-9]+", text):
        index = int(text) if len(text) < 3 else len(options)
        return Key(frozenset(string.ascii_uppercase[index])) if index < len(valid) else None
    leading = _LEADING.fullmatch(text)
    named = next(filter(None, leading.groups()[:3]), "").upper() if leading else ""
    return Key(frozenset(named)) if named and named in valid else None


def read_choice(answer: str, options: Sequence[str] | None) -> frozenset[str]:
    """The letters that an answer names, empty where it names none.

    A letter in any usual form wins over a text beside it; without one, the text of exactly one option counts. Letters
    that are no option are not read.
    """
    if len(answer) > _ANSWER_CHARACTERS:
        return frozenset()
    text = _plain(answer)
    valid = _valid_letters(options)
    alone = _letters_alone(text)
    if alone and alone <= valid:
        return alone
    named = _leading_letter(text, valid, options)
    if named:
        return named
    if options is not None:
        matching = _matching(text, options)
        if matching:
            return frozenset(matching) if _all_same(matching, options) else frozenset()
    return _letters_in_sentence(text, valid)


def same_choice(key: Key, chosen: frozenset[str], options: Sequence[str] | None) -> bool:
    """Whether the letters chosen are the key's; a repeated option may be named by either of its letters."""
    if chosen == key.letters:
        return True
    if options is None or not chosen:
        return False
    return {_option(letter, options) for letter in chosen} == {_option(letter, options) for letter in key.letters}


def _option(letter: str, options: Sequence[str]) -> str:
    return math_key(options[string.ascii_uppercase.index(letter)])


def _plain(text: str) -> str:
    text = unwrap_text_commands(strip_math_delimiters(fold_unicode(text)))
    text = strip_emphasis(re.sub(r"\s+", " ", text).strip()).replace("**", "")
    return text.rstrip(" .,;").lstrip(" ,;")


def _valid_letters(options: Sequence[str] | None) -> frozenset[str]:
    return frozenset(string.ascii_uppercase[: 26 if options is None else len(options)])


def _letters_alone(text: str) -> frozenset[str]:
    """The letters of an answer that consists of nothing but letters."""
    single = _ALONE.fullmatch(text)
    if single:
        return frozenset(single[1].upper())
    if _SEVERAL.fullmatch(text):
        return frozenset(re.findall(r"\b[A-Z]\b", text))
    if _RUN_TOGETHER.fullmatch(text) and list(text) == sorted(set(text)):
        return frozenset(text)
    return frozenset()


def _leading_letter(text: str, valid: frozenset[str], options: Sequence[str] | None) -> frozenset[str]:
    match = _LEADING.fullmatch(text) or _NAMED.fullmatch(text)
    if match:
        letter, rest = next(filter(None, match.groups()[:-1])).upper(), match[match.re.groups]
        if letter not in valid:
            return frozenset()
        return frozenset(letter) | _further_letters(rest, valid, options)
    match = _LETTER_AND_TEXT.fullmatch(text)
    if match and options is not None and match[1] in valid:
        matching = _matching(match[2], options)
        if match[1] in matching or (matching and match[1] not in "AI"):
            return frozenset(match[1])
    return frozenset()


def _further_letters(rest: str, valid: frozenset[str], options: Sequence[str] | None) -> frozenset[str]:
    """Other options that the text behind a letter names as well, which makes the answer a hedge."""
    if not rest or (options is not None and _matching(rest, options)):
        return frozenset()
    found = {*_BRACKETED.findall(rest), *_DELIMITED.findall(rest)}
    found.update(re.findall(r"\b(?:or|and|option|choice)\s+[(\[]?([A-Z])(?![A-Za-z'])", f" {rest}"))
    return frozenset(found) & valid


def _letters_in_sentence(text: str, valid: frozenset[str]) -> frozenset[str]:
    if len(text) > _SENTENCE_CHARACTERS:
        return frozenset()
    found = {*_BRACKETED.findall(text), *re.findall(r"\b[Oo]ption\s+([A-Z])(?![A-Za-z'])", text)}
    found.update(letter for pair in _JOINED.findall(text) for letter in pair)
    return frozenset(found or _BARE.findall(text)) & valid


def _matching(text: str, options: Sequence[str]) -> list[str]:
    """The letters of the options with this text, or where there are none, with this number."""
    letters = string.ascii_uppercase[: len(options)]
    pairs = list(zip(letters, options, strict=False))
    exact = [letter for letter, option in pairs if _same_option(text, option)]
    if exact:
        return exact
    stated = read_quantity(text)
    if stated is None:
        return []
    return [
        letter
        for letter, option in pairs
        if (quantity := read_quantity(option)) is not None and compare_quantities(quantity, stated)[0]
    ]


def _same_option(text: str, option: str) -> bool:
    if math_key(text) == math_key(option):
        return True
    if read_quantity(text) is not None or read_quantity(option) is not None:
        return False
    return same_text(_ARTICLE.sub("", text), _ARTICLE.sub("", option))


def _all_same(letters: list[str], options: Sequence[str]) -> bool:
    return len({_option(letter, options) for letter in letters}) == 1
