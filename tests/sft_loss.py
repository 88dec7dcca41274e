"""The loss of SFT on single examples, by transformers and TRL themselves: what a likelihood has to be."""

from __future__ import annotations

from pathlib import Path

import torch
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, DataCollatorForVisionLanguageModeling

from reassess.data.shards import Shards
from reassess.models.load import inputs_for, load_model
from reassess.models.reader import Reader
from reassess.train import data


def sft_losses(directory: Path, reader: Reader, examples: Shards) -> dict[str, tuple[float, int]]:
    """Return `model(**inputs, labels=...).loss` and the tokens that have a label, by id of the example."""
    model = load_model(directory, reader.model).eval()
    if reader.sees:
        collator = DataCollatorForVisionLanguageModeling(reader.processor, completion_only_loss=True)
    else:
        collator = DataCollatorForLanguageModeling(pad_token_id=reader.stops[0])
    found = {}
    for example, row in zip(examples, data.sft_dataset(data.Rows(examples, reader)), strict=True):
        inputs = inputs_for(model, collator([row]))
        with torch.inference_mode():
            loss = model(**inputs).loss
        found[example.id] = float(loss), int((inputs["labels"] != -100).sum())
    return found
