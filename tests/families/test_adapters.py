"""Adapters and frozen parts in every family: what changes, and that plain PEFT and transformers load what is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from reassess import paths
from reassess.models import parts

from . import FAMILIES
from .cells import OK, SIZE, Family, study

# Tied, with the projector inside of the vision encoder.
ALWAYS_RUN = ("qwen2.5-vl-tied",)


def stages(name: str) -> dict[str, dict[str, Any]]:
    args = {"max_steps": 2, "learning_rate": 1.0e-3}
    sft = {"kind": "sft", "batch_size": 4, "args": args}
    grpo = {"kind": "grpo", "batch_size": 8, "rewards": {"accuracy": 1.0, "overlong": {"weight": 1.0, "buffer": 15}}}
    grpo["args"] = {**args, "num_generations": 4, "max_completion_length": 16, "beta": 0.04}
    found = {"lora": {**sft, "lora": {"r": 4}}, "lora-grpo": {**grpo, "lora": {"lora_alpha": 16}}}
    if FAMILIES[name].modality == "visual":
        found["frozen"] = {**sft, "freeze": ["vision_tower", "projector"]}
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ALWAYS_RUN else pytest.mark.slow) for name in FAMILIES]
)
def test_what_adapters_and_frozen_parts_change(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    family, is_text = Family(name, tmp_path / "log"), FAMILIES[name].modality == "text"
    chosen = stages(name)
    raw = study([name], "transformers") | {"stages": chosen, "recipes": {"base": [], **{key: [key] for key in chosen}}}
    Path("transformers.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    assert family.load() == OK
    kind = AutoModelForCausalLM if is_text else AutoModelForImageTextToText
    base = kind.from_pretrained(paths.model(name, "model"), dtype=torch.float32)
    known = parts.parts(base)
    linear = {f"{key}.weight" for key, module in base.named_modules() if isinstance(module, torch.nn.Linear)}
    for stage in chosen:
        cell = paths.cell(name, "pool", 1, f"{stage}@{SIZE}")
        assert family.command("train", cell) == OK
        assert family.export(cell) == OK
        made = kind.from_pretrained(paths.run(cell, "model"), dtype="auto").state_dict()
        weights = {key: tensor.to(made[key].dtype) for key, tensor in base.state_dict().items()}
        changed = {key for key in made if not torch.equal(made[key], weights[key])}
        if stage == "frozen":
            assert changed
            assert changed <= {*known["language_model"], "lm_head.weight"}
            continue
        adapted = linear & set(known["language_model"]) - {"lm_head.weight"}
        # Where all completions are worth the same, nothing is learnt from them.
        assert changed == adapted or (stage == "lora-grpo" and not changed)
        parent = kind.from_pretrained(paths.model(name, "model"), dtype=torch.float32)
        merged = PeftModel.from_pretrained(parent, paths.run(cell, "adapter")).merge_and_unload().state_dict()
        assert all(torch.equal(merged[key].to(tensor.dtype), tensor) for key, tensor in made.items())
