"""VLAA-Thinking-GRPO-25K: questions about pictures for reinforcement learning, each with its type of verifier.

Rows: UCSC-VLAA/VLAA-Thinking, README.md: `id`, `image` (a path), `question` and `gt` (text or a number); and code that
loads the file for the further column `verifier_type` (digit, MCQ, math, IoU, general). The file is named .json and
holds a JSON object on each line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.example import Example, RowError
from reassess.sources.published import Card
from reassess.sources.sets import _vlaa_thinking

VERSION = 1
SOURCE = _vlaa_thinking.hub("VLAA-Thinking-GRPO-25K.json", rows=25195)
MODALITY = "visual"
PICTURES = ("image",)
CARD = Card(
    "Questions of VLAA-Thinking whose reasoning has words of doubt (wait, hmm, mistake), for reinforcement learning.",
    traps=(
        "Rows whose verifier measures the overlap of boxes (IoU) are put aside, because no text is compared there; "
        "the grounding rows (COCO and Visual Genome, 4,000 of 25,195) may be these: raise `max_put_aside`.",
        "Open answers (verifier `general`) are scored by a reward model there, and compared as text here.",
        _vlaa_thinking.PICTURES_APART,
    ),
)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    gold = _vlaa_thinking.gold(row)
    if str(row.get("verifier_type", "")).lower() == "iou":
        raise RowError("its answer is a place in the picture, which is not compared here", "verifier_type")
    return _vlaa_thinking.example(row, gold, (), "vlaa-thinking-grpo")
