"""Loading a checkpoint and turning an example into what a model sees: the same code for SFT, RL and evaluation."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reassess import prompts
from reassess.example import Example
from reassess.prompts import Prompt
from reassess.study.models import Model

if TYPE_CHECKING:
    from PIL.Image import Image

# Files that decide what a checkpoint says. Everything else (README, optimizer state, logs) does not count.
_FINGERPRINTED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*.py",
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template*",
    "*.model",
    "merges.txt",
    "vocab.*",
)
# Why an example is put aside, in the records of training and of evaluation.
TOO_LONG = "prompt longer than max_prompt_length"


def load_processor(directory: str | Path, model: Model) -> Any:
    """Return the checkpoint's processor, padding on the left as batched generation needs."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(directory, trust_remote_code=model.trust_remote_code)
    processor.tokenizer.padding_side = "left"
    return processor


def load_model(directory: str | Path, model: Model) -> Any:
    """Return the checkpoint's model in the study's precision, on the CPU, from safetensors alone."""
    import torch
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(
        directory,
        dtype=getattr(torch, model.dtype),
        trust_remote_code=model.trust_remote_code,
        use_safetensors=True,
    )


def fingerprint(directory: str | Path) -> str:
    """Return the SHA-256 over names and bytes of the files that decide what a checkpoint says.

    Raises:
        FileNotFoundError: the directory holds no safetensors.
    """
    root = Path(directory)
    files = sorted({file for pattern in _FINGERPRINTED for file in root.glob(pattern)})
    if not any(file.suffix == ".safetensors" for file in files):
        raise FileNotFoundError(f"{root}: no *.safetensors; a checkpoint of another format is not loaded")
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as handle:
            total.update(f"{file.name}:{hashlib.file_digest(handle, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def picture(example: Example, model: Model) -> Image | None:
    """Return the example's image within the model's pixel limits, None without an image.

    Aspect ratio is kept. Raises OSError where the image cannot be decoded.
    """
    image = example.pil()
    if image is None:
        return None
    area = image.width * image.height
    low, high = model.min_pixels or 0, model.max_pixels or area
    wanted = min(max(area, low), max(high, low))
    if wanted == area:
        return image
    factor = math.sqrt(wanted / area)
    return image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))


def render(example: Example, prompt: Prompt, processor: Any) -> str:
    """Return the prompt's text through the checkpoint's chat template, ready for a response.

    Image tokens are not expanded yet.
    """
    messages = prompts.messages(example.question, example.options, example.image is not None, prompt)
    text: str = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text


class Lengths:
    """Prompt lengths in tokens, image tokens expanded.

    The whole processor costs many times the tokenizer, and how many tokens an image takes depends on its size alone: it
    is asked once per image size, and again where a length is near the model's limit.
    """

    NEAR = 16

    def __init__(self, processor: Any, model: Model) -> None:
        self._processor = processor
        self._limit = model.max_prompt_length
        self._image_tokens: dict[tuple[int, int], int] = {}

    def of(self, text: str, image: Image | None) -> int:
        """Return the length of a rendered prompt with its image, exact within 16 tokens of `max_prompt_length`."""
        # The template has written what special tokens there are, as TRL and the engines take it.
        length = len(self._processor.tokenizer(text, add_special_tokens=False)["input_ids"])
        if image is None:
            return length
        if image.size not in self._image_tokens:
            self._image_tokens[image.size] = self._exact(text, image) - length
        length += self._image_tokens[image.size]
        return self._exact(text, image) if abs(length - self._limit) <= self.NEAR else length

    def _exact(self, text: str, image: Image) -> int:
        return len(self._processor(text=[text], images=[[image]], add_special_tokens=False)["input_ids"][0])
