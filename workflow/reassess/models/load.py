"""Loading a checkpoint and turning an example into what a model sees: the same code for SFT, RL and evaluation."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reassess import prompts
from reassess.data.example import Example
from reassess.study import Model, Prompt

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


def render(example: Example, prompt: Prompt, processor: Any, prefill: str = "") -> str:
    """Return the prompt's text through the checkpoint's chat template, ready for a response.

    Image tokens are not expanded yet. `prefill` is the start of the response that the model is forced to continue.
    """
    messages = prompts.messages(example.question, example.options, example.image is not None, prompt)
    text: str = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text + prefill


def prompt_length(example: Example, prompt: Prompt, processor: Any, model: Model) -> int:
    """Return the number of prompt tokens, expanded image tokens included."""
    image = picture(example, model)
    text = render(example, prompt, processor)
    # The template has written what special tokens there are, as TRL and the engines take it.
    images = None if image is None else [[image]]
    return len(processor(text=[text], images=images, add_special_tokens=False)["input_ids"][0])
