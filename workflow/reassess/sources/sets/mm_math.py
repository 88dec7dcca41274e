r"""MM-Math: open questions of Chinese middle schools with a diagram and a worked solution.

Rows: kge-sun/mm-math, README.md, and code that loads the file MM_Math.jsonl: `question`, `file_name` (of the picture),
`solution` (the answer in `\boxed{}`), `year` (of school: seven, eight or nine), `difficult` (easy, medium or hard: 1 to
3 here) and `knowledge` (`level_1` and `level_2`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reassess.example import Example
from reassess.sources import fields
from reassess.sources.kinds import kind_of
from reassess.sources.published import Card, Hub
from reassess.sources.sets import _texts

VERSION = 1
SOURCE = Hub(
    "THU-KEG/MM_Math",
    "train",
    revision=None,
    licence=None,
    files=("MM_Math/MM_Math.jsonl",),
    archives=("MM_Math/MM_Math.zip",),
)
MODALITY = "visual"
PICTURES = ("file_name",)
CARD = Card(
    "School geometry and algebra with a diagram, an English question and a worked solution.",
    traps=(
        "VLMEvalKit scores it with a tolerance of 0.01 and takes an answer that is 100 times too large or too small.",
        "ViRL39K contains it.",
    ),
)
_LEVELS = {"easy": 1, "medium": 2, "hard": 3}


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    question, solution = fields.text(row, "question"), fields.text(row, "solution")
    gold = _texts.boxed(solution, "solution")
    knowledge = fields.value(row, "knowledge")
    metadata = {"year": fields.text(row, "year"), "knowledge": knowledge}
    return Example(
        id="",
        images=fields.images(row, "file_name"),
        question=question,
        options=(),
        gold=gold,
        kind=kind_of(gold, (), question),
        rationales=(_texts.without_boxes(solution),),
        source="mm-math",
        family=str(knowledge.get("level_1") or "") if isinstance(knowledge, Mapping) else "",
        difficulty=_LEVELS.get(fields.text(row, "difficult"), 0),
        metadata=json.dumps(metadata, ensure_ascii=False),
    )
