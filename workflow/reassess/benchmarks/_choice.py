"""The gold of a text benchmark with options, which data sets hold as a letter, an index or an option's text."""

from __future__ import annotations

import string
from collections.abc import Sequence

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
