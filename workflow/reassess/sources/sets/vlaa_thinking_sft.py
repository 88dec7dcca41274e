"""VLAA-Thinking-SFT-126K: questions about pictures with the rewritten reasoning of DeepSeek-R1.

Rows: UCSC-VLAA/VLAA-Thinking, README.md: `id`, `image` (a path), `question`, `gt` (text or a number; of some
collections the work, which ends in "†Answer: ..."), and `answer`, `<think>...</think><answer>...</answer>`. The file is
named .json and holds a JSON object on each line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card
from reassess.sources.sets import _texts, _vlaa_thinking

VERSION = 1
SOURCE = _vlaa_thinking.hub("VLAA-Thinking-SFT-126K.json", rows=126413)
MODALITY = "visual"
PICTURES = ("image",)
CARD = Card(
    "Questions about pictures from eight collections, with reasoning that DeepSeek-R1 wrote from captions.",
    traps=(
        "Answers of ALLaVA-LAION and others are prose: an equal text is next to never given, so that a reward of them "
        "is next to never paid.",
        "The reasoning was written from a caption: its author never saw the picture.",
        "The gold is `gt`, and that is what SFT imitates behind the reasoning, in place of the response's own answer.",
        'One example of the card has a path that begins with "/"; it is meant relative to the pictures\' directory.',
        _vlaa_thinking.PICTURES_APART,
    ),
)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    found = _texts.response(fields.text(row, "answer"), "answer")
    gold = _vlaa_thinking.gold(row) or found.answer
    return _vlaa_thinking.example(row, gold, (found.reasoning,), "vlaa-thinking-sft")
