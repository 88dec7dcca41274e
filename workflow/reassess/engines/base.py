"""What generation engines take and give.

Two engines stand behind one protocol, and in float32 they give the same greedy answers: both take the rendered text
without adding special tokens, both stop at the same tokens and strings, both are kept from writing image placeholders,
both penalise repetition and leave improbable tokens out in the same order, and one function turns the tokens of both
into text. Both say the same of given responses: what transformers' own loss is in float32.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from reassess.decoding import Decoding
from reassess.example import Example
from reassess.models.load import tokenizer_of
from reassess.models.reader import Reader

if TYPE_CHECKING:
    from PIL.Image import Image

FinishReason = Literal["stop", "length", "error"]


class EngineError(ValueError):
    """An engine that cannot be used: the message says why and what to set."""


class Response(NamedTuple):
    """What a model said to one request.

    Attributes:
        response: the generated text without a forced prefix; empty where generation failed.
        finish_reason: `stop` ended by itself or at a stop string, `length` was cut at `max_tokens`, `error` failed.
        n_tokens: generated tokens, the end token included; with a stop string up to the one that completed it.
        prompt_tokens: prompt tokens, expanded image tokens and a forced prefix included.
        error: the engine's message where generation failed.
        served: the model that an endpoint says has answered, with its `system_fingerprint` where it gives one.
    """

    response: str
    finish_reason: FinishReason
    n_tokens: int
    prompt_tokens: int
    error: str | None = None
    served: str | None = None


class Question(NamedTuple):
    """What a model is asked.

    Attributes:
        prompt: the rendered prompt with a forced prefix, image tokens not expanded.
        pictures: its images within the model's pixel limits.
    """

    prompt: str
    pictures: list[Image]


class Origin(NamedTuple):
    """Where a question comes from, of which there may be a million: its text and pictures are made when it is asked.

    Attributes:
        examples: the examples of its benchmark.
        place: its index among them.
        think: whether it ends with a forced prefix.
        length: its tokens without the prefix, for batches of like length; 0 where nobody can tell.
        is_visual: whether it has images.
    """

    examples: Sequence[Example]
    place: int
    think: bool
    length: int
    is_visual: bool

    def draw(self, reader: Reader) -> Question:
        """Return the question."""
        example = self.examples[self.place]
        text = reader.render(example)
        return Question(reader.forced(text) if self.think else text, reader.pictures(example))


class Request(NamedTuple):
    """One response to generate.

    Attributes:
        key: the key of the response in the store.
        origin: where what to ask comes from.
        seed: seed of this response alone, None when greedy.
    """

    key: str
    origin: Origin
    seed: int | None


class Given(NamedTuple):
    """A response that an example has itself, of which an engine says how likely the model finds it.

    Attributes:
        key: its name among those that are asked about.
        origin: where the prompt comes from, and the response: see `Reader.response`.
        tokens: those of the response, the one that ends it included.
    """

    key: str
    origin: Origin
    tokens: int

    def ids(self, reader: Reader) -> list[int]:
        """Return the tokens of the response."""
        return reader.response_ids(self.origin.examples[self.origin.place])


class Likelihood(NamedTuple):
    """How likely a model finds a given response.

    Attributes:
        nll: negative log-likelihood of its tokens, summed, in nats; NaN where the engine failed.
        tokens: how many these are.
        error: the engine's message where it failed.
    """

    nll: float
    tokens: int
    error: str | None = None


class Answers(Protocol):
    """Whoever can be asked: an engine, or an endpoint."""

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[dict[str, Response]]:
        """Yield responses by key, in batches, as they are finished; a request that fails has its own response.

        A batch may be empty, so that whoever asks has a chance to stop.
        """


class Engine(Answers, Protocol):
    """A started engine with a loaded checkpoint."""

    def load(self, directory: str) -> None:
        """Change to another checkpoint of the same model."""

    def nll(self, given: Sequence[Given]) -> Iterator[dict[str, Likelihood]]:
        """Yield how likely given responses are by key, in batches, as they are finished; one that fails says so."""


class Setting(NamedTuple):
    """What an engine is started with.

    Attributes:
        reader: processor, prompt and limits of the model.
        max_model_len: tokens of prompt and response together.
        seed: the study's.
        gpus: GPUs that share the model, 0 for the CPU.
        batch_size: prompts at a time, where an engine does not see to that itself.
        engine_args: the study's own arguments of the engine.
        where: the key of the study that has `engine` and `engine_args`.
    """

    reader: Reader
    max_model_len: int
    seed: int
    gpus: int
    batch_size: int
    engine_args: dict[str, Any]
    where: str = "evaluation"


class EngineInfo(NamedTuple):
    """The engine as the records name it; of an endpoint neither version nor precision is known."""

    name: str
    version: str
    dtype: str
    device: str
    attention: str | None = None
    args: dict[str, Any] | None = None


def banned_tokens(processor: Any) -> list[str]:
    """Return the image and video placeholders: in a response they would stand for features that do not exist."""
    tokens = [getattr(processor, name, None) for name in ("image_token", "video_token")]
    known = tokenizer_of(processor).get_vocab()
    return [str(token) for token in tokens if token is not None and str(token) in known]


def text(ids: Sequence[int], stops: Sequence[int], tokenizer: Any, stop: Sequence[str] = ()) -> str:
    """Return generated tokens as text without the end token and special tokens; tags that are plain tokens stay.

    The first of the strings in `stop` is the end of the text: what its last token has beyond it is left out.
    """
    kept = ids[:-1] if ids and ids[-1] in stops else ids
    decoded: str = tokenizer.decode(list(kept), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return decoded[: min((decoded.index(end) + len(end) for end in stop if end in decoded), default=len(decoded))]


def sample_seed(seed: int, parts: dict[str, Any], sample: int) -> int:
    """Return the seed of one sample: 63 bits of a hash, so that no two samples or repeats share one.

    Seeds that count up (`seed + i`, as vLLM does for n > 1) overlap: with four samples, repeats with seeds 7 and 8
    have three of four responses in common.
    """
    text = json.dumps([seed, parts, sample], sort_keys=True, ensure_ascii=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def failed(message: str) -> Response:
    """Return the response of a request that failed."""
    return Response("", "error", 0, 0, message)


def unlikely(message: str) -> Likelihood:
    """Return what is said of a given response where the engine failed."""
    return Likelihood(math.nan, 0, message)
