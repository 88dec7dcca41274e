"""Group relative policy optimisation through `trl.GRPOTrainer`, with the rewards of `reassess.rewards`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import torch

from reassess.engines.base import text
from reassess.models.reader import Reader
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

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: torch.Tensor, *args: Any, batch_num_images: Any = None, **options: Any
    ) -> Any:
        """Bring in line with the tokens what TRL's second call of the processor says of them.

        That call adds a token at the beginning where the tokenizer does, although the chat template has written it, so
        that each type would be that of the token before. And `batch_num_images` of LLaVA-OneVision is handed on for
        the reference model alone, and not taken.
        """
        width = input_ids.shape[1]
        for name in ("token_type_ids", "mm_token_type_ids"):
            if (types := options.get(name)) is not None and types.shape[1] > width:
                options[name] = types[:, -width:]
        return super()._get_per_token_logps_and_entropies(model, input_ids, *args, **options)

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
    _refuse_several(rows)
    started.model.generation_config = rows.reader.generation_config
    # With one TRL would take the thought of a completion out of its text.
    for name in ("response_template", "response_schema"):
        if getattr(rows.reader.tokenizer, name, None) is not None:
            setattr(rows.reader.tokenizer, name, None)
    args.generation_kwargs = ban(args.generation_kwargs, data.placeholders(started.model.config))
    trainer: Trainer = started.trainer(
        Trainer,
        reward_funcs=[
            function(name, reward, rows.reader, args.max_completion_length) for name, reward in rewards.items()
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
