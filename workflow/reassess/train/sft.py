"""Supervised fine-tuning through `trl.SFTTrainer`: the loss is on the reference response alone."""

from __future__ import annotations

from typing import Any

from trl import SFTConfig, SFTTrainer

from reassess import prompts
from reassess.study import SftStage
from reassess.train import data
from reassess.train.plan import Resumed, TrainError


def config(stage: SftStage, options: dict[str, Any]) -> SFTConfig:
    """Return TRL's config. `max_length` is None: TRL would cut a long sequence, completion first, without a word."""
    return SFTConfig(**options, max_length=None)


def build(stage: SftStage, args: SFTConfig, model: Any, rows: data.Rows, resumed: Resumed) -> SFTTrainer:
    """Return the trainer, its first batch checked.

    Args:
        stage: the stage of the study.
        args: what `config` returned.
        model: the weights to start from, in float32 on the CPU.
        rows: the training rows.
        resumed: where a stopped run continues.

    Raises:
        TrainError: a row has no rationale, or the first batch is not what evaluation and the loss need.
    """
    dataset = data.sft_dataset(rows)
    trainer = SFTTrainer(model=model, args=args, train_dataset=dataset, processing_class=rows.processor)
    # TRL counts from 0 in every process.
    trainer._total_train_tokens = resumed.tokens
    n = min(data.CHECKED, len(rows.examples))
    check_batch(trainer.data_collator([dataset[i] for i in range(n)]), rows, data.placeholders(model.config))
    return trainer


def check_batch(batch: Any, rows: data.Rows, placeholders: list[int]) -> None:
    """Check a batch of the first rows: the prompt is evaluation's, and the loss covers the response and nothing else.

    Args:
        batch: `input_ids`, `attention_mask` and `labels`, each of shape (rows, length).
        rows: the training rows, in the batch's order.
        placeholders: the token ids that stand for images.

    Raises:
        TrainError: it is not so.
    """
    tokenizer = rows.processor.tokenizer
    for i, example in enumerate(rows.examples[: len(batch["input_ids"])]):
        ids, mask, labels = (batch[name][i].tolist() for name in ("input_ids", "attention_mask", "labels"))
        learnt = [label for label in labels if label != -100]
        if not learnt:
            raise TrainError(f"example {example.id!r}: no token of it carries loss; nothing would be learnt")
        if set(learnt) & set(placeholders):
            raise TrainError(f"example {example.id!r}: image tokens carry loss; look at the checkpoint's chat template")
        prompt = [token for token, real, label in zip(ids, mask, labels, strict=True) if real and label == -100]
        data.check_prompt(example, prompt, rows)
        expected = prompts.target(example.rationales[0], example.gold, rows.prompt)
        text = tokenizer.decode(learnt, skip_special_tokens=True)
        if text.strip() != expected.strip():
            raise TrainError(
                f"example {example.id!r}: the loss is on {text[:80]!r}, the target response is {expected[:80]!r}; "
                "the checkpoint's chat template changes responses"
            )
        if not set(learnt) & set(tokenizer.all_special_ids):
            raise TrainError(f"example {example.id!r}: no end-of-turn token carries loss; the model would never stop")
