"""Group relative policy optimisation through `trl.GRPOTrainer`, with the rewards of `reassess.rewards`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from trl.data_utils import prepare_multimodal_messages

from reassess.engines import version
from reassess.engines.base import text
from reassess.models.reader import Reader
from reassess.rewards import Batch, Reward
from reassess.stages.grpo import GrpoStage
from reassess.stages.rollouts import SEEDS
from reassess.train import data, loop
from reassess.train.checkpoints import Clock
from reassess.train.frame import Made, Task
from reassess.train.grpo_trainer import MOST_DIFFERENCE, Counts, GRPOConfig, Trainer
from reassess.train.loop import Started
from reassess.train.plan import Epoch, TrainError, work
from reassess.train.resample import Ending, Resampling
from reassess.train.rollouts import Rollouts

# What TRL calls with the completions of a step and the columns of their rows.
RewardFunction = Callable[..., list[float | None]]


def run(task: Task, clock: Clock) -> Made:
    """Reinforce the parent on the run's examples.

    Raises:
        TrainError: the run cannot start, continue, or count as finished.
        Interrupted: it was asked to stop, and has saved a checkpoint.
    """
    assert isinstance(task.stage, GrpoStage)
    rewards = task.stage.rewards.chosen
    weights = [reward.weight for reward in rewards.values()]
    started = loop.start(task, clock, GRPOConfig, epoch, reward_weights=weights)
    budget, counts = _budget(started), Counts.of(started.resumed.checkpoint)
    left = started.is_unfinished and (budget is None or counts.prompts < budget)
    trainer = build(started, rewards) if left else None
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
    """Return what a record says of a run's completions: what sampled them, and what became of them."""
    stage, per_prompt = started.stage, int(started.args.num_generations)
    assert isinstance(stage, GrpoStage)
    engine = _sampler(started, stage)
    of_vllm = {
        "seeds": SEEDS,
        "engine_args": stage.rollouts.engine_args,
        "importance_sampling_correction": stage.corrects,
        "largest_logp_difference": counts.difference,
    }
    return {
        "samples_seen": counts.prompts * per_prompt,
        "work": work(counts.groups * per_prompt, counts.trained, counts.forward, started.weights),
        "rollouts": {
            "engine": engine,
            "version": version(engine),
            "dtype": started.task.model.dtype if engine == "vllm" else "float32",
            **(of_vllm if engine == "vllm" else {}),
            "prompts_drawn": counts.prompts,
            "groups_kept": counts.groups,
            "groups_filled": counts.filled,
            "data_passes": round(counts.prompts / len(started.rows.examples), 3),
            "discarded_tokens": counts.discarded,
        },
    }


