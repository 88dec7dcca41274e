"""Turns an example into what a model sees: the same code for SFT, RL and evaluation."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reassess import prompts
from reassess.data.right import answer
from reassess.example import Example
from reassess.models import load
from reassess.prompts import THINK, Prompt
from reassess.study.models import Model

if TYPE_CHECKING:
    from PIL.Image import Image

# Why an example is put aside, in the records of training and of evaluation.
TOO_LONG = "prompt longer than max_prompt_length"
# Stands for a text in what a chat template is asked.
_PROBE = "probe-5f0c"
_END_THINK = "</think>"
# What a model is asked that was made without examples.
PLAIN = Example("plain", (), "What is 1 + 1?", (), "2", "numeric", (), "", "", 0)


class Unreadable(ValueError):  # noqa: N818 -- it is no mistake of the program; one row is put aside
    """An example that a model cannot be asked; the message is the reason, for the records."""


class Reading(NamedTuple):
    """An example as a model sees it.

    Attributes:
        text: the prompt through the chat template, ready for a response; image tokens are not expanded.
        pictures: its images within the model's pixel limits, in RGB.
        length: tokens of the prompt, image tokens expanded.
        image_tokens: those of them that the images take.
    """

    text: str
    pictures: list[Image]
    length: int
    image_tokens: int


class Reader:
    """Processor, prompt and limits of a model.

    Args:
        processor: the processor of a checkpoint, of a text model its tokenizer.
        stops: the tokens that end a response.
        model: what the study says of the model.
        prompt: the study's prompt.
    """

    # Prompts whose length is so near the limit are measured with the whole processor.
    NEAR = 16

    def __init__(self, processor: Any, stops: Sequence[int], model: Model, prompt: Prompt) -> None:
        self.processor = processor
        self.tokenizer = load.tokenizer_of(processor)
        self.stops = list(stops)
        self.model = model
        self.prompt = prompt
        self._image_tokens: dict[tuple[tuple[int, int], ...], int] = {}

    @classmethod
    def of(cls, directory: str | Path, model: Model, prompt: Prompt) -> Reader:
        """Return the reader of a checkpoint."""
        processor = load.load_processor(directory, model)
        return cls(processor, load.stop_ids(directory, load.tokenizer_of(processor), model), model, prompt)

    @property
    def generation_config(self) -> Any:
        """Generation that ends where a response does, and has none of the defaults of a checkpoint's own.

        Its `top_k`, `repetition_penalty` and others would sample otherwise than vLLM does in evaluation, and than TRL
        computes in training.
        """
        from transformers import GenerationConfig

        pad = self.tokenizer.pad_token_id
        return GenerationConfig(eos_token_id=self.stops, pad_token_id=self.stops[0] if pad is None else pad)

    @property
    def sees(self) -> bool:
        """Whether the model takes images."""
        return getattr(self.processor, "image_processor", None) is not None

    @cached_property
    def takes_strings(self) -> bool:
        """Whether the chat template wants the text of a message as a string, and not as a list of parts.

        Raises:
            ValueError: it takes neither, or there is none.
        """
        chat = [{"role": "user", "content": [{"type": "text", "text": _PROBE}]}]
        problem: Exception | None = None
        for is_string in (False, True) if self.sees else (True, False):
            try:
                text = self._apply(prompts.plain(chat) if is_string else chat)
                # Some write a list as Python does.
                if _PROBE in text and "{'type'" not in text:
                    return is_string
            # Templates are programs of others: a list in place of a string is an error of many kinds.
            except Exception as error:
                problem = problem or error
        raise ValueError(f"the chat template does not write what a user says ({problem or 'the text is left out'})")

    @cached_property
    def opening(self) -> str:
        """What the prompt already holds of a response: `<think>` and what follows where the template writes it."""
        found = re.search(rf"{THINK}\s*$", self.render(PLAIN))
        return found[0] if found else ""

    @cached_property
    def _closed(self) -> str:
        """The empty thought with which a template begins a response that shall have none."""
        found = re.search(rf"{THINK}\s*{_END_THINK}\s*$", self.render(PLAIN))
        return found[0] if found else ""

    @cached_property
    def keeps_places(self) -> bool:
        """Whether the chat template leaves an image where it stands in a text; some put all before it."""
        parts = [{"type": "text", "text": "a" + _PROBE}, {"type": "image"}, {"type": "text", "text": "b" + _PROBE}]
        text = self._apply([{"role": "user", "content": parts}])
        return bool(text.partition("a" + _PROBE)[2].partition("b" + _PROBE)[0].strip())

    @cached_property
    def reads_clock(self) -> bool:
        """Whether the chat template writes today's date, so that the prompts of another day would be others."""
        asked: list[str] = []

        def strftime_now(form: str) -> str:
            asked.append(form)
            return form

        self._apply(self.messages(PLAIN), strftime_now=strftime_now)
        return bool(asked)

    @cached_property
    def ending(self) -> str:
        """What the template writes after a response, up to the token that ends it.

        Raises:
            ValueError: it writes no such token.
        """
        said = _PROBE if self.takes_strings else [{"type": "text", "text": _PROBE}]
        chat = [*self.messages(PLAIN), {"role": "assistant", "content": said}]
        text = self._apply(chat, add_generation_prompt=False)
        after = text.rpartition(_PROBE)[2]
        stops = [token for token in self.tokenizer.convert_ids_to_tokens(self.stops) if token in after]
        if not stops:
            raise ValueError(
                f"the chat template ends a response with {after!r}, where no token stands at which generation stops "
                f"({', '.join(self.tokenizer.convert_ids_to_tokens(self.stops))}); the model would never learn to stop"
            )
        first = min(stops, key=after.index)
        return after[: after.index(first) + len(first)]

    def messages(self, example: Example) -> list[prompts.Message]:
        """Return the chat messages of an example's prompt, as the chat template wants them.

        Raises:
            ValueError: its text has other places for images than it has images.
        """
        found = prompts.messages(example.question, example.options, len(example.images), self.prompt)
        return prompts.plain(found) if not example.images and self.takes_strings else found

    def render(self, example: Example) -> str:
        """Return the prompt's text through the chat template, ready for a response; image tokens are not expanded."""
        return self._apply(self.messages(example))

    def held(self, think: bool) -> str:
        """Return what a prompt already holds of the response, where thinking is forced or not."""
        return self.opening or (THINK if think else "")

    def forced(self, text: str) -> str:
        """Return a rendered prompt after which the model goes on thinking."""
        return text if self.opening else text.removesuffix(self._closed) + THINK

    def response(self, example: Example, rationale: int | None = 0) -> str:
        """Return the response that SFT imitates: one of the rationales and what it ends in, or the gold alone."""
        if rationale is None:
            # Where the prompt has begun a thought, it has to end.
            return prompts.target("" if self.opening else None, answer(example.gold), self.prompt)
        gold = example.answers[rationale] if example.answers else answer(example.gold)
        return prompts.target(example.rationales[rationale], gold, self.prompt)

    def response_ids(self, example: Example) -> list[int]:
        """Return the tokens of the first of them, on which SFT's loss is: made apart from the prompt's, as TRL does."""
        ids: list[int] = list(self.encode([self.completion(self.response(example))], [])["input_ids"][0])
        return ids

    def completion(self, target: str) -> str:
        """Return what a model has to add to a prompt so that the response is `target`, and that it ends there."""
        return (target.removeprefix(THINK) if self.opening else target) + self.ending

    def read(self, example: Example) -> Reading:
        """Return an example as the model sees it.

        Raises:
            Unreadable: it cannot be asked: an image is broken or too thin for the processor, the prompt is too long for
                `max_prompt_length`, a text has a special token of the model, or the chat template refuses it.
        """
        # Where an image stands, it is the prompt that puts the model's own token there.
        texts = [example.question, *example.options]
        if problem := self.special(*(piece for text in texts for piece in text.split(prompts.IMAGE))):
            raise Unreadable(problem)
        try:
            pictures = self.pictures(example)
        except OSError:
            raise Unreadable("image cannot be decoded") from None
        if any(prompts.IMAGE in item for item in texts) and example.images and not self.keeps_places:
            raise Unreadable("the chat template does not leave images where they stand in the text")
        try:
            text = self.render(example)
        # Templates raise what they like.
        except Exception as error:
            raise Unreadable(f"the chat template refuses it: {one_line(error)}") from None
        try:
            length, image_tokens = self.lengths(text, pictures)
        # So do processors: of a picture that is too thin or of one pixel, for which they have many words.
        except Exception as error:
            raise Unreadable(f"the processor refuses it: {one_line(error)}") from None
        if length > self.model.max_prompt_length:
            raise Unreadable(TOO_LONG)
        return Reading(text, pictures, length, image_tokens)

    def special(self, *texts: str) -> str | None:
        """Return which special token of the model stands in a text as if it were part of it, None for none."""
        found = next(filter(None, map(self._special_token.search, texts)), None)
        return None if found is None else f"the text has the model's special token {found[0]}"

    @cached_property
    def _special_token(self) -> re.Pattern[str]:
        """Matches the tokens that do not stand for text: ends of turns, places of images, ..."""
        added = [str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        places = [getattr(self.processor, name, None) for name in ("image_token", "video_token", "boi_token")]
        tokens = {*added, *self.tokenizer.all_special_tokens, *(token for token in places if isinstance(token, str))}
        return re.compile("|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True)) or r"(?!)")

    def pictures(self, example: Example) -> list[Image]:
        """Return the example's images within the model's pixel limits; aspect ratios are kept.

        Raises OSError where one cannot be decoded.
        """
        return [within(image, self.model) for image in example.pil()]

    def encode(self, texts: Sequence[str], pictures: Sequence[Sequence[Image]], **options: Any) -> Any:
        """Return what the processor makes of rendered prompts and their images; of each, or of none of them.

        Args:
            texts: rendered prompts. The template has written what special tokens there are.
            pictures: the images of each.
            options: further options of the processor, such as `padding` and `return_tensors`.
        """
        # An argument that tokenizers do not know.
        images = {"images": [list(row) for row in pictures]} if any(pictures) else {}
        return self.processor(text=list(texts), add_special_tokens=False, **images, **options)

    def lengths(self, text: str, pictures: Sequence[Image]) -> tuple[int, int]:
        """Return the tokens of a rendered prompt with its images, exact within 16 of `max_prompt_length`, and of these.

        The whole processor costs many times the tokenizer, and how many tokens an image takes depends on its size
        alone: it is asked once for each combination of sizes, and again where a length is near the model's limit.
        """
        length = len(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        if not pictures:
            return length, 0
        sizes = tuple(picture.size for picture in pictures)
        if sizes not in self._image_tokens:
            self._image_tokens[sizes] = self.exact(text, pictures) - length
        length += self._image_tokens[sizes]
        # In the text each has a token that stands for it.
        images = self._image_tokens[sizes] + len(pictures)
        is_near = abs(length - self.model.max_prompt_length) <= self.NEAR
        return self.exact(text, pictures) if is_near else length, images

    def exact(self, text: str, pictures: Sequence[Image]) -> int:
        """Return the tokens of a rendered prompt with its images, by the whole processor."""
        return len(self.encode([text], [pictures])["input_ids"][0])

    def _apply(self, chat: list[prompts.Message], add_generation_prompt: bool = True, **variables: Any) -> str:
        text: str = self.processor.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=add_generation_prompt, **variables
        )
        return text


class Counted:
    """Counts the tokens that images take, for the records.

    Attributes:
        images: how many images were read.
        tokens: image tokens of all of them.
        most: image tokens of the example that has most.
    """

    def __init__(self) -> None:
        self.images = self.tokens = self.most = 0

    def add(self, read: Reading) -> None:
        """Count an example."""
        self.images += len(read.pictures)
        self.tokens += read.image_tokens
        self.most = max(self.most, read.image_tokens)

    def join(self, other: Counted) -> None:
        """Count what another has counted too."""
        self.images += other.images
        self.tokens += other.tokens
        self.most = max(self.most, other.most)

    def record(self) -> dict[str, float]:
        """Return `images`, the mean of `tokens` of each, and the `most` of an example, where these are known."""
        if self.images and not self.tokens:
            return {"images": self.images}
        mean = round(self.tokens / self.images, 1) if self.images else 0
        return {"images": self.images, "tokens": mean, "most": self.most}


def within(image: Image, model: Model) -> Image:
    """Return an image within a model's pixel limits; its aspect ratio is kept."""
    area = image.width * image.height
    low, high = model.min_pixels or 0, model.max_pixels or area
    wanted = min(max(area, low), max(high, low))
    if wanted == area:
        return image
    factor = math.sqrt(wanted / area)
    return image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))


def one_line(error: Exception | str) -> str:
    """Return the first line of what an error says, without numbers, so that the same reasons can be counted."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"\d+(\.\d+)?", "N", first)[:200]
