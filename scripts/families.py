"""Loads a small checkpoint of every family of models, as a study would, and prints a line for each that fails.

Run by `scripts/install.sh` in an environment that was just built. A checkpoint holds what decides which packages are
needed: the family's configuration, a tokenizer and the processor's own defaults. Weights are on the meta device.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="critical")
warnings.simplefilter("ignore")

# By the `model_type` of their configurations.
FAMILIES = {
    "qwen2_vl": "Qwen2-VL",
    "qwen2_5_vl": "Qwen2.5-VL",
    "qwen3_vl": "Qwen3-VL",
    "qwen3_5": "Qwen3.5",
    "internvl": "InternVL3",
    "idefics3": "Idefics3",
    "smolvlm": "SmolVLM",
    "llava_onevision": "LLaVA-OneVision",
    "gemma3": "Gemma3",
}
# The tokens that the processors of these families take from their tokenizers.
TOKENS = (
    *("image_token", "video_token", "fake_image_token", "global_image_token", "end_of_utterance_token"),
    *("start_image_token", "end_image_token", "context_image_token", "boi_token", "eoi_token"),
)


def write_checkpoint(directory: Path, model_type: str) -> None:
    """Writes a family's default configuration and preprocessor, and a tokenizer that has its tokens."""
    from tokenizers import Tokenizer, models
    from transformers import AutoConfig, PreTrainedTokenizerFast

    names = {name: f"<{name}>" for name in TOKENS}
    vocabulary = {token: index for index, token in enumerate(["<pad>", *names.values()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", extra_special_tokens=names)
    fast.save_pretrained(directory)
    AutoConfig.for_model(model_type, pad_token_id=0).save_pretrained(directory)
    (directory / "preprocessor_config.json").write_text("{}")


def load(directory: Path) -> None:
    """Loads processor and model, and has the processor prepare a picture."""
    import torch
    from PIL import Image
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(directory)
    processor.image_processor([[Image.new("RGB", (64, 64))]], return_tensors="pt")
    with torch.device("meta"):
        AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(directory))


def failure(model_type: str) -> str:
    """The reason why a family cannot be loaded, in one line; empty where it can."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            write_checkpoint(Path(folder), model_type)
            load(Path(folder))
        except Exception as error:
            first: BaseException = error
            while first.__cause__ is not None:
                first = first.__cause__
            lines = str(first).replace(folder, "it").splitlines()
            return next((line for line in lines if line.strip()), type(first).__name__)
    return ""


def main() -> None:
    failures = {name: failure(model_type) for model_type, name in FAMILIES.items()}
    for name, reason in failures.items():
        if reason:
            print(f"setup: {name} cannot be loaded in this environment: {reason}")
    loaded = [name for name, reason in failures.items() if not reason]
    print(f"setup: {', '.join(loaded) or 'no family of models'} can be loaded")


if __name__ == "__main__":
    main()