def epoch(stage: GrpoStage, args: Any, rows: int, processes: int) -> Epoch:
    """Return what the trainer makes of its rows: completions to as many prompts as fill a generation batch.

    Raises:
        TrainError: generation batches and optimizer steps do not fit together, or there is not one of the former.
    """
    accumulation, uses = args.gradient_accumulation_steps, args.steps_per_generation * args.num_iterations
    if uses % accumulation and accumulation % uses:
        raise TrainError(
            f"args.steps_per_generation x num_iterations is {uses}: with {accumulation} accumulation steps "
            f"(batch_size / per_device_train_batch_size) it must be a multiple or a divisor of {accumulation}"
        )
    prompts = args.generation_batch_size // args.num_generations
    draws, left_over = divmod(rows, prompts)
    if draws * uses == 0:
        raise TrainError(
            f"{rows} examples do not fill one generation batch of {prompts} prompts; lower batch_size "
            f"({stage.batch_size}) or args.steps_per_generation, or use a larger size"
        )
    return Epoch(
        rows,
        samples=draws * args.generation_batch_size,
        batches=draws * uses,
        drawn=args.generation_batch_size,
        uses=uses,
        left_over=left_over,
        boundary=max(1, uses // accumulation),
    )


def build(started: Started, rewards: dict[str, Reward]) -> Trainer:
    """Return the trainer, the prompts of its first rows checked.

    Args:
        started: the run.
        rewards: the rewards by name.

    Raises:
        TrainError: training and evaluation see different prompts, or completions cannot be sampled as the study says.
    """
    # TRL says at every start that `rollout_func` may change.
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    args, rows, stage = started.args, started.rows, started.stage
    assert isinstance(stage, GrpoStage)
    by_engine = _sampler(started, stage) == "vllm"
    _refuse_several(rows)
    started.model.generation_config = rows.reader.generation_config
    # With one TRL would take the thought of a completion out of its text.
    for name in ("response_template", "response_schema"):
        if getattr(rows.reader.tokenizer, name, None) is not None:
            setattr(rows.reader.tokenizer, name, None)
    if not by_engine:
        args.generation_kwargs = ban(args.generation_kwargs, data.placeholders(started.model.config))
    functions = {
        name: function(name, reward, rows.reader, args.max_completion_length) for name, reward in rewards.items()
    }
    resample, dataset = stage.resample, data.grpo_dataset(rows, by_engine)
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
        _check_prompts(trainer, dataset, rows)
    return trainer


def _sample_with_vllm(trainer: Trainer, started: Started, stage: GrpoStage) -> None:
    """Give a trainer the engine of its rollouts."""
    began = time.monotonic()
    trainer.rollouts = Rollouts(started)
    said = f"rollouts: vllm {version('vllm')}, {started.task.model.dtype}, started in {time.monotonic() - began:.0f} s"
    if (resample := stage.resample) is not None:
        prompts = started.args.generation_batch_size // started.args.num_generations
        said += f"; {prompts} to {prompts * resample.rounds} prompts are drawn for a step"
    print(said, flush=True)
    trainer.rollouts.check_prompts(started.rows)
    trainer.limit = stage.rollouts.max_logp_difference or MOST_DIFFERENCE[started.task.model.dtype]
    # From here on it means alone that tokens are weighed for what differs: TRL has started no engine.
    trainer.use_vllm = stage.corrects


def _rolled(prompts: list[Any], trainer: Trainer) -> dict[str, Any]:
    """Return completions as TRL wants them of its `rollout_func`."""
    found = trainer.roll()
    return {"prompt_ids": found.prompt_ids, "completion_ids": found.ids, "logprobs": found.logprobs}


def _check_prompts(trainer: Trainer, dataset: Any, rows: data.Rows) -> None:
    """Compare the first prompts as TRL generates from them with those of evaluation. Raises TrainError."""
    for i, example in enumerate(rows.examples[: data.CHECKED]):
        row = dataset[i]
        chat = row["prompt"]
        if rows.reader.sees:
            chat = prepare_multimodal_messages(chat, row.get("images"))
        [ids], _, _ = trainer._tokenize_prompts([chat])
        data.check_prompt(example, ids, rows)


def _refuse_several(rows: data.Rows) -> None:
    """Refuse several images in a question where TRL loses how many each has.

    Raises:
        TrainError: it does.
    """
    images = rows.examples.lengths("images")
    index = next((index for index, n in enumerate(images) if n > 1), None)
    if index is not None:
        several, reader = rows.examples[index], rows.reader
        if "batch_num_images" in reader.encode([reader.render(several)], [reader.pictures(several)]):
            raise TrainError(
                f"example {several.id!r} has {len(several.images)} images, which TRL's GRPO cannot take for "
                f"{type(reader.processor).__name__}; use a pool whose questions have one each"
            )


def ban(generation_kwargs: dict[str, Any] | None, placeholders: list[int]) -> dict[str, Any]:
    """Return generation options under which no image placeholder is sampled, beside what the user suppresses.

    A sampled placeholder has no image behind it, and the model's forward pass would fail.
    """
    chosen = dict(generation_kwargs or {})
    chosen["suppress_tokens"] = sorted({*(chosen.get("suppress_tokens") or []), *placeholders})
    return chosen


def function(name: str, reward: Reward, reader: Reader, limit: int | None) -> RewardFunction:
    """Return a reward as TRL calls it; TRL's metrics have it under its name.

    Args:
        name: its name.
        reward: the reward.
        reader: knows the form of responses, what the prompt already holds of them, and how their tokens are text.
        limit: tokens that a completion may have.
    """

    def rewarded(
        completion_ids: list[list[int]],
        gold: list[str],
        kind: list[str],
        options: list[list[str]],
        log_metric: Callable[[str, float], object],
        log_extra: Callable[[str, list[Any]], object],
        **_: Any,
    ) -> list[float | None]:
        held = reader.held(think=False)
        texts = [held + text(ids, reader.stops, reader.tokenizer) for ids in completion_ids]
        form = reader.prompt.format
        choices = [list(item) for item in options]
        return reward.of(
            Batch(texts, completion_ids, list(gold), list(kind), choices, limit, form, log_metric, log_extra)
        )

    rewarded.__name__ = name
    return rewarded
