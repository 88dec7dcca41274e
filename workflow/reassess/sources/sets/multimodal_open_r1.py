"""Multimodal-open-r1-8k: mathematical questions about pictures, with verified reasoning.

Rows: EvolvingLMMs-Lab/open-r1-multimodal, README.md and src/open_r1/grpo.py, and huggingface/trl,
examples/scripts/grpo_vlm.py: `image`, `problem`, `solution` (`<think>...</think>` and `<answer>...</answer>`),
`original_question` and `original_answer` (prose); they have no id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reassess.example import Example
from reassess.sources import fields
from reassess.sources.published import Card, Hub
from reassess.sources.sets import _texts

VERSION = 1
SOURCE = Hub("lmms-lab/multimodal-open-r1-8k-verified", "train", revision=None, licence=None, rows=7689)
MODALITY = "visual"
CARD = Card(
    "Mathematical questions about pictures, with reasoning, which GPT-4o made from Geo170K and Math360K.",
    traps=(
        "The gold is the content of `<answer>`; `original_answer` is prose and is not used.",
        "A published GRPO example (TRL) drops the pictures of 512 pixels and more.",
    ),
)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    question = fields.text(row, "problem")
    found = _texts.response(fields.text(row, "solution"), "solution")
    return replace(
        _texts.asked(question, found.answer),
        images=fields.images(row, "image"),
        rationales=(found.reasoning,),
        source="multimodal-open-r1",
    )
