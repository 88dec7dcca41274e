"""The transformers engine: left-padded batches of like length, for machines without vLLM."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    StoppingCriteriaList,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from reassess.decoding import Decoding
from reassess.engines.base import Given, Likelihood, Request, Response, Setting, banned_tokens, failed, text
from reassess.models.load import inputs_for, load_model

# What processors make with a value for each token.
PER_TOKEN = frozenset({"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"})
# Of the logits of a batch in float32: 1600 tokens with a vocabulary of 150 thousand.
LOGITS_BYTES = 1e9
# Tokens of the prompt that are read with the first token of a response.
_BEFORE = 5


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


def warpers(decoding: Decoding) -> LogitsProcessorList:
    """Return what turns logits into those of the tokens that may be drawn, in vLLM's order.

    `model.generate` applies min_p last, to what top_k and top_p have left; vLLM applies it first, and top_p counts the
    probability of what is left: fewer tokens where both are set.
    """
    found = LogitsProcessorList([TemperatureLogitsWarper(decoding.temperature)])
    if decoding.min_p > 0:
        found.append(MinPLogitsWarper(decoding.min_p))
    if decoding.top_k is not None:
        found.append(TopKLogitsWarper(decoding.top_k))
    if decoding.top_p < 1:
        found.append(TopPLogitsWarper(decoding.top_p))
    return found


class PromptPenalty(RepetitionPenaltyLogitsProcessor):  # type: ignore[misc]
    """A repetition penalty over prompt and response, image tokens included, as in vLLM.

    `model.generate` would also penalise the token that pads shorter prompts, often the one that ends a response.

    Args:
        penalty: what logits above 0 are divided by and others multiplied with.
        padding: rows x padded prompt length, true where there is padding.
    """

    def __init__(self, penalty: float, padding: torch.Tensor) -> None:
        super().__init__(penalty)
        self.padding = padding

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the penalised scores (rows x vocabulary)."""
        ids = input_ids.clone()
        # The base class leaves out what is beyond the vocabulary.
        ids[:, : self.padding.shape[1]].masked_fill_(self.padding, scores.shape[1])
        penalised: torch.Tensor = super().__call__(ids, scores)
        return penalised


class Spoken:
    """The text of a response that grows by a token at a time, as vLLM reads it when it looks for stop strings.

    A token that ends within a character adds nothing until the character is whole.

    Args:
        tokenizer: the model's.
        before: the last tokens of the prompt: whether a first token begins with a space depends on them.
    """

    def __init__(self, tokenizer: Any, before: Sequence[int]) -> None:
        self.text = ""
        self._tokenizer = tokenizer
        self._ids = list(before)
        self._known = len(self._ids)

    def add(self, id_: int) -> int:
        """Add a token and return how many characters it has added."""
        self._ids.append(id_)
        known, now = self._decoded(self._ids[: self._known]), self._decoded(self._ids)
        if len(now) <= len(known) or now.endswith("\ufffd"):
            return 0
        self.text += now[len(known) :]
        self._ids = self._ids[self._known :]
        self._known = len(self._ids)
        return len(now) - len(known)

    def _decoded(self, ids: list[int]) -> str:
        return text(ids, (), self._tokenizer)


