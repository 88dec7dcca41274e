"""Group relative policy optimisation through `trl.GRPOTrainer`, with the rewards of `reassess.rewards`."""

from __future__ import annotations

import os
import time
from typing import Any

from reassess.engines import version
from reassess.stages.grpo import GrpoStage
from reassess.stages.rollouts import SEEDS
from reassess.train import data, loop, reinforced
from reassess.train.checkpoints import Clock
from reassess.train.frame import Made, Task
from reassess.train.group_trainer import Counts
from reassess.train.grpo_trainer import MOST_DIFFERENCE, GRPOConfig, Trainer
from reassess.train.loop import Started
from reassess.train.resample import Ending, Resampling
from reassess.train.rollouts import Rollouts


def run(task: Task, clock: Clock) -> Made:
    """Reinforce the parent on the run's examples.

    Raises:
        TrainError: the run cannot start, continue, or count as finished.
        Interrupted: it was asked to stop, and has saved a checkpoint.
    """
    started = reinforced.start(task, clock, GRPOConfig)
    budget, counts = _budget(started), Counts.of(started.resumed.checkpoint)
    left = started.is_unfinished and (budget is None or counts.prompts < budget)
    trainer = build(started) if left else None
    made = loop.finish(started, trainer, budget is not None)
    return made._replace(facts={**made.facts, **_sampled(started, trainer.counts if trainer else counts)})


def _budget(started: Started) -> int | None:
    """Return the prompts after which a run ends, None where its steps decide."""
    resample = started.stage.resample if isinstance(started.stage, GrpoStage) else None
    if resample is None or resample.budget == "steps":
        return None
    return started.plan.samples // int(started.args.num_generations)


def _sampler(started: Started, stage: GrpoStage) -> str:
    """Return the engine that a run's completions come from."""
    return stage.sampler(int(started.task.world.gpu))


def _sampled(started: Started, counts: Counts) -> dict[str, Any]:
    """Return what a record says of a run's completions."""
    stage = started.stage
    assert isinstance(stage, GrpoStage)
    engine = _sampler(started, stage)
    of_vllm = {
        "seeds": SEEDS,
        "engine_args": stage.rollouts.engine_args,
        "importance_sampling_correction": stage.corrects,
        "largest_logp_difference": counts.difference,
    }
    return reinforced.sampled(started, counts, engine, **(of_vllm if engine == "vllm" else {}))


def build(started: Started) -> Trainer:
    """Return the trainer, the prompts of its first rows checked.

    Raises:
        TrainError: training and evaluation see different prompts, or completions cannot be sampled as the study says.
    """
    # TRL says at every start that `rollout_func` may change.
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    rows, stage = started.rows, started.stage
    assert isinstance(stage, GrpoStage)
    by_engine = _sampler(started, stage) == "vllm"
    reinforced.prepare(started, by_engine)
    functions = reinforced.functions(started)
    resample, dataset = stage.resample, data.rl_dataset(rows, by_engine)
    trainer: Trainer = started.trainer(
        Trainer if resample is None else Resampling,
        reward_funcs=list(functions.values()),
        train_dataset=dataset if resample is None else data.numbers(rows),
        rollout_func=_rolled if by_engine else None,
    )
    trainer.epochs_before, trainer.counts = started.resumed.epochs, Counts.of(started.resumed.checkpoint)
    if resample is not None:
        assert isinstance(trainer, Resampling)
        trainer.option, trainer.accuracy, trainer.source = resample, functions["accuracy"], dataset
        trainer.budget = _budget(started)
        trainer.add_callback(Ending(trainer, started.plan.boundary))
    if by_engine:
        _sample_with_vllm(trainer, started, stage)
    else:
        reinforced.check_prompts(trainer, dataset, rows)
    return trainer


def _sample_with_vllm(trainer: Trainer, started: Started, stage: GrpoStage) -> None:
    """Give a trainer the engine of its rollouts."""
    began = time.monotonic()
    trainer.rollouts = Rollouts(started)
    said = f"rollouts: vllm {version('vllm')}, {started.task.model.dtype}, started in {time.monotonic() - began:.0f} s"
    if (resample := stage.resample) is not None:
        prompts = started.args.generation_batch_size // started.args.num_generations
        said += f"; {prompts} to {prompts * resample.rounds} prompts are drawn at a time"
    print(said, flush=True)
    trainer.rollouts.check_prompts(started.rows)
    trainer.limit = stage.rollouts.max_logp_difference or MOST_DIFFERENCE[started.task.model.dtype]
    # From here on it means alone that tokens are weighed for what differs: TRL has started no engine.
    trainer.use_vllm = stage.corrects


def _rolled(prompts: list[Any], trainer: Trainer) -> dict[str, Any]:
    """Return completions as TRL wants them of its `rollout_func`."""
    found = trainer.roll()
    return {"prompt_ids": found.prompt_ids, "completion_ids": found.ids, "logprobs": found.logprobs}
