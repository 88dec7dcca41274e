"""The parts of real families, as their classes in transformers make them; no weight has a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import get_peft_model

from families import FAMILIES
from reassess.models import parts
from reassess.models.parts import PartError
from reassess.stages.sft import SftStage
from reassess.train import adapter
from reassess.train.plan import TrainError

# What the modules of each architecture are called: vision tower, projector, language model.
NAMES = {
    "qwen2_vl": ("model.visual.blocks", "model.visual.merger", "model.language_model"),
    "qwen2_5_vl": ("model.visual.blocks", "model.visual.merger", "model.language_model"),
    "qwen3_vl": ("model.visual.blocks", "model.visual.deepstack_merger_list", "model.language_model"),
    "qwen3_5": ("model.visual.blocks", "model.visual.merger", "model.language_model"),
    "internvl": ("model.vision_tower", "model.multi_modal_projector", "model.language_model"),
    "idefics3": ("model.vision_model", "model.connector", "model.text_model"),
    "smolvlm": ("model.vision_model", "model.connector", "model.text_model"),
    "llava_onevision": ("model.vision_tower", "model.image_newline", "model.language_model"),
    "gemma3": ("model.vision_tower", "model.multi_modal_projector", "model.language_model"),
}
VISUAL = [name for name, family in FAMILIES.items() if family.modality == "visual"]


@pytest.fixture
def build(family: Callable[[str], Path]) -> Callable[[str], Any]:
    """A function that returns a family's model; its weights have shapes and no values."""

    def build(name: str) -> Any:
        config = transformers.AutoConfig.from_pretrained(family(name))
        sees = FAMILIES[name].modality == "visual"
        with torch.device("meta"):
            return (
                transformers.AutoModelForImageTextToText if sees else transformers.AutoModelForCausalLM
            ).from_config(config)

    return build


@pytest.mark.parametrize("name", VISUAL)
def test_every_weight_belongs_to_a_part(name: str, build: Callable[[str], Any]) -> None:
    model = build(name)
    found = parts.parts(model)
    for part, name in zip(found, NAMES[model.config.model_type], strict=True):
        assert any(other.startswith(name) for other in found[part]), part
    assert sorted(name for names in found.values() for name in names) == sorted(
        name for name, _ in model.named_parameters()
    )
    assert not any("visual" in name or "vision" in name for name in found["language_model"])
    assert not any("merger" in name for name in found["vision_tower"])
    if not any(name.startswith("lm_head") for name, _ in model.named_parameters()):
        assert model.lm_head.weight is model.get_input_embeddings().weight
    parts.freeze(model, ["vision_tower", "projector"])
    assert [name for name, item in model.named_parameters() if item.requires_grad] == found["language_model"]


@pytest.mark.parametrize("name", FAMILIES)
def test_adapters_are_in_the_linear_layers_of_the_language_model(name: str, build: Callable[[str], Any]) -> None:
    found = build(name)
    linear = {name for name, module in found.named_modules() if isinstance(module, torch.nn.Linear)}
    language = {re.sub(r"\.(weight|bias)$", "", name) for name in parts.parts(found)["language_model"]}
    config = adapter.config(SftStage(kind="sft", batch_size=8, lora={}), found)
    assert set(get_peft_model(found, config).base_model.targeted_module_names) == linear & language - {"lm_head"}


def test_all_linear_layers_but_those_of_a_frozen_part(build: Callable[[str], Any]) -> None:
    model = build("qwen3-vl")
    stage = SftStage(kind="sft", batch_size=8, lora={"target_modules": "all-linear"}, freeze=["vision_tower"])
    found = get_peft_model(model, adapter.config(stage, model)).base_model.targeted_module_names
    tops = {re.split(r"\.(?:layers|\d)", name)[0] for name in found}
    assert tops == {
        "model.language_model",
        *("model.visual.merger.linear_fc1", "model.visual.merger.linear_fc2", "model.visual.deepstack_merger_list"),
    }


def test_a_part_that_a_model_does_not_have(build: Callable[[str], Any]) -> None:
    with pytest.raises(PartError, match="Qwen3ForCausalLM has no vision_tower, only language_model"):
        parts.freeze(build("qwen3"), ["vision_tower"])


def test_a_weight_of_no_known_part(build: Callable[[str], Any]) -> None:
    model = build("idefics3")
    model.model.resampler = torch.nn.Linear(2, 2)
    with pytest.raises(PartError, match=r"not known which part of Idefics3ForConditionalGeneration model\.resampler"):
        parts.freeze(model, ["projector"])
    # Nothing is asked of its parts here.
    parts.freeze(model, [])


@pytest.mark.parametrize(
    ("options", "key"),
    [({"modules_to_save": ["lm_head"]}, "modules_to_save"), ({"target_modules": ["embed_tokens"]}, "target_modules")],
)
def test_tied_weights_get_no_adapter(options: dict[str, Any], key: str, build: Callable[[str], Any]) -> None:
    stage = SftStage(kind="sft", batch_size=8, lora=options)
    with pytest.raises(TrainError, match=rf"lora.{key}: .* has its weights together with another layer"):
        adapter.config(stage, build("qwen2.5-vl-tied"))
    adapter.config(stage, build("qwen2-vl"))