class StopStrings(StoppingCriteria):  # type: ignore[misc]
    """Ends each row at the token that completes a stop string in its response.

    The criterion of `model.generate` compares tokens with pieces of the strings, and counts the prompt too.

    Args:
        stop: the strings.
        tokenizer: the model's.
        prompts: rows x padded prompt length.

    Attributes:
        ends: by row, the tokens of a response that a string has ended, that which completed it included.
    """

    def __init__(self, stop: Sequence[str], tokenizer: Any, prompts: torch.Tensor) -> None:
        self.ends: dict[int, int] = {}
        self._stop = stop
        self._width = prompts.shape[1]
        self._spoken = [Spoken(tokenizer, row) for row in prompts[:, -_BEFORE:].tolist()]

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Return which rows have ended."""
        for row, id_ in enumerate(input_ids[:, -1].tolist()):
            if row in self.ends:
                continue
            spoken = self._spoken[row]
            added = spoken.add(id_)
            if added and any(spoken.text.find(end, 1 - added - len(end)) >= 0 for end in self._stop):
                self.ends[row] = input_ids.shape[1] - self._width
        return torch.tensor([row in self.ends for row in range(len(self._spoken))], device=input_ids.device)


class SeededSampling(LogitsProcessor):  # type: ignore[misc]
    """Draws each row's token from a generator of its own and leaves only that token for the greedy choice.

    One uniform number per row and step picks a point of the row's cumulative distribution. So a sample depends on
    its seed and logits alone: not on its place in a batch, and on its batch mates only as far as padding changes the
    last digits of the logits.

    Args:
        seeds: one per row.
        prompt_length: padded prompt length in tokens.
        decoding: temperature above 0, what leaves tokens out, and max_tokens.
    """

    def __init__(self, seeds: Sequence[int], prompt_length: int, decoding: Decoding) -> None:
        self.prompt_length = prompt_length
        draws = [
            torch.rand(decoding.max_tokens, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
            for seed in seeds
        ]
        self.draws = torch.stack(draws)
        self.warpers = warpers(decoding)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores (rows x vocabulary) that are 0 at the drawn token and -inf elsewhere."""
        probabilities = torch.softmax(self.warpers(input_ids, scores).double(), dim=-1)
        cumulative = probabilities.cumsum(dim=-1)
        step = input_ids.shape[1] - self.prompt_length
        points = self.draws[:, step : step + 1].to(scores.device) * cumulative[:, -1:]
        # The first token whose cumulative probability exceeds the point: never one of probability 0.
        drawn = torch.searchsorted(cumulative, points, right=True).clamp(max=scores.shape[1] - 1)
        return torch.full_like(scores, -torch.inf).scatter(1, drawn, 0.0)


