"""Supervised fine-tuning through `trl.SFTTrainer`: the loss is on the reference response alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import RandomSampler, Sampler
from trl import SFTConfig, SFTTrainer

from reassess.train import data, loop, ranks
from reassess.train.checkpoints import Clock
from reassess.train.frame import Made, Task
from reassess.train.loop import Started
from reassess.train.plan import TrainError


def run(task: Task, clock: Clock) -> Made:
    """Fine-tune the parent on the run's examples.

    Raises:
        TrainError: the run cannot start, continue, or count as finished.
        Interrupted: it was asked to stop, and has saved a checkpoint.
    """
    # TRL would cut a long sequence, completion first, without a word.
    started = loop.start(task, clock, SFTConfig, max_length=None)
    return loop.finish(started, build(started) if started.is_unfinished else None)


class Trainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer, which shows each row once per epoch to several processes too.

    Where the rows do not fill the last batch of every process, accelerate would go on with rows from the beginning.
    """

    rows = 0

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.rows == 0:
            return super()._get_train_sampler(train_dataset)
        sampler = super()._get_train_sampler(range(self.rows))
        if isinstance(sampler, RandomSampler):
            # As accelerate does, so that rows come in the order of a single process.
            sampler = SeedableRandomSampler(sampler.data_source, data_seed=self.args.data_seed)
        return Even(sampler, self.rows, self.args.per_device_train_batch_size, self.args.world_size)

    def get_train_dataloader(self) -> Any:
        loader = super().get_train_dataloader()
        if self.rows:
            # Where accelerate looks for a sampler to tell it the epoch, in a loader that skips rows of a resumed epoch.
            loader.set_sampler(loader.batch_sampler.batch_sampler.sampler)
        return loader


class Even(Sampler[int]):
    """The rows of a sampler, the last of them spread evenly over the processes: numbers from `rows` on are no rows.

    Consecutive batches go to consecutive processes.
    """

    def __init__(self, sampler: Any, rows: int, per_device: int, processes: int) -> None:
        self.sampler = sampler
        self.rows = rows
        self.per_device = per_device
        self.processes = processes

    def __len__(self) -> int:
        return self.rows + missing(self.rows, self.per_device * self.processes)

    def __iter__(self) -> Iterator[int]:
        order = list(self.sampler)
        left = len(order) % (self.per_device * self.processes)
        yield from order[: len(order) - left]
        last, blank = order[len(order) - left :], self.rows
        for process in range(self.processes if left else 0):
            share = last[process * left // self.processes : (process + 1) * left // self.processes]
            yield from share
            yield from range(blank, blank := blank + self.per_device - len(share))

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)


class WithoutBlanks:
    """A collator that leaves out what is no row; where nothing else is left, one that carries no loss.

    A process without any row must compute all the same, for the others wait for its share of the weights.
    """

    def __init__(self, collator: Any) -> None:
        self.collator = collator

    def __call__(self, rows: list[dict[str, Any]]) -> Any:
        real = [row for row in rows if not row[data.BLANK]]
        batch = self.collator(real or rows[:1])
        if not real:
            batch["labels"] = torch.full_like(batch["labels"], -100)
        return batch


def missing(rows: int, batch: int) -> int:
    """Return how many rows the last batch lacks."""
    return -rows % batch


def build(started: Started) -> Trainer:
    """Return the trainer, its first batch checked.

    Raises:
        TrainError: a row has no rationale, the first batch is not what evaluation and the loss need, or images and
            text-only rows are mixed where that cannot be.
    """
    args, model, rows = started.args, started.model, started.rows
    n, processes = len(rows.examples), ranks.world().processes
    if ranks.is_sharded() and ranks.world().distributed == "zero3":
        # A process without an image never asks for the vision weights, and the others wait for it.
        data.refuse_mixed(rows.examples, "ZeRO-3 cannot mix them (zero2 can)")
    blanks = missing(n, args.per_device_train_batch_size * processes) if processes > 1 else 0
    dataset = data.sft_dataset(rows, blanks)
    # What TRL makes of rows before it trains is done by `data.sft_dataset`, of each as it is drawn.
    args.dataset_kwargs = {**(args.dataset_kwargs or {}), "skip_prepare_dataset": True}
    trainer: Trainer = started.trainer(Trainer, train_dataset=dataset)
    if blanks:
        trainer.rows = n
        trainer.data_collator = WithoutBlanks(trainer.data_collator)
    # TRL counts from 0 in every process.
    trainer._total_train_tokens = started.resumed.tokens
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
    reader = rows.reader
    for i, example in enumerate(rows.examples[: len(batch["input_ids"])]):
        ids, mask, labels = (batch[name][i].tolist() for name in ("input_ids", "attention_mask", "labels"))
        learnt = [label for label in labels if label != -100]
        if not learnt:
            raise TrainError(f"example {example.id!r}: no token of it carries loss; nothing would be learnt")
        if set(learnt) & set(placeholders):
            raise TrainError(f"example {example.id!r}: image tokens carry loss; look at the checkpoint's chat template")
        prompt = [token for token, real, label in zip(ids, mask, labels, strict=True) if real and label == -100]
        data.check_prompt(example, prompt, rows)
        if learnt[-1] not in reader.stops:
            raise TrainError(f"example {example.id!r}: no end-of-turn token carries loss; the model would never stop")
        expected = reader.completion(reader.response(example, rows.rationale(i)))
        if learnt != reader.encode([expected], [])["input_ids"][0]:
            text = reader.tokenizer.decode(learnt)
            raise TrainError(f"example {example.id!r}: the loss is on {text!r}, the target response is {expected!r}")
