"""Group relative policy optimisation through `trl.GRPOTrainer`, with the rewards of `reassess.rewards`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import torch

from reassess.rewards import Batch, Reward
from reassess.stages.grpo import GrpoStage
from reassess.train import data, loop
from reassess.train.checkpoints import Clock
from reassess.train.frame import Made, Task
from reassess.train.loop import Started
from reassess.train.plan import Epoch, TrainError

# Importing GRPOTrainer imports vLLM where it is installed, for seconds; rollouts never use it here (see
# `use_vllm` in reassess.stages.trainer_args).
with mock.patch("trl.import_utils.is_vllm_available", return_value=False):
    from trl import GRPOConfig, GRPOTrainer
    from trl.data_utils import prepare_multimodal_messages

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
    return loop.finish(started, build(started, rewards) if started.is_unfinished else None)


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


class Trainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer, drawing the prompts of a resumed epoch in the order of an unbroken run.

    TRL's sampler shuffles anew with every epoch from one generator, which a resumed run would start over.
    """

    epochs_before = 0

    def _get_per_token_logps_and_entropies(self, *args: Any, batch_num_images: Any = None, **options: Any) -> Any:
        """Take what LLaVA-OneVision's processor says beside the pixels.

        For the reference model TRL hands on all of it, and does not take this itself; for the policy it leaves it out.
        """
        return super()._get_per_token_logps_and_entropies(*args, **options)

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        sampler = super()._get_train_sampler(dataset)
        if sampler.shuffle:
            for _ in range(self.epochs_before):
                torch.randperm(sampler.num_samples, generator=sampler.generator)
        return sampler


def build(started: Started, rewards: dict[str, Reward]) -> Trainer:
    """Return the trainer, the prompts of its first rows checked.

    Args:
        started: the run.
        rewards: the rewards by name.

    Raises:
        TrainError: images and text-only rows are mixed, or training and evaluation see different prompts.
    """
    args, rows = started.args, started.rows
    dataset = data.grpo_dataset(rows)
    form, held = rows.reader.prompt.format, rows.reader.held(think=False)
    args.generation_kwargs = ban(args.generation_kwargs, data.placeholders(started.model.config))
    trainer: Trainer = started.trainer(
        Trainer,
        reward_funcs=[
            function(name, reward, form, held, args.max_completion_length) for name, reward in rewards.items()
        ],
        train_dataset=dataset,
    )
    trainer.epochs_before = started.resumed.epochs
    for i, example in enumerate(rows.examples[: data.CHECKED]):
        row = dataset[i]
        chat = row["prompt"]
        if rows.reader.sees:
            chat = prepare_multimodal_messages(chat, row.get("images"))
        [ids], _, _ = trainer._tokenize_prompts([chat])
        data.check_prompt(example, ids, rows)
    return trainer


def ban(generation_kwargs: dict[str, Any] | None, placeholders: list[int]) -> dict[str, Any]:
    """Return generation options under which no image placeholder is sampled, beside what the user suppresses.

    A sampled placeholder has no image behind it, and the model's forward pass would fail.
    """
    chosen = dict(generation_kwargs or {})
    chosen["suppress_tokens"] = sorted({*(chosen.get("suppress_tokens") or []), *placeholders})
    return chosen


def function(name: str, reward: Reward, form: str, held: str, limit: int | None) -> RewardFunction:
    """Return a reward as TRL calls it; TRL's metrics have it under its name.

    Args:
        name: its name.
        reward: the reward.
        form: the form that the prompt asks responses to have.
        held: what the prompt already holds of a response.
        limit: tokens that a completion may have.
    """

    def rewarded(
        completions: list[list[dict[str, str]]],
        completion_ids: list[list[int]],
        gold: list[str],
        kind: list[str],
        options: list[list[str]],
        log_metric: Callable[[str, float], object],
        log_extra: Callable[[str, list[Any]], object],
        **_: Any,
    ) -> list[float | None]:
        texts = [held + completion[0]["content"] for completion in completions]
        choices = [list(item) for item in options]
        return reward.of(
            Batch(texts, completion_ids, list(gold), list(kind), choices, limit, form, log_metric, log_extra)
        )

    rewarded.__name__ = name
    return rewarded
