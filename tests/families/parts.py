"""What the builders of all families share: sizes, weights that say something, and the hub's layouts."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from transformers import GenerationConfig

HIDDEN = 64
LAYERS = 2
HEADS = 2
# The smallest that the attention of vLLM's CPU build has.
HEAD = 32
# Of a vision encoder with two layers whose width is HIDDEN.
VISION = {"hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": HEADS, "intermediate_size": 128}
SIGLIP = {**VISION, "model_type": "siglip_vision_model", "image_size": 56, "patch_size": 14, "vision_use_head": False}
# Standard deviations: of a matrix, times 1 / sqrt(inputs), and more of what writes into the residual stream; of
# embeddings, which are less where they are the output's too, for a model would repeat its last token. With twice as
# much, float32 is less than four digits away from float64.
GAIN, STRONG_GAIN = 1.5, 3.0
EMBEDDING, TIED_EMBEDDING = 1.0, 0.3
STRONG = ("o_proj.weight", "down_proj.weight", "out_proj.weight")
SHARPER = 3.0
# Of the output embeddings of tokens that end an answer, over those of others.
ENDING, TIED_ENDING = 2.0, 1.5


class Made(NamedTuple):
    """A model and its processor (of a text family, its tokenizer), as transformers has them."""

    model: Any
    processor: Any


def template(name: str) -> str:
    """Return a chat template that TRL ships, which it compares with the hub's own byte by byte."""
    found = importlib.util.find_spec("trl")
    assert found is not None
    assert found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0]) / "chat_templates"
    return (folder / f"{name}.jinja").read_text(encoding="utf-8")


def text_config(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """Return the options that the configs of all language models share, with `more` on top."""
    return {
        "vocab_size": 64 * math.ceil(len(tokenizer) / 64),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": 32768,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,
        **more,
    }


def ids(tokenizer: Any, **names: str) -> dict[str, int]:
    """Return the ids of tokens by the names of the options that want them."""
    found = {option: tokenizer.convert_tokens_to_ids(token) for option, token in names.items()}
    assert None not in found.values(), found
    return found


def finish(model: Any, tokenizer: Any, stops: Sequence[str] = ()) -> Any:
    """Give a model weights, and sampling defaults like those that the hub's checkpoints have."""
    ends = [tokenizer.eos_token_id, *(tokenizer.convert_tokens_to_ids(token) for token in stops)]
    draw(model, ends)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=ends if len(ends) > 1 else ends[0],
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=0.7,
        top_p=0.8,
        top_k=20,
        repetition_penalty=1.05,
    )
    return model


@torch.no_grad()
def draw(model: Any, ends: Sequence[int], seed: int = 0) -> None:
    """Draw weights with which greedy answers vary.

    With the initializers of transformers, which are meant for wide models, a tiny model repeats one token whatever it
    is asked, and two engines that see different pictures still agree. Here layers write more than the embeddings have,
    so that what comes next depends on all that came before; and answers end at different lengths, for a reward that is
    the same for all of a group teaches nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    embeddings = model.get_input_embeddings().weight
    head = model.get_output_embeddings().weight
    is_gemma = model.config.model_type == "gemma3"
    for name, weight in model.named_parameters():
        if weight is embeddings:
            std = TIED_EMBEDDING if weight is head else EMBEDDING
        elif weight.dim() >= 2:
            std = (STRONG_GAIN if name.endswith(STRONG) else GAIN) / math.sqrt(weight[0].numel())
        elif name.endswith("q_norm.weight"):
            # Queries of length 1 attend to all tokens alike, and the last token alone would decide on the next.
            weight.add_(SHARPER)
            continue
        elif is_gemma and name.endswith(("post_attention_layernorm.weight", "post_feedforward_layernorm.weight")):
            # Gemma multiplies embeddings by sqrt(HIDDEN), and what a layer writes by 1 + weight alone.
            weight.add_(math.sqrt(HIDDEN))
            continue
        else:
            continue
        weight.normal_(0.0, std, generator=generator)
    head[ends] *= TIED_ENDING if head is embeddings else ENDING


def rename(folder: Path, changes: Sequence[tuple[str, str]]) -> None:
    """Give the weights of a saved checkpoint other names, each by the first pattern that it matches."""
    file = folder / "model.safetensors"
    renamed = {}
    for name, weight in load_file(file).items():
        new = next((re.sub(old, put, name) for old, put in changes if re.match(old, name)), name)
        renamed[new] = weight
    save_file(renamed, file, metadata={"format": "pt"})


def legacy(folder: Path) -> None:
    """Turn a Qwen-VL checkpoint into the layout in which the hub has it.

    One flat config.json with `torch_dtype`, the image processor in preprocessor_config.json and the template in
    chat_template.json.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = config.pop("text_config")
    rope = text.pop("rope_parameters")
    text["bos_token_id"] = text["pad_token_id"]
    text["rope_theta"] = rope["rope_theta"]
    text["rope_scaling"] = {"type": "mrope", "mrope_section": rope["mrope_section"]}
    for key in ("model_type", "dtype", "layer_types"):
        text.pop(key, None)
    config |= {key: value for key, value in text.items() if value is not None}
    config["torch_dtype"] = config.pop("dtype")
    config["vision_config"].pop("dtype", None)
    _write(folder / "config.json", config)
    processor = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
    image = processor["image_processor"]
    image["processor_class"] = processor["processor_class"]
    _write(folder / "preprocessor_config.json", image)
    template_ = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    _write(folder / "chat_template.json", {"chat_template": template_})
    (folder / "processor_config.json").unlink()
    (folder / "chat_template.jinja").unlink()


def _write(file: Path, data: dict[str, Any]) -> None:
    file.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
