"""How long a stage trains, and at which steps it logs, saves and keeps a trajectory: arithmetic alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from reassess.stages.base import Trained

# Logged steps and checkpoints of a run whose stage does not say: enough for a curve, and at most a tenth is lost.
LOGS = 25
SAVES = 10


class TrainError(ValueError):
    """A run that cannot start, continue or count as finished: the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Plan:
    """What a run will do, known before it starts.

    Attributes:
        rows: training examples of an epoch.
        left_over: examples that each epoch leaves out because they do not fill a generation batch.
        batch_size: what an optimizer step sees: sequences or completions.
        steps_per_epoch: optimizer steps of an epoch.
        steps: optimizer steps of the run.
        samples: examples to see, those of every epoch counted, or completions to generate.
        boundary: a checkpoint may stand at multiples of this step alone.
        save_steps: steps between checkpoints.
        logging_steps: steps between logged lines; a fraction is a share of the run, as in transformers.
        trajectory: the steps whose checkpoints are kept.
    """

    rows: int
    left_over: int
    batch_size: int
    steps_per_epoch: int
    steps: int
    samples: int
    boundary: int
    save_steps: int
    logging_steps: float
    trajectory: tuple[int, ...]


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


class Resumed(NamedTuple):
    """Where a stopped run continues.

    Attributes:
        step: optimizer steps done.
        epochs: whole epochs done.
        tokens: the trainer's count of tokens so far.
        checkpoint: the checkpoint it continues from, None at the start.
    """

    step: int = 0
    epochs: int = 0
    tokens: int = 0
    checkpoint: Path | None = None


def plan(stage: Trained, args: Any, epoch: Epoch) -> Plan:
    """Return the plan of a stage.

    Args:
        stage: the stage of the study; its `args` say which values the user chose.
        args: the trainer's config object.
        epoch: what the trainer makes of the examples, those put aside not counted.

    Raises:
        TrainError: there would be no step, or `save_steps` is not a multiple of the boundary.
    """
    accumulation = args.gradient_accumulation_steps
    per_epoch = steps_per_epoch(args, epoch)
    steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * per_epoch)
    if steps == 0:
        raise TrainError("args.num_train_epochs and args.max_steps leave no step to train")
    whole, rest = divmod(steps, per_epoch)
    draws = math.ceil(min(rest * accumulation, epoch.batches) / epoch.uses)
    logging = stage.args.get("logging_steps", math.ceil(steps / LOGS))
    return Plan(
        rows=epoch.rows,
        left_over=epoch.left_over,
        batch_size=stage.batch_size,
        steps_per_epoch=per_epoch,
        steps=steps,
        samples=whole * epoch.samples + min(draws * epoch.drawn, epoch.samples),
        boundary=epoch.boundary,
        save_steps=_save_steps(stage, steps, epoch.boundary, logging),
        logging_steps=logging,
        trajectory=trajectory(steps, stage.trajectory),
    )


def work(samples: int, tokens: int, forward: int, weights: int) -> dict[str, int]:
    """Return what training has cost, as a record says it.

    A token costs 2 FLOPs per weight forward and 4 backward (arXiv 2001.08361, section 2.1; attention, which grows with
    the length, is left out there). Every weight counts for every token: also those of a vision tower that sees image
    tokens alone, and those that are frozen or have an adapter. What gradient checkpointing computes again does not.

    Args:
        samples: sequences that were trained on.
        tokens: their tokens that went through training steps.
        forward: tokens of forward passes alone.
        weights: those of the model.
    """
    return {"samples": samples, "tokens": tokens, "flops": weights * (6 * tokens + 2 * forward)}


def matched_steps(wanted: int, epoch: int, steps: int) -> int:
    """Return how many optimizer steps cost nearest to what is wanted, at least one.

    Args:
        wanted: the cost.
        epoch: what an epoch costs.
        steps: optimizer steps of an epoch.
    """
    return max(1, round(Fraction(wanted * steps, epoch)))


def steps_per_epoch(args: Any, epoch: Epoch) -> int:
    """Return the optimizer steps of an epoch."""
    return math.ceil(epoch.batches / int(args.gradient_accumulation_steps))


def trajectory(steps: int, n: int) -> tuple[int, ...]:
    """Return `n` evenly spaced steps of 1..`steps`, the last one included; fewer where there are fewer steps."""
    return tuple(sorted({max(1, steps * i // n) for i in range(1, n + 1)}))


def _save_steps(stage: Trained, steps: int, boundary: int, logging: float) -> int:
    chosen = stage.args.get("save_steps")
    if chosen is None:
        # Rounded up to a step that is logged anyway, because every checkpoint is logged.
        unit = math.lcm(boundary, int(logging)) if logging >= 1 and logging == int(logging) else boundary
        return math.ceil(math.ceil(steps / SAVES) / unit) * unit
    if chosen % boundary:
        valid = math.ceil(chosen / boundary) * boundary
        raise TrainError(
            f"args.save_steps: {int(chosen)} is inside a generation batch, whose completions serve {boundary} steps; "
            f"a run resumed there would not equal an unbroken one; the next valid value is {valid}"
        )
    return int(chosen)
