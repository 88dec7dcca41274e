"""Loading a checkpoint: the same code for SFT, RL, merging and evaluation."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from reassess.study.models import Model

# Files that decide what a checkpoint says. Everything else (README, optimizer state, logs) does not count.
_FINGERPRINTED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*.py",
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "*.model",
    "merges.txt",
    "vocab.*",
)


def load_processor(directory: str | Path, model: Model) -> Any:
    """Return the checkpoint's processor, of a text model its tokenizer, padding on the left for batched generation."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(directory, trust_remote_code=model.trust_remote_code)
    tokenizer_of(processor).padding_side = "left"
    return processor


def tokenizer_of(processor: Any) -> Any:
    """Return the tokenizer of a processor, which of a text model it is itself."""
    return getattr(processor, "tokenizer", processor)


def auto_class(directory: str | Path, model: Model) -> Any:
    """Return the class of transformers that loads a checkpoint: for images and text, or for text alone."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(directory, trust_remote_code=model.trust_remote_code)
    own_code = getattr(config, "auto_map", None) or {}
    sees = type(config) in AutoModelForImageTextToText._model_mapping or "AutoModelForImageTextToText" in own_code
    return AutoModelForImageTextToText if sees else AutoModelForCausalLM


def load_model(directory: str | Path, model: Model, **options: Any) -> Any:
    """Return the checkpoint's model in the study's precision, on the CPU, from safetensors alone.

    Args:
        directory: the checkpoint.
        model: what the study says of it.
        options: further options of `from_pretrained`; with `output_loading_info` what was missing comes back as well.
    """
    import torch

    how = {"dtype": getattr(torch, model.dtype), **options}
    if model.attn_implementation is not None:
        how["attn_implementation"] = model.attn_implementation
    return auto_class(directory, model).from_pretrained(
        directory, trust_remote_code=model.trust_remote_code, use_safetensors=True, **how
    )


def inputs_for(model: Any, batch: Any) -> dict[str, Any]:
    """Return what a processor has made in the precision of a model."""
    return {name: value.to(model.dtype) if value.is_floating_point() else value for name, value in batch.items()}


def positions(directory: str | Path, model: Model) -> int | None:
    """Return how many tokens a checkpoint's model takes, None where its config does not say."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(directory, trust_remote_code=model.trust_remote_code)
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def stop_ids(directory: str | Path, tokenizer: Any, model: Model) -> list[int]:
    """Return the tokens that end a response: the tokenizer's end token and those of the generation config."""
    from transformers import AutoConfig, GenerationConfig

    if (Path(directory) / "generation_config.json").exists():
        found = GenerationConfig.from_pretrained(directory).eos_token_id
    else:
        config = AutoConfig.from_pretrained(directory, trust_remote_code=model.trust_remote_code)
        found = GenerationConfig.from_model_config(config).eos_token_id
    ids = {tokenizer.eos_token_id, *(found if isinstance(found, list) else [found])}
    return sorted(id_ for id_ in ids if id_ is not None)


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
