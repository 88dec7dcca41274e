"""Group relative policy optimisation through `trl.GRPOTrainer`, rewarded by the judge that evaluation uses."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import Any
from unittest import mock

import torch

from reassess.judge import Case, Judgement, contains_gold, follows_format, judge_many
from reassess.prompts import Prompt
from reassess.stages.grpo import GrpoStage
from reassess.train import data
from reassess.train.plan import Resumed

# Importing GRPOTrainer imports vLLM where it is installed, for seconds; rollouts never use it here (see
# `use_vllm` in reassess.trainer_args).
with mock.patch("trl.import_utils.is_vllm_available", return_value=False):
    from trl import GRPOConfig, GRPOTrainer
    from trl.data_utils import prepare_multimodal_messages

Reward = Callable[..., list[float | None]]


def config(stage: GrpoStage, options: dict[str, Any]) -> GRPOConfig:
    """Return TRL's config."""
    return GRPOConfig(**options, reward_weights=list(stage.rewards.values()))


class Trainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer, drawing the prompts of a resumed epoch in the order of an unbroken run.

    TRL's sampler shuffles anew with every epoch from one generator, which a resumed run would start over.
    """

    epochs_before = 0

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        sampler = super()._get_train_sampler(dataset)
        if sampler.shuffle:
            for _ in range(self.epochs_before):
                torch.randperm(sampler.num_samples, generator=sampler.generator)
        return sampler


def build(stage: GrpoStage, args: GRPOConfig, model: Any, rows: data.Rows, resumed: Resumed) -> Trainer:
    """Return the trainer, the prompts of its first rows checked.

    Args:
        stage: the stage of the study.
        args: what `config` returned.
        model: the weights to start from, in float32 on the CPU.
        rows: the training rows.
        resumed: where a stopped run continues.

    Raises:
        TrainError: images and text-only rows are mixed, or training and evaluation see different prompts.
    """
    dataset = data.grpo_dataset(rows)
    args.generation_kwargs = ban(args.generation_kwargs, data.placeholders(model.config))
    trainer = Trainer(
        model=model,
        args=args,
        reward_funcs=rewards(list(stage.rewards), rows.prompt),
        train_dataset=dataset,
        processing_class=rows.processor,
    )
    trainer.epochs_before = resumed.epochs
    for i, example in enumerate(rows.examples[: data.CHECKED]):
        row = dataset[i]
        [ids], _, _ = trainer._tokenize_prompts([prepare_multimodal_messages(row["prompt"], row.get("images"))])
        data.check_prompt(example, ids, rows)
    return trainer


def ban(generation_kwargs: dict[str, Any] | None, placeholders: list[int]) -> dict[str, Any]:
    """Return generation options under which no image placeholder is sampled, beside what the user suppresses.

    A sampled placeholder has no image behind it, and the model's forward pass would fail.
    """
    chosen = dict(generation_kwargs or {})
    chosen["suppress_tokens"] = sorted({*(chosen.get("suppress_tokens") or []), *placeholders})
    return chosen


def rewards(names: list[str], prompt: Prompt) -> list[Reward]:
    """Return the reward functions `names`, under these names in TRL's metrics."""

    def accuracy(
        completions: list[Any],
        gold: list[str],
        kind: list[str],
        options: list[list[str]],
        log_metric: Callable[[str, float], None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        **_: Any,
    ) -> list[float | None]:
        cases = [
            Case(_text(completion), answer, how, tuple(choices) or None)
            for completion, answer, how, choices in zip(completions, gold, kind, options, strict=True)
        ]
        verdicts = judge_many(cases)
        if log_metric is not None:
            for name, value in audit(cases, verdicts).items():
                log_metric(name, value)
        if log_extra is not None:
            log_extra("gold", gold)
            log_extra("kind", kind)
            log_extra("options", [list(choices) for choices in options])
            log_extra("answer", [verdict.answer for verdict in verdicts])
            log_extra("reason", [verdict.reason for verdict in verdicts])
        return [None if verdict.correct is None else float(verdict.correct) for verdict in verdicts]

    def shape(completions: list[Any], **_: Any) -> list[float | None]:
        return [float(follows_format(_text(completion), prompt.format)) for completion in completions]

    shape.__name__ = "format"
    known: dict[str, Reward] = {"accuracy": accuracy, "format": shape}
    return [known[name] for name in names]


def audit(cases: list[Case], verdicts: list[Judgement]) -> dict[str, float]:
    """Return how far the accuracy reward of a batch can be trusted, as shares of its completions.

    `judge/unscored`: the gold is no answer. `judge/unparsed`: wrong for want of an answer. `judge/missed`: judged
    wrong although the gold stands behind the reasoning, an upper estimate of the false negatives.
    """
    pairs = list(zip(cases, verdicts, strict=True))
    missed = [verdict.correct is False and contains_gold(*case) for case, verdict in pairs]
    return {
        "judge/unscored": fmean(verdict.correct is None for verdict in verdicts),
        "judge/unparsed": fmean(verdict.correct is False and verdict.answer is None for verdict in verdicts),
        "judge/missed": fmean(missed),
    }


def _text(completion: list[dict[str, str]]) -> str:
    return completion[0]["content"]
