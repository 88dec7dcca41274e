"""What modules share that know a benchmark's rows: kinds of answers, metadata, lists in texts, places of pictures."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from reassess.benchmarks.item import PUBLISHED
from reassess.example import RowError
from reassess.judge.extract import read_gold
from reassess.judge.options import read_key
from reassess.judge.quantity import read_quantity
from reassess.prompts import IMAGE, MAX_OPTIONS, letter
from reassess.sources.fields import texts, value

# Longer texts are no list of options: the longest of MMMU has a tenth of this.
_LIST_CHARACTERS = 20_000


def number_or_math(gold: str) -> str:
    """Return how an open answer to a question of mathematics is compared: as a number, with or without a unit, or math.

    Math compares texts too, where they are no formulas. `sources.kinds` would take "Area $=9 \\pi$ cm" for prose.
    """
    stated = next(iter(read_gold(gold)), gold)
    return "math" if read_quantity(stated) is None else "numeric"


def metadata(columns: Mapping[str, Any], **published: Any) -> str:
    """Return an example's metadata.

    Args:
        columns: what the benchmark's rule and its summary read.
        published: `gold` and `options` as they stand in the data set, which the rule is to see in place of the
            example's own.
    """
    return json.dumps({**columns, PUBLISHED: published}, ensure_ascii=False)


def options(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """Return the options of a row: a list, the text of one, or null for none.

    Raises:
        DataError: there is no such column.
        RowError: it holds no options, one of them is null, or there are more than letters.
    """
    there = value(row, column)
    found = texts({column: listed(there, column) if isinstance(there, str) and there else there}, column)
    if isinstance(there, list) and len(found) < len(there):
        raise RowError("an option is null", column)
    if len(found) > MAX_OPTIONS:
        raise RowError(f"more than {MAX_OPTIONS} options", column)
    return found


def letter_of(index: int, options: Sequence[str], column: str) -> str:
    """Return the letter of an option by its index from 0. Raises RowError where there is no such option."""
    if not 0 <= index < len(options):
        raise RowError("the answer is none of the options", column)
    return letter(index)


def letters(gold: str, options: Sequence[str]) -> str:
    """Return the letter of a choice's right answer, or its letters ("A, C"); as it stands where it names no option."""
    key = read_key(gold, options or None)
    return ", ".join(sorted(key.letters)) if key is not None and key.letters else gold


def listed(text: str, column: str) -> list[str]:
    """Return the items of a list that is written out in Python. Raises RowError where the text is none."""
    try:
        found = ast.literal_eval(text.strip()) if len(text) <= _LIST_CHARACTERS else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise RowError("expected the text of a list", column)
    return [str(item) for item in found]


def with_pictures(
    question: str, options: Sequence[str], pictures: Mapping[str, bytes], mark: re.Pattern[str]
) -> tuple[str, tuple[str, ...], tuple[bytes, ...]]:
    """Return question and options with `IMAGE` in place of marks, and the pictures in the order of these places.

    A picture that is marked twice is given twice. One that is not marked stands before the question.

    Args:
        question: the question.
        options: its options.
        pictures: the row's pictures, by what their marks say.
        mark: a mark; its first group is a key of `pictures`.

    Raises:
        RowError: a mark has no picture.
    """
    keys = [found[1] for text in (question, *options) for found in mark.finditer(text)]
    if missing := [key for key in keys if key not in pictures]:
        raise RowError("a mark in the text has no picture", f"image_{missing[0]}")
    unmarked = [picture for key, picture in pictures.items() if key not in keys]
    before = IMAGE * len(unmarked) if keys else ""
    return (
        before + mark.sub(IMAGE, question),
        tuple(mark.sub(IMAGE, option) for option in options),
        (*unmarked, *(pictures[key] for key in keys)),
    )


def word(row: Mapping[str, Any], column: str) -> str:
    """Return a name or number of a row as text, empty where it is null. Raises DataError where there is no column."""
    found = value(row, column)
    return "" if found is None else str(found)
