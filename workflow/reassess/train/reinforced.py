"""A run of reinforcement learning through TRL: what is the same for all kinds of stages that learn from rewards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trl.data_utils import prepare_multimodal_messages

from reassess.engines import version
from reassess.engines.base import text
from reassess.models.reader import Reader
from reassess.rewards import Batch, Reward
from reassess.stages.reinforced import Reinforced
from reassess.train import data, loop
from reassess.train.checkpoints import Clock
from reassess.train.frame import Task
from reassess.train.group_trainer import Counts
from reassess.train.loop import Started
from reassess.train.plan import TrainError, work

# What TRL calls with the completions of a step and the columns of their rows.
RewardFunction = Callable[..., list[float | None]]


def start(task: Task, clock: Clock, config: Callable[..., Any]) -> Started:
    """Begin a run, its rewards weighted as the stage says; see `loop.start`."""
    assert isinstance(task.stage, Reinforced)
    weights = [reward.weight for reward in task.stage.rewards.chosen.values()]
    return loop.start(task, clock, config, reward_weights=weights)


def prepare(started: Started, by_engine: bool) -> None:
    """Make model and tokenizer ready for a trainer of TRL.

    Args:
        started: the run.
        by_engine: whether an engine of ours samples, and not the trained model.

    Raises:
        TrainError: some examples have several images, which TRL cannot tell apart.
    """
    args, rows = started.args, started.rows
    _refuse_several(rows)
    started.model.generation_config = rows.reader.generation_config
    # With one TRL would take the thought of a completion out of its text.
    for name in ("response_template", "response_schema"):
        if getattr(rows.reader.tokenizer, name, None) is not None:
            setattr(rows.reader.tokenizer, name, None)
    if not by_engine:
        args.generation_kwargs = ban(args.generation_kwargs, data.placeholders(started.model.config))


def sampled(started: Started, counts: Counts, engine: str, **facts: Any) -> dict[str, Any]:
    """Return what a record says of a run's completions: what sampled them, and what became of them.

    Args:
        started: the run.
        counts: what it has sampled.
        engine: what sampled it.
        facts: what else is to be said of the engine.
    """
    per_prompt = int(started.args.num_generations)
    return {
        "samples_seen": counts.prompts * per_prompt,
        "work": work(counts.groups * per_prompt, counts.trained, counts.forward, started.weights),
        "rollouts": {
            "engine": engine,
            "version": version(engine),
            "dtype": started.task.model.dtype if engine == "vllm" else "float32",
            **facts,
            "prompts_drawn": counts.prompts,
            "groups_kept": counts.groups,
            "groups_filled": counts.filled,
            "data_passes": round(counts.prompts / len(started.rows.examples), 3),
            "discarded_tokens": counts.discarded,
        },
    }


def check_prompts(trainer: Any, dataset: Any, rows: data.Rows) -> None:
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
                f"example {several.id!r} has {len(several.images)} images, which TRL cannot take in RL for "
                f"{type(reader.processor).__name__}; use a pool whose questions have one each"
            )


def ban(generation_kwargs: dict[str, Any] | None, placeholders: list[int]) -> dict[str, Any]:
    """Return generation options under which no image placeholder is sampled, beside what the user suppresses.

    A sampled placeholder has no image behind it, and the model's forward pass would fail.
    """
    chosen = dict(generation_kwargs or {})
    chosen["suppress_tokens"] = sorted({*(chosen.get("suppress_tokens") or []), *placeholders})
    return chosen


def functions(started: Started) -> dict[str, RewardFunction]:
    """Return the rewards of a run as TRL calls them, by name; see `function`."""
    assert isinstance(started.stage, Reinforced)
    reader, limit = started.rows.reader, started.args.max_completion_length
    return {name: function(name, reward, reader, limit) for name, reward in started.stage.rewards.chosen.items()}


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
