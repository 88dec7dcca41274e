"""The trainer of completions that an engine samples: how far they are from the model, and what is counted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from families.rows import text
from reassess.train import ranks
from reassess.train.group_trainer import COUNTS, Counts
from reassess.train.grpo_trainer import MOST_DIFFERENCE
from reassess.train.plan import TrainError
from trainers import Played, built

VLLM = {"rollouts": {"engine": "vllm"}}
BATCHES = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "save_strategy": "steps"}


def says(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a right and a wrong completion to each prompt."""
    return [f"<answer>{row['gold'] if i % 2 else 'none'}</answer>" for i, row in enumerate(rows)]


def sampling(directory: Path, folder: Path, stage: dict[str, Any] | None = None, **options: Any) -> Any:
    """Return a trainer whose step is two batches, and which a played engine answers."""
    stage = {"batch_size": 4, **VLLM, **(stage or {})}
    trainer = built(directory, text("r", 8), folder, stage, **BATCHES, **{"max_steps": 2, "save_steps": 1, **options})
    assert isinstance(trainer.rollouts, Played)
    trainer.rollouts.says = says
    return trainer


@pytest.fixture
def directory(family: Callable[[str], Path]) -> Path:
    return family("llama3.2")


@pytest.fixture
def trainer(directory: Path, tmp_path: Path) -> Any:
    return sampling(directory, tmp_path)


def compare(trainer: Any, apart: list[list[float]], mask: list[list[int]], last: bool) -> None:
    """Give the trainer a batch whose log-probabilities are that far apart, the last one of a step or not."""
    trainer.accelerator.gradient_state._set_sync_gradients(last)
    trained = torch.full((len(apart), len(apart[0])), -2.0)
    trainer._compare(trained + torch.tensor(apart), trained, torch.tensor(mask).bool())


def noted(trainer: Any, name: str) -> list[float]:
    return list(trainer._metrics["train"][f"sampling/sampling_logp_difference/{name}"])


# How far sampler and trainer are apart


def test_tokens_of_all_batches_of_a_step_count_alike(trainer: Any) -> None:
    trainer.use_vllm, trainer.limit = False, 1.0
    compare(trainer, [[0.5, -0.1]], [[1, 1]], last=False)
    assert noted(trainer, "mean") == []
    # Of other lengths; signs do not cancel out.
    compare(trainer, [[-0.2, 0.0, 0.2, 0.0]] * 2, [[1, 1, 1, 1], [1, 1, 0, 0]], last=True)
    assert noted(trainer, "mean") == pytest.approx([(0.5 + 0.1 + 3 * 0.2) / 8])
    assert noted(trainer, "max") == pytest.approx([0.5])
    assert trainer.counts.difference == pytest.approx(1.2 / 8)


def test_a_step_begins_anew(trainer: Any) -> None:
    trainer.use_vllm, trainer.limit = False, 1.0
    compare(trainer, [[0.5]], [[1]], last=True)
    compare(trainer, [[0.1]], [[1]], last=True)
    assert noted(trainer, "mean") == pytest.approx([0.5, 0.1])
    assert noted(trainer, "max") == pytest.approx([0.5, 0.1])
    assert trainer.counts.difference == pytest.approx(0.5)


@pytest.mark.parametrize("odd", [9.0, math.nan, math.inf])
def test_masked_tokens_do_not_count(odd: float, trainer: Any) -> None:
    trainer.use_vllm = False
    compare(trainer, [[1e-4, odd]], [[1, 0]], last=True)
    assert noted(trainer, "max") == pytest.approx([1e-4], rel=1e-2)
    # Where all completions were cut and `mask_truncated_completions` leaves none of them.
    compare(trainer, [[odd]], [[0]], last=True)
    assert noted(trainer, "mean")[1] == 0


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_token_without_a_log_probability_is_as_far_as_can_be(odd: float, trainer: Any) -> None:
    with pytest.raises(TrainError, match=r"inf from the trainer's on average.*: the training has diverged"):
        compare(trainer, [[0.0, odd]], [[1, 1]], last=True)


def test_too_far_apart_ends_a_run_and_says_why(trainer: Any) -> None:
    assert trainer.limit == MOST_DIFFERENCE["float32"]
    compare(trainer, [[trainer.limit * 0.9, trainer.limit * 1.05]], [[1, 1]], last=True)
    trainer.state.global_step = 6
    with pytest.raises(TrainError) as error:
        compare(trainer, [[0.25, 0.0]], [[1, 1]], last=True)
    said = str(error.value)
    assert said.startswith("step 7: ")
    assert "0.12 from the trainer's on average (at most 0.25), more than rollouts.max_logp_difference, 0.001." in said
    assert "`rollouts: {engine: transformers}`" in said
    assert "diverged" not in said


