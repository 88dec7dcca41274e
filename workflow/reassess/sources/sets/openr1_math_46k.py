"""OpenR1-Math-46k-8192: the part of OpenR1-Math-220k that LUFFY and later studies of SFT with RL train on.

Rows: code that loads the data set (ElliottYan/LUFFY and others): `data_source`, `prompt` (a system message and the
question), `target` (the response, with reasoning inside `<think>`), `ability`, `reward_model` (`ground_truth` is the
answer) and `extra_info`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reassess.example import Example, RowError
from reassess.sources import fields
from reassess.sources.published import Card, Hub
from reassess.sources.sets import _texts

VERSION = 1
SOURCE = Hub("Elliott/Openr1-Math-46k-8192", "train", revision=None, licence=None, rows=45792)
MODALITY = "text"
CARD = Card(
    "Competition mathematics with one checked response of DeepSeek-R1 of at most 8,192 tokens.",
    traps=(
        "A long system message belongs to its prompts; it is left out here, where the study's own prompt is used.",
        "It is part of OpenR1-Math-220k: do not mix the two.",
    ),
)


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    turns = [*_list(row, "prompt"), *_list(row, "target")]
    question, said = _texts.one_turn({"prompt": turns}, "prompt")
    reward = fields.value(row, "reward_model")
    if not isinstance(reward, Mapping) or "ground_truth" not in reward:
        raise RowError("no ground_truth", "reward_model")
    gold = fields.answer(reward, "ground_truth").strip()
    return replace(
        _texts.asked(question.strip(), gold),
        rationales=(_texts.response(said, "target").reasoning,),
        source="openr1-math-46k",
    )


def _list(row: Mapping[str, Any], column: str) -> list[Any]:
    found = fields.value(row, column)
    if not isinstance(found, list):
        raise RowError("not a list of turns", column)
    return found
