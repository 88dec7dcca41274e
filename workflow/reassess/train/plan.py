"""How long a stage trains, and at which steps it logs, saves and keeps a trajectory: arithmetic alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from reassess.stages.base import Trained
from reassess.stages.epochs import Epoch, length, trajectory

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


def plan(stage: Trained, args: Any, rows: int, processes: int) -> Plan:
    """Return the plan of a stage.

    Args:
        stage: the stage of the study; its `args` say which values the user chose.
        args: the trainer's config object.
        rows: the training examples, those put aside not counted.
        processes: training processes.

    Raises:
        TrainError: there would be no step, its options do not fit together, or `save_steps` is not a multiple of the
            boundary.
    """
    epoch = epoch_of(stage, args, rows, processes)
    per_epoch, steps, samples = length(args, epoch)
    if steps == 0:
        raise TrainError("args.num_train_epochs and args.max_steps leave no step to train")
    logging = stage.args.get("logging_steps", math.ceil(steps / LOGS))
    return Plan(
        rows=epoch.rows,
        left_over=epoch.left_over,
        batch_size=stage.batch_size,
        steps_per_epoch=per_epoch,
        steps=steps,
        samples=samples,
        boundary=epoch.boundary,
        save_steps=_save_steps(stage, steps, epoch.boundary, logging),
        logging_steps=logging,
        trajectory=trajectory(steps, stage.trajectory),
    )


def epoch_of(stage: Trained, args: Any, rows: int, processes: int) -> Epoch:
    """Return what a stage's trainer makes of its rows; see `plan`. Raises TrainError where they do not fit together."""
    try:
        return stage.epoch(args, rows, processes)
    except ValueError as error:
        raise TrainError(str(error)) from None


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
