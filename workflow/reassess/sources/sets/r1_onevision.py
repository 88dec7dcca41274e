"""R1-Onevision: questions about pictures of many domains with long reasoning.

Rows: Fancy-MLLM/R1-Onevision, README.md, and code that loads the data set: `id`, `image` (base64, with or without the
head of a data URL) and `conversations`, one question and one response with `<think>`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reassess.example import Example, RowError
from reassess.judge.extract import find_answer
from reassess.sources import fields
from reassess.sources.published import Card, Hub
from reassess.sources.sets import _texts

VERSION = 1
SOURCE = Hub("Fancy-MLLM/R1-Onevision", "train", revision=None, licence=None)
MODALITY = "visual"
CARD = Card(
    "Questions about pictures (mathematics, science, deep understanding of pictures, logic) with long reasoning.",
    traps=(
        "The gold is what the response itself commits to after its reasoning: no one checked it.",
        "Where a response names no answer, its row is put aside.",
        "ViRL39K contains part of it.",
    ),
)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    question, said = _texts.one_turn(row, "conversations")
    found = _texts.response(said, "conversations")
    gold = find_answer(found.answer)
    if gold is None:
        raise RowError("the response names no answer", "conversations")
    return replace(
        _texts.asked(question, gold),
        images=_decoded(fields.text(row, "image")),
        rationales=(found.reasoning,),
        source="r1-onevision",
    )


def _decoded(text: str) -> tuple[bytes, ...]:
    if not text:
        return ()
    try:
        return (base64.b64decode(text.rpartition(",")[2], validate=True),)
    except binascii.Error:
        raise RowError("not base64", "image") from None
