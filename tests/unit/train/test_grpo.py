"""GRPO computes with the prompts, pictures and sampling that evaluation has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from families.rows import pictures, visual
from reassess.models.reader import Reader
from reassess.prompts import Prompt
from reassess.train import data
from reassess.train.plan import TrainError
from trainers import SPEC, built


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
    trainer = built(
        family("qwen2.5-vl-tied"), visual("v", 1, kinds=("jpeg",)), tmp_path, defaults={"min_p": 0.5, "typical_p": 0.3}
    )
    asked = trainer.model._prepare_generation_config(trainer.generation_config)[0]
    assert (asked.min_p, asked.typical_p, asked.top_k) == (None, 1.0, 0)
    assert set(asked.eos_token_id) == set(Reader.of(family("qwen2.5-vl-tied"), SPEC, Prompt()).stops)


def test_no_placeholder_is_sampled_where_the_model_itself_samples(
    family: Callable[[str], Path], tmp_path: Path
) -> None:
    """TRL bans one of them, and none where the study suppresses tokens of its own."""
    chosen = {"suppress_tokens": [5]}
    trainer = built(family("qwen2.5-vl-tied"), visual("v", 1, kinds=("jpeg",)), tmp_path, generation_kwargs=chosen)
    placeholders = data.placeholders(trainer.model.config)
    assert len(placeholders) == 2
    asked = trainer.model._prepare_generation_config(trainer.generation_config)[0]
    assert asked.suppress_tokens == sorted([5, *placeholders])


def test_several_images_that_trl_would_lose_count_of_are_refused(family: Callable[[str], Path], tmp_path: Path) -> None:
    two = replace(visual("v", 1)[0], images=(pictures()["tiny"], pictures()["jpeg"]))
    with pytest.raises(TrainError, match="has 2 images, which TRL cannot take in RL for LlavaOnevisionProcessor"):
        built(family("llava-onevision"), [two], tmp_path)
