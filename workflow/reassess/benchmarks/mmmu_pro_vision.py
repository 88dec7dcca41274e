"""MMMU-Pro as screenshots, with question and options in the picture: the rule of `mmmu_pro`.

Source: as `reassess.benchmarks.mmmu_pro`.

Rows: the data set's card (MMMU/MMMU_Pro, README.md) and what lmms-eval's utils.py reads of the configuration "vision":
`id`, `options` (a list written out in Python), `answer` (a letter) and `image`. The options are kept for the rule,
which looks for their texts in a reply; they are not shown beside the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.benchmarks import mmmu_pro
from reassess.benchmarks._mmmu import shown
from reassess.benchmarks.mmmu_pro import METADATA, MODALITY, judge
from reassess.example import Example
from reassess.sources.published import Card

__all__ = ["CARD", "METADATA", "MODALITY", "SOURCE", "VERSION", "example", "judge"]

VERSION = 1
SOURCE = mmmu_pro.SOURCE._replace(configs=("vision",))
CARD = Card(
    "The questions of MMMU-Pro as screenshots and photographs: the picture shows the question and up to ten options.",
    traps=(
        "There is no question beside the picture; it is asked for with a sentence that names the letters of the "
        "options, and only a letter is right for the judge.",
        "The published MMMU-Pro score is the mean of this setting and `mmmu_pro`.",
        "The authors' prompt for reasoning models asks to write out the question first.",
    ),
    prompt="Answer with the option letter from the given choices directly. The last line of your response should be of "
    "the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of options.",
    metric=mmmu_pro.CARD.metric,
)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    return shown(row, "mmmu_pro_vision")
