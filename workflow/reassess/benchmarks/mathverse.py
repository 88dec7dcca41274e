"""MathVerse: a model extracts the answer, and a model says whether it agrees with the reference.

Nothing of this rule is deterministic but the reading of the last answer, so that without one the outcome is None.

Source: ZrrSkywalker/MathVerse, evaluation/extract_answer_s1.py and evaluation/score_answer_s2.py (its prompts are in
evaluation/prompts.py). lmms-eval (lmms_eval/tasks/mathverse/mathverse_evals.py) reads the answer the same way, and
counts a request that is refused as wrong. VLMEvalKit (vlmeval/dataset/utils/mathverse.py) differs: an extraction equal
to the reference is right without a second question, "Judgement:" is not removed, and five unreadable answers are wrong.

Quirks kept:
- a reply that equals the reference goes to both models all the same (the switch `--quick_match` is off);
- "Judgement:" is removed wherever it stands, and in this spelling only;
- what is left must be 0 or 1: for "1." or "1, they agree" the script asks again, without an end;
- `summary` takes whatever versions there are: "Acc" includes the text-only version where its rows are given.

Rows: the data set's card (AI4Math/MathVerse, README.md), the authors' data/testmini_text_only.json, and what
lmms-eval's utils.py reads of them: `sample_index`, `problem_index`, `problem_version`, `question`, `image` (an empty
text where there is none), `answer` and `question_type`. Options stand at the end of the question, as "Choices:" and a
line for each. Where the version is "Vision Only" the question is empty, and a picture shows it with its options; it
is asked for as `query_wo` does. The column `question_for_eval` has it as text, for a judge: shown to a model, it
would make another version of the question.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from reassess.benchmarks import _rows
from reassess.benchmarks.item import Item, Outcome, Row
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.choices import split
from reassess.sources.published import Card, Hub

VERSION = 1
# Its card was not seen to declare a licence.
SOURCE = Hub(
    "AI4Math/MathVerse",
    "testmini",
    "3bc86196678bad115a923d2851c6821dbe235939",
    licence=None,
    files=("testmini.parquet",),
    rows=3940,
)
MODALITY = "visual"
CARD = Card(
    "788 questions about figures and functions, each in five versions that move what it says from text to picture.",
    traps=(
        "The five versions of a question are not independent: 3,940 rows are 788 questions.",
        "In the version Vision Only there is no text: the picture shows the question and its options, and only the "
        "letter can be judged.",
        "The official rule asks a large model twice for every reply.",
        "The sixth version, Text Only, has an empty text for an image, and is put aside in a visual benchmark.",
        "Ten right answers of the 436 choices are no single letter: (B), False, or two letters on two lines.",
        "Some degree signs were decoded wrongly (118掳T); they are repaired, the official rule sees them as published.",
    ),
    prompt="Please directly answer the question and provide the correct option letter, e.g., A, B, C, D."
    "\\nQuestion: {question}\\nChoices:\\nA:{option} ... (Vision Only: According to the question shown in the image, "
    "please directly answer the question ...)",
    metric="Accuracy by a large model's judgement, over all rows and by version.",
)
METADATA: frozenset[str] = frozenset()

_VERDICTS = {"0": False, "1": True}

# The bytes of a degree sign in UTF-8, read as GBK.
_MOJIBAKE = {"掳": "°"}
_SHOWN = {
    "multi-choice": "According to the question shown in the image, provide the correct option letter, e.g., A, B, C, "
    "D.",
    "free-form": "According to the question shown in the image, answer the question and provide the final value.",
}


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    published, version = fields.text(row, "answer"), fields.text(row, "problem_version")
    type_ = fields.text(row, "question_type")
    is_choice = type_ == "multi-choice"
    asked = fields.text(row, "question")
    question, options = split(asked) if is_choice else (asked, ())
    gold, known = _gold(published), options
    if not asked.strip() and version.replace("-", " ") == "Vision Only":
        question = _SHOWN.get(type_, "")
        # The right answer may be an option's text, and the picture has to be answered by letter.
        known = split(fields.text(row, "question_for_eval"))[1]
    if is_choice:
        gold = _rows.letters(gold, known)
    return Example(
        id=_rows.word(row, "sample_index"),
        images=() if fields.value(row, "image") == "" else fields.images(row, "image"),
        question=question,
        options=options,
        gold=gold,
        kind="mcq" if is_choice else _rows.number_or_math(gold),
        rationales=(),
        source="mathverse",
        family=version,
        difficulty=0,
        metadata=_rows.metadata(
            {"problem_version": version, "problem_index": _rows.word(row, "problem_index")}, gold=published
        ),
    )


def _gold(published: str) -> str:
    """Return a right answer without blanks at its ends, a sign of equality before it, and wrong degree signs."""
    for wrong, right in _MOJIBAKE.items():
        published = published.replace(wrong, right)
    return re.sub(r"^(\$?)\s*=\s*", r"\1", published.strip())


def judge(item: Item) -> Outcome:
    """Read `model_answer` as the answer to the prompt that scores, the second of the two."""
    if item.model_answer is None:
        return Outcome(None, None, "a model extracts the answer and a model scores it")
    judgement = item.model_answer.strip().replace("Judgement:", "").strip()
    if judgement not in _VERDICTS:
        return Outcome(None, None, "neither 0 nor 1, so that the script asks again")
    return Outcome(_VERDICTS[judgement], None, "scored by a model")


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Accuracy over all rows and per version, as score_answer_s2.py prints them.

    Rows without the column `problem_version` count in the total only.
    """
    groups: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        groups["Acc"].append(row.correct is True)
        if "problem_version" in row.metadata:
            groups[f"{row.metadata['problem_version']} Acc"].append(row.correct is True)
    return {name: sum(values) / len(values) for name, values in groups.items()}
