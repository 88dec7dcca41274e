"""MMMU-Pro with four options: the rule of `mmmu_pro`.

Source: as `reassess.benchmarks.mmmu_pro`.

Rows: as `reassess.benchmarks.mmmu_pro`, of the configuration "standard (4 options)".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.benchmarks import mmmu_pro
from reassess.benchmarks._mmmu import asked
from reassess.benchmarks.mmmu_pro import METADATA, MODALITY, judge
from reassess.example import Example
from reassess.sources.published import Card

__all__ = ["CARD", "METADATA", "MODALITY", "SOURCE", "VERSION", "example", "judge"]

VERSION = 1
SOURCE = mmmu_pro.SOURCE._replace(configs=("standard (4 options)",))
CARD = Card(
    "The questions of MMMU that text models could not answer, with four options.",
    traps=(
        "It is no part of the published MMMU-Pro score, which has up to ten options.",
        *mmmu_pro.CARD.traps[1:],
    ),
    prompt=mmmu_pro.CARD.prompt,
    metric=mmmu_pro.CARD.metric,
)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    return asked(row, "mmmu_pro_4")
