"""LLaVA-CoT-100k: questions about pictures with reasoning in four stages.

Rows: PKU-YuanGroup/LLaVA-CoT, README.md and train/cot_sft (datasets/cot_dataset.py): `id`, `image` (a path, missing in
some) and `conversations`, whose responses are `<SUMMARY>`, `<CAPTION>`, `<REASONING>` and `<CONCLUSION>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reassess.example import Example, RowError
from reassess.judge.extract import find_answer
from reassess.sources import fields
from reassess.sources.published import Card, Hub
from reassess.sources.sets import _texts

VERSION = 1
SOURCE = Hub(
    "Xkev/LLaVA-CoT-100k",
    "train",
    revision=None,
    licence=None,
    files=("train.jsonl",),
    archives=("image.zip.part-*",),
)
MODALITY = "visual"
PICTURES = ("image",)
CARD = Card(
    "Questions about pictures with responses in four stages: summary, caption, reasoning and conclusion.",
    traps=(
        "The gold is what the conclusion of the same response names, or all of it where it names nothing: no one "
        "checked it, and it is often a sentence.",
        "The three stages before the conclusion are the rationale, without their tags and in their order.",
        "Conversations of several turns are put aside: raise `max_put_aside` where they are many.",
        "Its own trainer skips rows without a picture.",
    ),
)
_STAGES = ("SUMMARY", "CAPTION", "REASONING")


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    question, said = _texts.one_turn(row, "conversations")
    stages = [_texts.element(said, tag) for tag in _STAGES]
    conclusion = _texts.element(said, "CONCLUSION")
    if conclusion is None:
        raise RowError("no <CONCLUSION> element", "conversations")
    # "The answer is B." is B.
    return replace(
        _texts.asked(question, find_answer(conclusion) or conclusion),
        images=fields.images(row, "image") if "image" in row else (),
        rationales=("\n\n".join(stage for stage in stages if stage),) if any(stages) else (),
        source="llava-cot",
    )
