"""How long a stage trains, and what goes through the model meanwhile: arithmetic alone."""

from __future__ import annotations

import math
from typing import Any, NamedTuple


class Epoch(NamedTuple):
    """What a trainer makes of the training examples, each time that it goes through them.

    Attributes:
        rows: training examples.
        samples: examples that it sees, or completions that it generates.
        batches: batches that go through the model, of each process.
        drawn: samples that are drawn at a time.
        uses: batches that serve a draw.
        left_over: examples that do not fill a draw.
        boundary: optimizer steps that a draw serves; between them it is not part of a checkpoint.
    """

    rows: int
    samples: int
    batches: int
    drawn: int
    uses: int = 1
    left_over: int = 0
    boundary: int = 1


class Length(NamedTuple):
    """How long a run is.

    Attributes:
        per_epoch: optimizer steps of an epoch.
        steps: optimizer steps of the run.
        samples: examples to see, those of every epoch counted, or completions to generate.
    """

    per_epoch: int
    steps: int
    samples: int


class Work(NamedTuple):
    """What a run does at most.

    Attributes:
        prompts: prompts that it samples for.
        completions: completions that it samples.
        longest: tokens of a completion, None for no limit.
        sequences: sequences that it learns from, those of every epoch counted.
        steps: optimizer steps.
        kept: checkpoints that it keeps.
    """

    prompts: int = 0
    completions: int = 0
    longest: int | None = 0
    sequences: int = 0
    steps: int = 0
    kept: int = 0


def length(args: Any, epoch: Epoch) -> Length:
    """Return how long a run is.

    Args:
        args: has the trainer's options as attributes.
        epoch: what the trainer makes of the examples.
    """
    accumulation, per_epoch = args.gradient_accumulation_steps, steps_per_epoch(args, epoch)
    steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * per_epoch)
    whole, rest = divmod(steps, per_epoch)
    draws = math.ceil(min(rest * accumulation, epoch.batches) / epoch.uses)
    return Length(per_epoch, steps, whole * epoch.samples + min(draws * epoch.drawn, epoch.samples))


def steps_per_epoch(args: Any, epoch: Epoch) -> int:
    """Return the optimizer steps of an epoch; see `length`."""
    return math.ceil(epoch.batches / int(args.gradient_accumulation_steps))


def trajectory(steps: int, n: int) -> tuple[int, ...]:
    """Return `n` evenly spaced steps of 1..`steps`, the last one included; fewer where there are fewer steps."""
    return tuple(sorted({max(1, steps * i // n) for i in range(1, n + 1)}))
