"""MMMU: a letter for multiple choice; for open questions, pieces of the reply that hold the gold or equal its number.

Source: MMMU-Benchmark/MMMU, eval/eval_utils.py (now mmmu/utils/eval_utils.py), data_utils.py and main_eval_only.py. The
lmms-eval copy differs (it also reads "X " and "X." and scores what it cannot read as wrong), and VLMEvalKit makes
multiple choice of the open questions; neither is followed here.

Quirks kept, multiple choice:
- "(X)" anywhere wins over " X "; of several letters the last one counts, however the reply goes on;
- "B.", "B)" and "**B**" inside a reply are no letters: a letter needs spaces, and a line break is none;
- marks are stripped from the ends one kind after the other, each once, so "'.B" keeps its full stop;
- the article "A" and the pronoun "I" are letters, small letters are not;
- option texts count in replies of more than five words only, inside of words too; an empty option is in every reply;
- a reply without a letter gets one at random: None here.

Quirks kept, open questions:
- the reply is split at line breaks only: it is lower-case before the split at ". " and a capital;
- of a line with a phrase such as "is " or "so " the shortest tail counts; "=" is such a phrase in the last line only;
- the phrases are found inside of words too: of "the answer is Paris or London" only "or London" is read;
- a first tail that is empty is given up for the next one, even a longer one;
- with no such line the whole reply is one piece;
- numbers are rounded to two decimals, so 0.004 equals 0; "1,000" also gives 0 (from "000"), and "5-3" gives -3;
- a gold that is text is right anywhere inside a piece ("no" in "I do not know"), so long replies are right more often;
- a gold of one character needs a space beside it; an empty gold is always right;
- a gold that is a number is never compared as text, "nan" equals nothing, and "1_000" and "inf" are numbers.

Decided here: a gold that is the text of a Python list of strings is taken for the list that answer_dict_val.json has.
Multiple choice without options is None, where the original would fail. The subject of a row is read from its metadata's
"id", else from its id, as official ids have it ("validation_Art_Theory_3").

Rows: the data set's card (MMMU/MMMU, README.md) and what lmms-eval's utils.py reads of them: `id`
(validation_Subject_n), `question`, `options` (a list written out in Python, empty for open questions), `answer` (of
some open questions such a list of accepted answers), `question_type` and `image_1` to `image_7`, the later ones null.
Question and options have marks such as `<image 1>` where a picture belongs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

from reassess.benchmarks._letters import read_letter
from reassess.benchmarks._mmmu import asked
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card, Hub

METADATA: frozenset[str] = frozenset({"question_type"})

_FORMS = ("({})", " {} ")
# eval_utils.py, parse_open_response.
_PHRASES = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_MARKS = frozenset(":,.!?;'")
# eval_utils.py, extract_numbers. A number's digits are taken whole and from their start, which finds the same numbers
# as the original patterns without their quadratic time on long runs of digits.
_WITH_COMMAS = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
_SCIENTIFIC = re.compile(r"-?(?<!\d)\d++(?:\.\d++)?[eE][+-]?\d++")
_SIMPLE = re.compile(r"-?(?:(?<!\d)\d++\.\d++|\.\d++|(?<!\d)\d++\b)(?![eE][+-]?\d)(?![,\d])")
_DECIMALS = 2

# Longer golds are no list of alternatives: the longest in answer_dict_val.json is far shorter.
_GOLD_CHARACTERS = 10_000

# data_utils.py, DOMAIN_CAT2SUB_CAT.
_DOMAINS = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science",
        "Clinical_Medicine",
        "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy",
        "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech and Engineering": (
        "Agriculture",
        "Architecture_and_Engineering",
        "Computer_Science",
        "Electronics",
        "Energy_and_Power",
        "Materials",
        "Mechanical_Engineering",
    ),
}
VERSION = 1
# Most code of 2026 reads this commit; a later one (876ce5cb) was seen in code of October 2026, without what it changed.
SOURCE = Hub(
    "MMMU/MMMU",
    "validation",
    "98e6ac0cb9b7b2cd2c991b85a50762edc4aedc68",
    licence="Apache-2.0",
    configs=tuple(sorted(subject for subjects in _DOMAINS.values() for subject in subjects)),
    rows=900,
)
MODALITY = "visual"
CARD = Card(
    "College questions of 30 subjects with pictures: 847 choices and 53 open questions.",
    traps=(
        "A choice has up to nine options, and options may be pictures.",
        "The official rule draws a letter at random where it reads none, and takes an open answer that merely contains "
        "the right one; its copy in lmms-eval differs, and VLMEvalKit makes choices of the open questions.",
        "Three open questions accept several answers, and some have a letter for an answer.",
        "The answers of the split test (10,500 questions) are withheld.",
    ),
    prompt="{question}\\n(A) {option} ...\\nAnswer with the option's letter from the given choices directly. (open: "
    "Answer the question using a single word or phrase.)",
    metric="Accuracy over all questions, by domain and by subject.",
)

# main_eval_only.py.
_SUMMARY_DECIMALS = 3


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    return asked(row, "mmmu", fields.text(row, "question_type"))


def judge(item: Item) -> Outcome:
    """The verdict of MMMU's own rule."""
    golds = _alternatives(item.gold)
    if item.metadata["question_type"] != "multiple-choice":
        return _judge_open(item.reply, golds)
    letter = read_letter(item.reply, item.options, _FORMS)
    if letter is None:
        return Outcome(None, None, "no option read: drawn at random" if item.options else "no options")
    return Outcome(letter in golds, letter, "the letter read")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Accuracy over all questions, per domain and per subject, rounded as the official script rounds it.

    Subjects and domains without a question are left out, as are questions of a subject that MMMU does not have.
    """
    hits: dict[str, list[bool]] = {}
    for row in rows:
        subject = "_".join(str(row.metadata.get("id", row.id)).split("_")[1:-1])
        hits.setdefault(subject, []).append(row.correct is True)
    result: dict[str, float] = {}
    everything: list[bool] = []
    for domain, subjects in _DOMAINS.items():
        inside = [hit for subject in subjects for hit in hits.get(subject, ())]
        if inside:
            result[f"Overall-{domain}"] = _share(inside)
        result.update((subject, _share(hits[subject])) for subject in subjects if subject in hits)
        everything += inside
    if everything:
        result["Overall"] = _share(everything)
    return result


def _share(hits: Sequence[bool]) -> float:
    return round(sum(hits) / len(hits), _SUMMARY_DECIMALS)


def _alternatives(gold: str) -> list[str]:
    if gold.startswith("[") and gold.endswith("]") and len(gold) <= _GOLD_CHARACTERS:
        try:
            parsed = ast.literal_eval(gold)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return [gold]
        if isinstance(parsed, list) and parsed and all(isinstance(part, str) for part in parsed):
            return parsed
    return [gold]


def _judge_open(reply: str, golds: Sequence[str]) -> Outcome:
    wanted = [value for gold in golds for value in _normalised(gold)]
    texts = [value for value in wanted if isinstance(value, str)]
    pieces = _pieces(reply)
    read = [*pieces, *(number for piece in pieces for number in _numbers(piece))]
    for value in (value for text in read for value in _normalised(text)):
        if isinstance(value, float):
            if value in wanted:
                return Outcome(True, str(value), "a number is the gold")
        elif any(text in value for text in texts):
            return Outcome(True, value.strip(), "a piece of the reply holds the gold")
    return Outcome(False, pieces[-1] or None, "no piece of the reply holds the gold")


def _pieces(reply: str) -> list[str]:
    """The tails of lines that may hold the answer, else the whole reply."""
    reply = reply.strip().strip(".").lower()
    lines = reply.split("\n")
    pieces = []
    for number, line in enumerate(lines, start=1):
        shortest = ""
        for phrase in _PHRASES if number < len(lines) else (*_PHRASES, "="):
            if phrase in line:
                tail = line.rpartition(phrase)[2].strip()
                if not shortest or len(tail) < len(shortest):
                    shortest = tail
        if shortest and shortest not in _MARKS:
            pieces.append(shortest)
    return pieces or [reply]


def _numbers(text: str) -> list[str]:
    return [*_WITH_COMMAS.findall(text), *_SCIENTIFIC.findall(text), *_SIMPLE.findall(text)]


def _normalised(text: str) -> list[str] | list[float]:
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), _DECIMALS)]
    except ValueError:
        text = text.lower()
        return [f" {text}", f"{text} "] if len(text) == 1 else [text]