def continued(prompts: Any, responses: Sequence[torch.Tensor], pad: int) -> Any:
    """Put responses behind prompts, padded on the right, so that positions count from each prompt's first token.

    Args:
        prompts: what a processor has made of prompts, padded on the left.
        responses: the token ids of each.
        pad: the id that stands where there is none.

    Returns:
        `prompts`, in which all that has a value per token is longer, and images are what they were.
    """
    is_there = prompts["attention_mask"].bool()
    for name in PER_TOKEN & prompts.keys():
        # Behind a prompt there is text alone, which has type 0.
        rows = [
            torch.cat([row[mask], ids if name == "input_ids" else torch.full_like(ids, name == "attention_mask")])
            for row, mask, ids in zip(prompts[name], is_there, responses, strict=True)
        ]
        value = pad if name == "input_ids" else 0
        prompts[name] = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)
    return prompts


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
        reader = self._setting.reader
        self._model = load_model(directory, reader.model).to(self._device).eval()
        self._model.generation_config = reader.generation_config

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[dict[str, Response]]:
        """Yield responses by key, a batch at a time; rows with and without an image are not mixed."""
        limit = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        refused = [item for item in requests if limit is not None and item.origin.length >= limit]
        if refused:
            message = f"the prompt has {{}} tokens, the model takes at most {limit}"
            yield {item.key: failed(message.format(item.origin.length)) for item in refused}
        out = {item.key for item in refused}
        todo = [item for item in requests if item.key not in out]
        todo.sort(key=lambda item: (item.origin.is_visual, item.origin.length, item.key))
        for _, group in groupby(todo, key=lambda item: item.origin.is_visual):
            rows = list(group)
            for first in range(0, len(rows), self._setting.batch_size):
                yield self._batch(rows[first : first + self._setting.batch_size], decoding)

    @torch.inference_mode()
    def _batch(self, rows: list[Request], decoding: Decoding) -> dict[str, Response]:
        reader = self._setting.reader
        texts, pictures = zip(*(row.origin.draw(reader) for row in rows), strict=True)
        batch = reader.encode(texts, pictures, padding=True, return_tensors="pt").to(self._device)
        inputs = inputs_for(self._model, batch)
        width = inputs["input_ids"].shape[1]
        strings = StopStrings(decoding.stop, reader.tokenizer, inputs["input_ids"])
        generated = self._model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=decoding.max_tokens,
            logits_processor=self._processors(rows, inputs["attention_mask"] == 0, decoding),
            stopping_criteria=StoppingCriteriaList([strings] if decoding.stop else []),
        )
        found: dict[str, Response] = {}
        for i, (row, ids) in enumerate(zip(rows, generated[:, width:].tolist(), strict=True)):
            by_token = next((n for n, id_ in enumerate(ids, 1) if id_ in reader.stops), None)
            ends = [n for n in (by_token, strings.ends.get(i)) if n is not None]
            kept = ids[: min(ends, default=len(ids))]
            said = text(kept, reader.stops, reader.tokenizer, decoding.stop)
            prompt_tokens = int(inputs["attention_mask"][i].sum())
            found[row.key] = Response(said, "stop" if ends else "length", len(kept), prompt_tokens)
        return found

    def nll(self, given: Sequence[Given]) -> Iterator[dict[str, Likelihood]]:
        """Yield how likely given responses are by key, a batch at a time: of like length, with images or without."""
        rows = sorted(given, key=lambda item: (item.origin.is_visual, item.origin.length + item.tokens, item.key))
        for _, group in groupby(rows, key=lambda item: item.origin.is_visual):
            for batch in self._batches(group):
                yield self._likelihoods(batch)

    def _batches(self, rows: Iterable[Given]) -> Iterator[list[Given]]:
        """Yield rows of ascending length, together at most `batch_size` and such that their logits fit."""
        per_token = 4 * self._model.config.get_text_config().vocab_size
        batch: list[Given] = []
        for row in rows:
            together = (len(batch) + 1) * (row.origin.length + row.tokens) * per_token
            if batch and (len(batch) == self._setting.batch_size or together > LOGITS_BYTES):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    @torch.inference_mode()
    def _likelihoods(self, rows: list[Given]) -> dict[str, Likelihood]:
        reader = self._setting.reader
        texts, pictures = zip(*(row.origin.draw(reader) for row in rows), strict=True)
        responses = [torch.tensor(row.ids(reader)) for row in rows]
        prompts = reader.encode(texts, pictures, padding=True, return_tensors="pt")
        inputs = inputs_for(self._model, continued(prompts, responses, reader.stops[0]).to(self._device))
        logits = self._model(**inputs, use_cache=False).logits
        found: dict[str, Likelihood] = {}
        for i, (row, ids) in enumerate(zip(rows, responses, strict=True)):
            end = int(inputs["attention_mask"][i].sum())
            # The logits at a token are of the next one.
            said = logits[i, end - len(ids) - 1 : end - 1].float()
            losses = torch.nn.functional.cross_entropy(said, ids.to(self._device), reduction="none")
            found[row.key] = Likelihood(float(losses.double().sum()), len(ids))
        return found

    def _processors(self, rows: list[Request], padding: torch.Tensor, decoding: Decoding) -> Any:
        processors = LogitsProcessorList()
        banned = banned_tokens(self._setting.reader.processor)
        if banned:
            ids = self._setting.reader.tokenizer.convert_tokens_to_ids(banned)
            processors.append(SuppressTokensLogitsProcessor(ids, device=self._device))
        if decoding.repetition_penalty != 1:
            processors.append(PromptPenalty(decoding.repetition_penalty, padding))
        seeds = [row.seed for row in rows if row.seed is not None]
        if decoding.temperature > 0:
            processors.append(SeededSampling(seeds, padding.shape[1], decoding))
        return processors
