"""The arithmetic of a run: steps, checkpoints, logs, and what is left over."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reassess.rewards import Rewards
from reassess.rewards.accuracy import Accuracy
from reassess.stages.epochs import Work, trajectory
from reassess.stages.grpo import GrpoStage
from reassess.stages.merge import MergeStage
from reassess.stages.sft import SftStage
from reassess.stages.trainer_args import accumulation
from reassess.train.plan import TrainError, plan


def sft(batch_size: int = 32, **args: Any) -> SftStage:
    return SftStage(kind="sft", batch_size=batch_size, args=args)


def grpo(batch_size: int = 64, **args: Any) -> GrpoStage:
    return GrpoStage(kind="grpo", batch_size=batch_size, rewards=Rewards(accuracy=Accuracy(weight=1.0)), args=args)


def options(per_device: int, accumulation: int = 1, **changed: Any) -> Any:
    defaults = {
        "per_device_train_batch_size": per_device,
        "gradient_accumulation_steps": accumulation,
        "max_steps": -1,
        "num_train_epochs": 1,
        "num_generations": 4,
        "num_iterations": 1,
        "steps_per_generation": accumulation,
    }
    merged = {**defaults, **changed}
    return SimpleNamespace(**{"generation_batch_size": per_device * merged["steps_per_generation"], **merged})


def test_sft_counts_the_last_partial_batch() -> None:
    planned = plan(sft(), options(32, num_train_epochs=3), 200, 1)
    assert (planned.steps_per_epoch, planned.steps, planned.samples, planned.left_over) == (7, 21, 600, 0)


@pytest.mark.parametrize(
    ("per_device", "accumulation", "processes"), [(32, 1, 1), (8, 4, 1), (1, 32, 1), (16, 1, 2), (2, 4, 4), (1, 1, 32)]
)
def test_splitting_the_batch_changes_nothing(per_device: int, accumulation: int, processes: int) -> None:
    planned = plan(sft(), options(per_device, accumulation), 100, processes)
    assert (planned.steps, planned.samples) == (4, 100)


def test_max_steps_ends_within_an_epoch() -> None:
    planned = plan(sft(), options(32, max_steps=9, num_train_epochs=3), 200, 1)
    assert (planned.steps, planned.samples) == (9, 200 + 64)


@pytest.mark.parametrize(("per_device", "accumulation", "processes"), [(64, 1, 1), (16, 1, 4), (8, 2, 4)])
def test_splitting_completions_over_processes_changes_nothing(
    per_device: int, accumulation: int, processes: int
) -> None:
    args = options(per_device, accumulation, generation_batch_size=per_device * accumulation * processes)
    planned = plan(grpo(), args, 200, processes)
    assert (planned.steps, planned.left_over, planned.samples, planned.boundary) == (12, 8, 12 * 64, 1)


# One study (512 prompts a draw, 128 prompts an optimizer step, 5 completions to each), however it is split.
@pytest.mark.parametrize(
    ("processes", "per_device"), [(1, None), (1, 4), (4, None), (4, 8), (8, None), (8, 4), (8, 16), (16, 8), (64, 10)]
)
def test_a_generation_batch_does_not_depend_on_processes(
    processes: int, per_device: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from reassess.train.grpo_trainer import GRPOConfig

    split = {} if per_device is None else {"per_device_train_batch_size": per_device}
    stage = grpo(640, num_generations=5, generation_batch_size=2560, num_train_epochs=1, **split)
    assert stage.misfit_of_processes(processes) is None
    per_process, steps = accumulation(stage.args, stage.batch_size, processes)
    monkeypatch.setattr(GRPOConfig, "world_size", processes)
    fixed = {"per_device_train_batch_size": per_process, "gradient_accumulation_steps": steps}
    quiet = {"report_to": "none", "bf16": False, "use_cpu": True}
    args = GRPOConfig(str(tmp_path), **{**stage.args, **fixed, **quiet})
    assert args.generation_batch_size // args.num_generations == 512
    assert args.steps_per_generation == 4 * steps
    mine = stage.options(processes)
    for name in ("generation_batch_size", "steps_per_generation", "num_iterations", "max_steps", "num_train_epochs"):
        assert getattr(mine, name) == getattr(args, name), name
    assert stage.work(2100, processes) == Work(2048, 10_240, args.max_completion_length, 10_240, 16, 0)
    planned = plan(stage, args, 2100, processes)
    # Four draws of 512 prompts, each learnt from in four steps.
    assert (planned.boundary, planned.steps, planned.samples, planned.left_over) == (4, 16, 4 * 2560, 2100 - 4 * 512)


def test_grpo_leaves_over_what_does_not_fill_a_generation_batch() -> None:
    planned = plan(grpo(), options(64), 200, 1)
    assert (planned.steps, planned.left_over, planned.samples) == (12, 8, 12 * 64)


def test_reused_completions_are_generated_once() -> None:
    planned = plan(grpo(), options(64, num_iterations=2, steps_per_generation=2), 64, 1)
    # 32 prompts per generation batch of 128 completions, each used in 2 x 2 steps.
    assert (planned.steps, planned.boundary, planned.samples) == (8, 4, 256)


def test_checkpoints_stand_on_generation_boundaries() -> None:
    planned = plan(grpo(), options(64, steps_per_generation=3), 4000, 1)
    assert planned.boundary == 3
    assert planned.save_steps % 3 == 0
    with pytest.raises(TrainError, match="the next valid value is 12"):
        plan(grpo(save_steps=10), options(64, steps_per_generation=3), 4000, 1)


def test_generation_and_accumulation_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TrainError, match="multiple or a divisor of 4"):
        plan(grpo(), options(16, 4, steps_per_generation=6), 4000, 1)


def test_too_few_rows_for_one_generation_batch_are_refused() -> None:
    with pytest.raises(TrainError, match="15 examples do not fill one generation batch of 16 prompts"):
        plan(grpo(), options(64), 15, 1)


@pytest.mark.parametrize("rows", [10, 200, 2000, 20000])
def test_defaults_log_and_save_often_enough(rows: int) -> None:
    planned = plan(sft(), options(32, num_train_epochs=3), rows, 1)
    logs, saves = planned.steps / planned.logging_steps, planned.steps / planned.save_steps
    assert min(planned.steps, 13) <= logs <= 25
    assert min(planned.steps, 5) <= saves <= 10 or planned.save_steps == 1
    assert planned.save_steps % planned.logging_steps == 0


def test_trajectory_is_even_and_ends_at_the_end() -> None:
    assert trajectory(125, 5) == (25, 50, 75, 100, 125)
    assert trajectory(7, 3) == (2, 4, 7)
    assert trajectory(2, 5) == (1, 2)
    assert trajectory(10, 0) == ()


def test_what_a_stage_does_at_most() -> None:
    several = SftStage(kind="sft", batch_size=32, per_question=2, trajectory=5, args={"num_train_epochs": 3})
    # 200 sequences are seven steps an epoch.
    assert several.work(100, 4) == Work(sequences=600, steps=21, kept=5)
    args = {"num_generations": 4, "num_iterations": 2, "num_train_epochs": 1, "max_completion_length": 24}
    drawn = {"kind": "grpo", "batch_size": 64, "rewards": {"accuracy": 1.0}, "args": args}
    plain = GrpoStage.model_validate(drawn)
    assert plain.work(100, 1) == Work(96, 384, 24, 768, 12, 0), "four examples are left over"
    again = GrpoStage.model_validate({**drawn, "resample": {"rounds": 3}})
    assert again.work(100, 1) == Work(288, 1152, 24, 768, 12, 0)
    as_many = GrpoStage.model_validate({**drawn, "resample": {"rounds": 3, "budget": "prompts"}})
    assert as_many.work(100, 1) == plain.work(100, 1)
    assert MergeStage(kind="merge", weights=(0.5, 0.5)).work(0, 1) == Work()
