r"""ViRL39K: questions with a short answer that can be checked, with or without pictures, by VL-Rethinker's authors.

Rows: TIGER-AI-Lab/VL-Rethinker, README.md, and code that loads the file: `question` (an `<image>` for each picture, and
at its end a request for `\boxed{}`), `answer` (in `\boxed{}`), `PassRate_32BTrained`, `PassRate_7BBase` (-1 where it
was not tested), `category`, `source`, `qid` and `image` (a list of paths, empty for text alone).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card, Hub
from reassess.sources.sets import _texts

VERSION = 1
SOURCE = Hub(
    "TIGER-Lab/ViRL39K",
    "train",
    "812ec617dea4bc8a4e751663b88e4ebb7de4d00e",
    licence="MIT",
    files=("39Krelease.parquet",),
    archives=("images.zip",),
    rows=38870,
)
MODALITY = "mixed"
PICTURES = ("image",)
CARD = Card(
    "Questions of eight categories (mathematics, science, charts, space, common sense) with checkable answers.",
    traps=(
        "It is made of other sets, among them MMK12 and MM-Math: do not mix it with these unseen.",
        "`PassRate_32BTrained` is that of a model trained with reinforcement learning, not of a base model; both rates "
        "are kept in `metadata`, -1 where none was measured.",
        "`load_dataset` with the repository's name fails, because it takes images.zip for a table: its file is named "
        "here.",
        "Rows without a picture are for text alone: the pool is `modality: mixed`.",
    ),
)
_RATES = ("PassRate_32BTrained", "PassRate_7BBase")
# What the question asks for at its end; the study's own instruction takes its place.
_REQUEST = re.compile(r"\s*Please reason step by step,? and put your final answer within \\boxed\{\}\.?\s*$")


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    question = _REQUEST.sub("", fields.text(row, "question"))
    gold = _texts.boxed(fields.text(row, "answer"), "answer")
    metadata = {"source": fields.text(row, "source"), **{rate: _rate(fields.value(row, rate)) for rate in _RATES}}
    return replace(
        _texts.asked(question, gold),
        id=fields.text(row, "qid"),
        images=fields.images(row, "image"),
        source="virl39k",
        family=fields.text(row, "category"),
        metadata=json.dumps(metadata, ensure_ascii=False),
    )


def _rate(there: Any) -> float | None:
    return float(there) if isinstance(there, int | float) and math.isfinite(there) else None
