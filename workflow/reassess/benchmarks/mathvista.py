"""MathVista: extraction by short cuts or by a model, then equality after the answer type's own normalisation.

A reply that is an option's text, an integer or a float is taken as it stands; any other goes to a model. What was
extracted becomes an option's text, an integer, a rounded float or a text, which must equal the reference exactly.

Source: lupantech/MathVista, evaluation/extract_answer.py and evaluation/calculate_score.py. lmms-eval
(lmms_eval/tasks/mathvista/mathvista_evals.py) differs in stripping both sides before the last comparison. VLMEvalKit
(vlmeval/dataset/utils/mathvista.py) differs throughout: it infers a letter, and compares numbers as numbers.

Quirks kept:
- an option's text is a short cut only where the reply is that text character by character, white space included;
- no short cut reads a letter: the reply "B" goes to a model as well;
- an empty reply asks no model, and counts as the first of the shortest options;
- the first "(X)" anywhere in the extraction is the letter, whatever stands around it;
- without a letter the option at the smallest edit distance is chosen, the first of several, so that one always is;
- a letter beyond the options, a small letter and "B." are no letters, and are compared with the options' texts too;
- an integer is cut towards zero, so that 5.7 counts as 5, and 1e3 as 1000;
- a float is rounded to `precision` and written by Python, so that a reference of "0.70" is never met;
- numbers with a unit, a comma or a sign of currency are wrong unless the model that extracts drops these;
- a list is compared as text, so that "[1,2]" is not "[1, 2]".

Left out, as the scripts have them off unless asked: the short cut for `The answer is "...".`, and skipping empty
extractions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from reassess.benchmarks.item import Item, Outcome

METADATA: frozenset[str] = frozenset({"question_type", "answer_type", "precision"})

_LETTER = re.compile(r"\(([a-zA-Z])\)")


def judge(item: Item) -> Outcome:
    """Follow extract_answer.py and calculate_score.py; `model_answer` is the answer to the prompt that extracts."""
    choice = item.metadata["question_type"] == "multi_choice"
    answer_type = str(item.metadata["answer_type"])
    if choice and not item.options:
        return Outcome(None, None, "a choice without options")
    extraction = _short_cut(item, choice, answer_type)
    how = "read by a short cut"
    if extraction is None:
        if item.model_answer is None:
            return Outcome(None, None, "a model extracts the answer")
        extraction, how = item.model_answer.strip(), "extracted by a model"
    if choice:
        prediction: str | None = _choice(extraction, item.options)
    else:
        prediction = _normalise(extraction, answer_type, item.metadata["precision"])
    if prediction is None:
        return Outcome(False, None, f"{how}, not of type {answer_type}")
    return Outcome(prediction == item.gold, prediction, how)


def _short_cut(item: Item, choice: bool, answer_type: str) -> str | None:
    """What is extracted without asking a model, None where one is asked."""
    if item.reply == "" or (choice and item.reply in item.options):
        return item.reply
    try:
        if answer_type == "integer":
            return str(int(item.reply))
        if answer_type == "float":
            return str(float(item.reply))
    except ValueError:
        pass
    return None


def _choice(extraction: str, options: Sequence[str]) -> str:
    text = extraction.strip()
    letter = _LETTER.search(text)
    if letter:
        text = letter[1].upper()
    letters = [chr(ord("A") + index) for index in range(len(options))]
    if text in letters:
        return options[letters.index(text)]
    return min(options, key=lambda option: _edit_distance(text, option))


def _normalise(extraction: str, answer_type: str, precision: Any) -> str | None:
    try:
        if answer_type == "integer":
            return str(int(float(extraction)))
        if answer_type == "float":
            return str(round(float(extraction), int(precision)))
    except (ValueError, TypeError, OverflowError):
        return None
    return extraction


def _edit_distance(one: str, other: str) -> int:
    """Levenshtein distance, a row of the table at a time as the bits of integers (Myers 1999, Hyyrö 2001)."""
    pattern, text = sorted((one, other), key=len)
    if not pattern:
        return len(text)
    positions: dict[str, int] = {}
    for index, character in enumerate(pattern):
        positions[character] = positions.get(character, 0) | 1 << index
    everything, last = (1 << len(pattern)) - 1, 1 << (len(pattern) - 1)
    rises, falls, distance = everything, 0, len(pattern)
    for character in text:
        same = positions.get(character, 0)
        diagonal = same | falls
        across = (((same & rises) + rises) ^ rises) | same
        row_rises = falls | (everything & ~(across | rises))
        row_falls = rises & across
        distance += bool(row_rises & last) - bool(row_falls & last)
        row_rises, row_falls = row_rises << 1 | 1, row_falls << 1
        rises = (row_falls | ~(diagonal | row_rises)) & everything
        falls = row_rises & diagonal & everything
    return distance
