"""How long a stage trains, and at which steps it logs, saves and keeps a trajectory: arithmetic alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from reassess.stages.base import Trained
from reassess.stages.epochs import length, trajectory

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
    try:
        epoch = stage.epoch(args, rows, processes)
    except ValueError as error:
        raise TrainError(str(error)) from None
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
