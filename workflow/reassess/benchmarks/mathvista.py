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

Rows: the data set's card (AI4Math/MathVista, README.md) and what lmms-eval's utils.py reads of them: `pid`, `question`,
`decoded_image` (`image` is a path), `choices` (a list, or null), `unit`, `precision`, `answer`, `question_type`,
`answer_type` and `metadata` (a struct with `task`). The right answer of a choice is the text of an option; in the split
"test" it is withheld. The question is asked as in `query`, with its unit but without its hint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from reassess.benchmarks import _rows
from reassess.benchmarks.item import Item, Outcome
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
SOURCE = Hub(
    "AI4Math/MathVista", "testmini", "2b6ad69445fbb5695c9b165475e8decdbeb97747", licence="CC BY-SA 4.0", rows=1000
)
MODALITY = "visual"
CARD = Card(
    "Mathematics with pictures of every kind: figures, charts, tables, puzzles, photographs; 540 of 1,000 are choices.",
    traps=(
        "The right answer of a choice is an option's text, not its letter, and three questions have the same option "
        "twice.",
        "The authors' prompt says how many decimals are wanted, the question alone does not; the judge takes a number "
        "that rounds to the right one.",
        "The official rule asks a large model about most replies, cuts 5.7 to the integer 5, and always finds an "
        "option.",
        "The answers of the split test (5,141 questions) are withheld.",
    ),
    prompt="Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end."
    "\\nQuestion: {question}\\nChoices:\\n(A) {option} ... (other hints for integers, decimals and lists)",
    metric="Accuracy over all questions, after a model has extracted the answer.",
)
METADATA: frozenset[str] = frozenset({"question_type", "answer_type", "precision"})

_LETTER = re.compile(r"\(([a-zA-Z])\)")


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    published, options = fields.text(row, "answer"), _rows.options(row, "choices")
    columns = {name: fields.value(row, name) for name in sorted(METADATA)}
    unit, about = fields.text(row, "unit"), fields.value(row, "metadata")
    choice = columns["question_type"] == "multi_choice"
    gold = published
    if choice and published:
        gold = _rows.letter_of(options.index(published) if published in options else -1, options, "answer")
    return Example(
        id=fields.text(row, "pid"),
        images=fields.images(row, "decoded_image"),
        question=fields.text(row, "question") + (f" (Unit: {unit})" if unit else ""),
        options=options if choice else (),
        gold=gold,
        kind="mcq" if choice else _rows.number_or_math(gold),
        rationales=(),
        source="mathvista",
        family=fields.text(about, "task") if isinstance(about, dict) and "task" in about else "",
        difficulty=0,
        metadata=_rows.metadata(columns, gold=published),
    )


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
    return Outcome(prediction == _reference(item, choice), prediction, how)


def _reference(item: Item, choice: bool) -> str:
    """Return the right answer as the rule compares it: of a choice the option's text.

    Examples that were not made of the published rows have the letter in its place.
    """
    index = ord(item.gold) - ord("A") if choice and len(item.gold) == 1 and item.gold not in item.options else -1
    return item.options[index] if 0 <= index < len(item.options) else item.gold


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
    return min(options, key=lambda option: edit_distance(text, option))


def _normalise(extraction: str, answer_type: str, precision: Any) -> str | None:
    try:
        if answer_type == "integer":
            return str(int(float(extraction)))
        if answer_type == "float":
            return str(round(float(extraction), int(precision)))
    except (ValueError, TypeError, OverflowError):
        return None
    return extraction


def edit_distance(one: str, other: str) -> int:
    """Return the Levenshtein distance: a row of the table at a time, as bits of integers (Myers 1999, Hyyrö 2001)."""
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
