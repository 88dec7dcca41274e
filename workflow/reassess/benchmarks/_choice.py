"""The gold of a text benchmark with options, which data sets hold as a letter, an index or an option's text."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

from reassess.example import RowError
from reassess.sources import fields

_LETTERS = string.ascii_uppercase


def gold_letter(gold: str, options: Sequence[str]) -> str:
    """The letter of the right option; the gold itself where it names none, which no letter then equals.

    A capital letter, alone or in parentheses, comes first, then an option's text (of equal ones the first, as
    `list.index` finds it), then a zero-based index, within the options where these are known.
    """
    text = gold.strip()
    letter = text[1:-1] if text.startswith("(") and text.endswith(")") else text
    if len(letter) == 1 and letter in _LETTERS:
        return letter
    if gold in options:
        index = list(options).index(gold)
    elif text.isascii() and text.isdigit() and len(text) < 3:
        index = int(text)
    else:
        return gold
    return _LETTERS[index] if index < min(len(options) or len(_LETTERS), len(_LETTERS)) else gold


def texts(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """Return the texts of a row's options, each in its place.

    Raises:
        DataError: there is no such column.
        RowError: it holds no list of texts, or a null, without which the letters behind it would be others.
    """
    found = fields.value(row, column)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise RowError("expected a list of texts", column)
    return tuple(found)


def chosen(row: Mapping[str, Any], column: str, options: Sequence[str]) -> str:
    """Return the letter of the right option, which a row holds as an index from 0.

    Raises:
        DataError: there is no such column.
        RowError: it holds no index of an option.
    """
    index = fields.value(row, column)
    if not isinstance(index, int) or isinstance(index, bool):
        raise RowError(f"expected an index, got {type(index).__name__}", column)
    if not 0 <= index < min(len(options), len(_LETTERS)):
        raise RowError("no option has this index", column)
    return _LETTERS[index]
