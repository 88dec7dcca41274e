"""MMK12: school problems with a picture and a short answer, by MM-Eureka's authors.

Rows: ModalMinds/MM-EUREKA, README.md and eval/k12/k12.json: `id`, `question`, `answer`, `subject` and `image`. The
training split has open questions; the test split (2,000 multiple-choice questions) is not read here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reassess.example import Example, RowError
from reassess.sources import fields
from reassess.sources.published import Card, Hub
from reassess.sources.sets import _texts

VERSION = 1
SOURCE = Hub("FanqingM/MMK12", "train", "372a609268ea79b5e78d90ab173e02c37b486163", licence="Apache-2.0", rows=15616)
MODALITY = "visual"
CARD = Card(
    "School problems (K12) with a picture and a short answer.",
    traps=(
        "Golds come as they were typed: `$$6$$`, `25°.`, `>-2`, `4 cm²`, `(1)3;(2)3`, whole sentences. Dollar signs "
        "and a full stop around one are removed here, and an answer of several lines is put aside.",
        "MM-Eureka's own reward pays 1.0 where it cannot read the gold.",
        "ViRL39K contains it.",
    ),
)
_DOLLARS = re.compile(r"(\$\$?)([^$]+)\1")


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    question = fields.text(row, "question")
    gold = _plain(fields.answer(row, "answer"))
    return replace(
        _texts.asked(question, gold),
        images=fields.images(row, "image"),
        source="mmk12",
        family=fields.text(row, "subject"),
    )


def _plain(gold: str) -> str:
    gold = gold.strip()
    if "\n" in gold:
        raise RowError("its answer has several lines", "answer")
    gold = gold.removesuffix(".").rstrip()
    whole = _DOLLARS.fullmatch(gold)
    return whole[2].strip() if whole else gold