def test_the_study_sets_the_bound(directory: Path, tmp_path: Path) -> None:
    trainer = sampling(directory, tmp_path, {"rollouts": {"engine": "vllm", "max_logp_difference": 0.5}})
    compare(trainer, [[0.4]], [[1]], last=True)
    with pytest.raises(TrainError, match=r"more than rollouts\.max_logp_difference, 0\.5\."):
        compare(trainer, [[0.6]], [[1]], last=True)


def test_processes_are_counted_together(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer.use_vllm, trainer.limit = False, 1.0
    other = torch.tensor([0.9, 3.0, 0.7], dtype=torch.float64)
    monkeypatch.setattr(ranks, "gather", lambda mine: [mine, other])
    compare(trainer, [[0.1]], [[1]], last=True)
    assert noted(trainer, "mean") == pytest.approx([(0.1 + 0.9) / 4])
    assert noted(trainer, "max") == pytest.approx([0.7])


# Whole steps


def test_a_step_with_the_models_own_log_probabilities_is_taken(trainer: Any, tmp_path: Path) -> None:
    """TRL corrects for its own engine by default, and would give it the weights: there is none."""
    assert trainer.use_vllm
    trainer.train()
    assert trainer.state.global_step == 2
    assert 0 < trainer.counts.difference < 1e-5
    ratio = "sampling/importance_sampling_ratio/mean"
    assert [line[ratio] for line in trainer.state.log_history if ratio in line] == pytest.approx([1], abs=1e-3)


@pytest.mark.parametrize("corrects", [True, False])
def test_no_step_is_taken_with_completions_of_another_model(corrects: bool, directory: Path, tmp_path: Path) -> None:
    args = {"num_generations": 2, "vllm_importance_sampling_correction": corrects}
    trainer = sampling(directory, tmp_path, {"args": args})
    trainer.rollouts.off = 0.01
    before = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}
    with pytest.raises(TrainError, match=r"step 1: vLLM gave .* 0\.01 from the trainer's on average"):
        trainer.train()
    assert not list((tmp_path / "out").glob("checkpoint-*"))
    after = trainer.model.state_dict()
    assert not [name for name, weight in before.items() if not torch.equal(weight, after[name])]


def test_completions_are_compared_with_the_model_that_they_were_sampled_from(directory: Path, tmp_path: Path) -> None:
    """Those that serve several steps are no longer those of the model in the last ones, and are not to be."""
    options = {"steps_per_generation": 4, "num_iterations": 2, "learning_rate": 0.05, "max_steps": 4, "save_steps": 4}
    for corrects in (True, False):
        args = {"num_generations": 2, "vllm_importance_sampling_correction": corrects}
        trainer = sampling(directory, tmp_path / str(corrects), {"args": args}, **options)
        trainer.train()
        assert (trainer.state.global_step, len(trainer.rollouts.asked)) == (4, 1)
        assert trainer.counts.difference < 1e-5


# What a run has sampled


def test_counts_are_those_of_the_checkpoint(trainer: Any, tmp_path: Path) -> None:
    assert Counts.of(None) == Counts(0, 0, 0, 0.0)
    trainer.train()
    first, second = (Counts.of(tmp_path / f"out/checkpoint-{step}") for step in (1, 2))
    assert (first.prompts, first.groups, first.discarded) == (2, 2, 0)
    assert (second.prompts, second.groups) == (4, 4)
    assert second == trainer.counts
    assert second.difference >= first.difference > 0


def test_counts_survive_a_round_trip_bit_for_bit(tmp_path: Path) -> None:
    written = {"prompts": 2**40, "groups": 3, "discarded": 10**12, "difference": 0.1 + 0.2}
    (tmp_path / COUNTS).write_text(json.dumps(written), encoding="utf-8")
    assert Counts.of(tmp_path) == Counts(**written)  # type: ignore[arg-type]


def test_the_model_itself_is_not_compared(directory: Path, tmp_path: Path) -> None:
    trainer = built(directory, text("r", 8), tmp_path, {"batch_size": 4}, **BATCHES, max_steps=1, save_steps=1)
    trainer.train()
    tokens = int(trainer.state.num_input_tokens_seen)
    sampled = round(4 * trainer.state.log_history[0]["completions/mean_length"])
    # A completion is learnt from in one step and was sampled; a prompt is read once to sample its two completions.
    forward = sampled + (tokens - sampled) // trainer.num_generations
    assert trainer.counts == Counts(prompts=2, groups=2, trained=tokens, forward=forward)
    assert not [name for line in trainer.state.log_history for name in line if name.startswith("sampling/")]
