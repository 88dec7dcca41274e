"""GeoQA-8K: questions about geometric diagrams, in the form that R1-V trains on.

Rows: Deep-Agent/R1-V, README.md and src/r1-v/src/open_r1/grpo.py: `image`, `problem` and `solution`, which is the
answer inside `<answer>`, as in `<answer> 145° </answer>`; they have no id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.example import Example, RowError
from reassess.sources import fields
from reassess.sources.kinds import kind_of
from reassess.sources.published import Card, Hub
from reassess.sources.sets import _texts

VERSION = 1
SOURCE = Hub("leonardPKU/GEOQA_R1V_Train_8K", "train", revision=None, licence=None)
MODALITY = "visual"
CARD = Card(
    "School geometry (GeoQA): a diagram, a question and a short answer.",
    traps=(
        "Golds with a root, as 10√{2}, are read as 10 by some verifiers; in the published logs of R1-V 17 of 292 "
        "right verdicts of one model were wrong for such reasons.",
        "Units of golds are wrong in places: a revised copy (YanqiDai/MathForge_GEOQA-R1V-revised) says that it "
        "corrects them.",
    ),
)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    question = fields.text(row, "problem")
    gold = _texts.element(fields.text(row, "solution"), "answer")
    if gold is None:
        raise RowError("no <answer> element", "solution")
    return Example(
        id="",
        images=fields.images(row, "image"),
        question=question,
        options=(),
        gold=gold,
        kind=kind_of(gold, (), question),
        rationales=(),
        source="geoqa",
        family="",
        difficulty=0,
    )
