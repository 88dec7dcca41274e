"""Adapters merged into checkpoints of the hub's layout."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from peft import get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from reassess.models.load import load_model
from reassess.stages.sft import SftStage
from reassess.study.models import Model
from reassess.train import adapter
from reassess.train.export import check

SPEC = Model(path=".", dtype="bfloat16")


def legacy(name: str) -> str:
    """Return what the hub's files call a weight of Qwen2.5-VL."""
    return name.removeprefix("model.") if "visual" in name else name.replace("model.language_model.", "model.")


def checkpoint(directory: Path) -> None:
    """Write a tied Qwen2.5-VL of random weights in bfloat16 with the names that the hub's files have."""
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={
                **{"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
                **{"num_key_value_heads": 2, "vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
                "rope_parameters": {"rope_type": "default", "mrope_section": [4, 2, 2], "rope_theta": 1e6},
                "tie_word_embeddings": True,
            },
            vision_config={
                **{"depth": 1, "hidden_size": 32, "out_hidden_size": 32, "num_heads": 2, "intermediate_size": 32},
                "fullatt_block_indexes": [0],
            },
            tie_word_embeddings=True,
        )
    ).to(torch.bfloat16)
    model.save_pretrained(directory)
    weights = load_file(directory / "model.safetensors")
    named = {legacy(name): tensor for name, tensor in weights.items()}
    save_file(named, directory / "model.safetensors", {"format": "pt"})


def test_a_tied_model_of_the_hubs_layout_keeps_its_names_and_is_rounded_once(tmp_path: Path) -> None:
    parent, made = tmp_path / "parent", tmp_path / "made"
    checkpoint(parent)
    model = load_model(parent, SPEC.model_copy(update={"dtype": "float32"}))
    model = get_peft_model(model, adapter.config(SftStage(kind="sft", batch_size=8, lora={}), model))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    before = torch.get_rng_state()
    weights = adapter.export_merged(model, model.state_dict(), parent, SPEC, made, tmp_path / "adapter")
    assert torch.equal(torch.get_rng_state(), before)
    check(made, weights, SPEC)
    base, found = load_file(parent / "model.safetensors"), load_file(made / "model.safetensors")
    assert found.keys() == base.keys()
    assert {name for name in found if not torch.equal(found[name], base[name])} == {
        name for name in found if name.startswith("model.layers.") and "proj.weight" in name
    }
    scaling, name = 1.0, "layers.1.mlp.up_proj"
    saved = load_file(tmp_path / "adapter" / adapter.WEIGHTS)
    [a, b] = (saved[f"base_model.model.model.language_model.{name}.lora_{of}.weight"] for of in "AB")
    expected = (base[f"model.{name}.weight"].float() + scaling * (b @ a)).to(torch.bfloat16)
    assert torch.equal(found[f"model.{name}.weight"], expected)
    assert json.loads((made / "config.json").read_text()) == json.loads((parent / "config.json").read_text())
    assert {file.name for file in (tmp_path / "adapter").iterdir()} == {adapter.WEIGHTS, "adapter_config.json"}
    # As a sharded run on GPUs saves it.
    save_file({key: tensor.bfloat16() for key, tensor in saved.items()}, tmp_path / "adapter" / adapter.WEIGHTS)
    read = adapter.read(parent, tmp_path / "adapter", SPEC)
    assert {weight.dtype for weight in read.parameters()} == {torch.float32}
