"""The transformers engine: left-padded batches of like length, for machines without vLLM."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from reassess.engines.base import Request, Response, Setting, banned_tokens, failed, text
from reassess.models.load import load_model, stop_ids
from reassess.study.suites import Decoding


def why_not(gpus: int) -> str:
    """Return why it cannot run here: it always can."""
    return ""


def version() -> str:
    """Return the installed version."""
    return importlib.metadata.version("transformers")


def device() -> str:
    """Return the name of a GPU."""
    return str(torch.cuda.get_device_name())


def start(directory: str, setting: Setting) -> TransformersEngine:
    """Start the engine on a checkpoint directory."""
    return TransformersEngine(directory, setting)


class SeededSampling(LogitsProcessor):  # type: ignore[misc]
    """Draws each row's token from a generator of its own and leaves only that token for the greedy choice.

    One uniform number per row and step picks a point of the row's cumulative distribution. So a sample depends on
    its seed and logits alone: not on its place in a batch, and on its batch mates only as far as padding changes the
    last digits of the logits.

    Args:
        seeds: one per row.
        prompt_length: padded prompt length in tokens.
        decoding: temperature above 0, top_p and max_tokens.
    """

    def __init__(self, seeds: Sequence[int], prompt_length: int, decoding: Decoding) -> None:
        self.prompt_length = prompt_length
        draws = [
            torch.rand(decoding.max_tokens, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
            for seed in seeds
        ]
        self.draws = torch.stack(draws)
        self.warpers = LogitsProcessorList([TemperatureLogitsWarper(decoding.temperature)])
        if decoding.top_p < 1:
            self.warpers.append(TopPLogitsWarper(decoding.top_p))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores (rows x vocabulary) that are 0 at the drawn token and -inf elsewhere."""
        probabilities = torch.softmax(self.warpers(input_ids, scores).double(), dim=-1)
        cumulative = probabilities.cumsum(dim=-1)
        step = input_ids.shape[1] - self.prompt_length
        points = self.draws[:, step : step + 1].to(scores.device) * cumulative[:, -1:]
        # The first token whose cumulative probability exceeds the point: never one of probability 0.
        drawn = torch.searchsorted(cumulative, points, right=True).clamp(max=scores.shape[1] - 1)
        return torch.full_like(scores, -torch.inf).scatter(1, drawn, 0.0)


class TransformersEngine:
    """`model.generate` in the study's precision.

    Args:
        directory: a Hugging Face checkpoint.
        setting: `max_model_len` and `engine_args` are vLLM's and do not count here.
    """

    def __init__(self, directory: str, setting: Setting) -> None:
        self._setting = setting
        self._device = torch.device("cuda" if setting.gpus else "cpu")
        self.load(directory)

    def load(self, directory: str) -> None:
        """Change to another checkpoint of the same model."""
        tokenizer, model = self._setting.reader.tokenizer, self._setting.reader.model
        self._model = load_model(directory, model).to(self._device).eval()
        self._stops = stop_ids(directory, tokenizer, model)
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self._stops[0]
        # A checkpoint's own defaults (top_k, repetition_penalty, ...) would decode otherwise than vLLM does.
        self._model.generation_config = GenerationConfig(eos_token_id=self._stops, pad_token_id=pad)

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[dict[str, Response]]:
        """Yield responses by key, a batch at a time; rows with and without an image are not mixed."""
        limit = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        refused = [item for item in requests if limit is not None and item.length >= limit]
        if refused:
            message = f"the prompt has {{}} tokens, the model takes at most {limit}"
            yield {item.key: failed(message.format(item.length)) for item in refused}
        out = {item.key for item in refused}
        todo = [item for item in requests if item.key not in out]
        todo.sort(key=lambda item: (bool(item.example.images), item.length, item.key))
        for _, group in groupby(todo, key=lambda item: bool(item.example.images)):
            rows = list(group)
            for first in range(0, len(rows), self._setting.batch_size):
                yield self._batch(rows[first : first + self._setting.batch_size], decoding)

    @torch.inference_mode()
    def _batch(self, rows: list[Request], decoding: Decoding) -> dict[str, Response]:
        reader = self._setting.reader
        texts, pictures = [row.prompt for row in rows], [reader.pictures(row.example) for row in rows]
        inputs = reader.encode(texts, pictures, padding=True, return_tensors="pt").to(self._device)
        inputs = {
            name: value.to(self._model.dtype) if value.is_floating_point() else value for name, value in inputs.items()
        }
        width = inputs["input_ids"].shape[1]
        generated = self._model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=decoding.max_tokens,
            logits_processor=self._processors(rows, width, decoding),
        )
        found: dict[str, Response] = {}
        for row, ids, mask in zip(rows, generated[:, width:].tolist(), inputs["attention_mask"], strict=True):
            end = next((i for i, id_ in enumerate(ids) if id_ in self._stops), None)
            kept = ids if end is None else ids[: end + 1]
            said = text(kept, self._stops, reader.tokenizer)
            found[row.key] = Response(said, "length" if end is None else "stop", len(kept), int(mask.sum()))
        return found

    def _processors(self, rows: list[Request], width: int, decoding: Decoding) -> Any:
        processors = LogitsProcessorList()
        banned = banned_tokens(self._setting.reader.processor)
        if banned:
            ids = self._setting.reader.tokenizer.convert_tokens_to_ids(banned)
            processors.append(SuppressTokensLogitsProcessor(ids, device=self._device))
        seeds = [row.seed for row in rows if row.seed is not None]
        if decoding.temperature > 0:
            processors.append(SeededSampling(seeds, width, decoding))
        return processors
