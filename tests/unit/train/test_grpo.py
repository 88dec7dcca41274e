"""GRPO computes with the prompts, pictures and sampling that evaluation has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from families.rows import pictures, visual
from reassess.data.shards import Shards, write_shards
from reassess.models.load import load_model
from reassess.models.reader import Reader
from reassess.prompts import Prompt
from reassess.rewards import Rewards
from reassess.stages.grpo import GrpoStage
from reassess.study.models import Model
from reassess.train import data, grpo
from reassess.train.launch import World
from reassess.train.plan import TrainError

SPEC = Model(path=".", max_pixels=20_000)


def built(directory: Path, examples: list[Any], folder: Path, **defaults: Any) -> grpo.Trainer:
    """Return the trainer of a checkpoint whose generation config has some defaults."""
    write_shards(folder / "examples/shards", examples)
    rows = data.Rows(Shards(folder / "examples"), Reader.of(directory, SPEC, Prompt()))
    model = load_model(directory, SPEC)
    model.generation_config.update(**defaults)
    args = grpo.GRPOConfig(
        str(folder), per_device_train_batch_size=2, num_generations=2, max_completion_length=6, use_cpu=True,
        report_to="none", bf16=False, gradient_checkpointing=False, remove_unused_columns=False,
    )  # fmt: skip

    def trainer(kind: Callable[..., Any], **options: Any) -> Any:
        return kind(model=model, args=args, processing_class=rows.reader.processor, **options)

    started: Any = SimpleNamespace(
        args=args,
        rows=rows,
        model=model,
        trainer=trainer,
        resumed=SimpleNamespace(epochs=0, checkpoint=None),
        stage=GrpoStage(kind="grpo", batch_size=2, rewards=Rewards(accuracy=1.0), args={"num_generations": 2}),
        task=SimpleNamespace(world=World()),
    )
    return grpo.build(started, Rewards(accuracy=1.0).chosen)


@pytest.mark.parametrize("name", ["gemma3", "qwen3-vl"])
def test_probabilities_are_those_of_a_plain_forward_pass(
    family: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    """Gemma's tokenizer adds a token where TRL calls the processor again, and its types shift by one."""
    [example] = visual("v", 1, kinds=("jpeg",))
    trainer = built(family(name), [example], tmp_path)
    made = trainer._generate_and_score_completions([trainer.train_dataset[0]] * 2)
    ids = torch.cat([made["prompt_ids"], made["completion_ids"]], dim=1)
    mask = torch.cat([made["prompt_mask"], made["completion_mask"]], dim=1)
    width = made["completion_ids"].shape[1]
    seen = {key: made[key] for key in ("pixel_values", "image_grid_thw", "num_images") if key in made}
    types = {key: made[key] for key in ("token_type_ids", "mm_token_type_ids") if key in made}
    model = trainer.model.eval()
    with torch.no_grad():
        found = trainer._get_per_token_logps_and_entropies(model, ids, mask, width, **seen, **types)[0]
        reader = Reader.of(family(name), SPEC, Prompt())
        prompt = reader.encode([reader.render(example)] * 2, [reader.pictures(example)] * 2, return_tensors="pt")
        assert prompt["input_ids"].tolist() == made["prompt_ids"].tolist()
        plain = {key: torch.cat([prompt[key], torch.zeros_like(made["completion_ids"])], dim=1) for key in types}
        shown = {key: prompt[key] for key in ("pixel_values", "image_grid_thw") if key in prompt}
        logits = model(input_ids=ids, attention_mask=mask, **shown, **plain).logits[:, -width - 1 : -1]
    expected = logits.log_softmax(-1).gather(-1, made["completion_ids"][..., None])[..., 0]
    learnt = made["completion_mask"].bool()
    assert torch.allclose(found[learnt], expected[learnt], atol=1e-4)


def test_rollouts_have_no_sampling_of_the_checkpoints_own(family: Callable[[str], Path], tmp_path: Path) -> None:
    """Evaluation has none, and TRL's probabilities know nothing of it."""
    trainer = built(family("qwen2.5-vl-tied"), visual("v", 1, kinds=("jpeg",)), tmp_path, min_p=0.5, typical_p=0.3)
    asked = trainer.model._prepare_generation_config(trainer.generation_config)[0]
    assert (asked.min_p, asked.typical_p, asked.top_k) == (None, 1.0, 0)
    assert set(asked.eos_token_id) == set(Reader.of(family("qwen2.5-vl-tied"), SPEC, Prompt()).stops)


def test_several_images_that_trl_would_lose_count_of_are_refused(family: Callable[[str], Path], tmp_path: Path) -> None:
    two = replace(visual("v", 1)[0], images=(pictures()["tiny"], pictures()["jpeg"]))
    with pytest.raises(TrainError, match="has 2 images, which TRL's GRPO cannot take for LlavaOnevisionProcessor"):
        built(family("llava-onevision"), [two], tmp_path)
