"""Real trainers of RL on tiny checkpoints, without a study around them, and an engine that says what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch

from reassess.data.shards import Shards, write_shards
from reassess.models.load import load_model
from reassess.models.reader import Reader
from reassess.prompts import Prompt
from reassess.stages.grpo import GrpoStage
from reassess.study.models import Model
from reassess.train import data, grpo
from reassess.train.grpo_trainer import Trainer
from reassess.train.launch import World
from reassess.train.rollouts import Sampled

SPEC = Model(path=".", max_pixels=20_000)
# What a played engine says to the rows of a draw, which are those of a batch.
Says = Callable[[Sequence[dict[str, Any]]], list[str]]


class Played:
    """An engine whose completions are given, with the log-probabilities that the trained model has for them.

    Attributes:
        says: the completions to the rows of a draw.
        off: what is added to each log-probability.
        asked: the rows of each draw, by id.
        drawn: what it said to them.
    """

    says: Says
    off = 0.0

    def __init__(self, started: Any) -> None:
        self.reader = started.rows.reader
        self.asked: list[list[str]] = []
        self.drawn: list[Sampled] = []

    def check_prompts(self, rows: data.Rows) -> None:
        """There is no engine that could read them otherwise."""

    def roll(self, rows: Sequence[dict[str, Any]], trainer: Trainer) -> Sampled:
        self.asked.append([row["id"] for row in rows])
        tokenizer = self.reader.tokenizer
        prompts = [tokenizer(row["rendered"], add_special_tokens=False).input_ids for row in rows]
        ids = [[*tokenizer(said, add_special_tokens=False).input_ids, self.reader.stops[0]] for said in self.says(rows)]
        logprobs = [self._logprobs(trainer.model, *pair) for pair in zip(prompts, ids, strict=True)]
        self.drawn.append(Sampled(prompts, ids, logprobs))
        return self.drawn[-1]

    @torch.inference_mode()
    def _logprobs(self, model: Any, prompt: list[int], ids: list[int]) -> list[float]:
        logits = model(input_ids=torch.tensor([prompt + ids])).logits[0, -len(ids) - 1 : -1].float()
        return [
            value + self.off for value in logits.log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0].tolist()
        ]


def built(
    directory: Path,
    examples: list[Any],
    folder: Path,
    stage: dict[str, Any] | None = None,
    plan: dict[str, int] | None = None,
    **options: Any,
) -> Trainer:
    """Return the trainer of a checkpoint; one whose stage samples with vLLM has a played engine.

    Args:
        directory: the checkpoint.
        examples: what it trains on.
        folder: where it writes.
        stage: options of the stage.
        plan: `samples` and `boundary` of its plan.
        options: defaults of the checkpoint's generation config under `defaults`, and options of TRL's config.
    """
    write_shards(folder / "examples/shards", examples)
    rows = data.Rows(Shards(folder / "examples"), Reader.of(directory, SPEC, Prompt()))
    model = load_model(directory, SPEC)
    model.generation_config.update(**options.pop("defaults", {}))
    plain = {"per_device_train_batch_size": 2, "num_generations": 2, "max_completion_length": 6, "use_cpu": True}
    quiet = {"report_to": "none", "bf16": False, "gradient_checkpointing": False, "remove_unused_columns": False}
    args = grpo.GRPOConfig(str(folder / "out"), **{**plain, **quiet, "disable_tqdm": True, "data_seed": 1, **options})

    def trainer(kind: Callable[..., Any], **further: Any) -> Any:
        return kind(model=model, args=args, processing_class=rows.reader.processor, **further)

    said = {"kind": "grpo", "batch_size": 2, "rewards": {"accuracy": 1.0}, "args": {"num_generations": 2}}
    task = SimpleNamespace(world=World(), model=SPEC, run=SimpleNamespace(stage="grpo"))
    started: Any = SimpleNamespace(
        args=args,
        rows=rows,
        model=model,
        trainer=trainer,
        resumed=SimpleNamespace(epochs=0, checkpoint=None),
        stage=GrpoStage.model_validate({**said, **(stage or {})}),
        task=task,
        plan=SimpleNamespace(**{"samples": 8, "boundary": 1, **(plan or {})}),
    )
    with mock.patch.object(grpo, "Rollouts", Played):
        return grpo.build(started)
