"""How long a stage trains, and at which steps it logs, saves and keeps a trajectory: arithmetic alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from reassess.stages import Stage

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
        batch_size: sequences (SFT) or completions (GRPO) of an optimizer step.
        steps_per_epoch: optimizer steps of an epoch.
        steps: optimizer steps of the run.
        samples: prompts x epochs (SFT), or completions to generate (GRPO).
        boundary: a checkpoint may stand at multiples of this step alone; between them GRPO reuses completions
            that are not part of a checkpoint.
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


def plan(stage: Stage, args: Any, rows: int, processes: int = 1) -> Plan:
    """Return the plan of a stage.

    Args:
        stage: the stage of the study; its `args` say which values the user chose.
        args: the trainer's config object (`SFTConfig`, `GRPOConfig`); its batch sizes are of one process, but for
            `generation_batch_size`.
        rows: training examples, those put aside not counted.
        processes: training processes.

    Raises:
        TrainError: an epoch would have no step, or `save_steps` is not a multiple of the boundary.
    """
    per_device, accumulation = args.per_device_train_batch_size, args.gradient_accumulation_steps
    left_over, boundary = 0, 1
    if stage.kind == "grpo":
        reuse = args.steps_per_generation * args.num_iterations
        if reuse % accumulation and accumulation % reuse:
            raise TrainError(
                f"args.steps_per_generation x num_iterations is {reuse}: with {accumulation} accumulation steps "
                f"(batch_size / per_device_train_batch_size) it must be a multiple or a divisor of {accumulation}"
            )
        prompts = args.generation_batch_size // args.num_generations
        left_over = rows % prompts
        batches = rows // prompts * reuse
        boundary = max(1, reuse // accumulation)
        if batches == 0:
            raise TrainError(
                f"{rows} examples do not fill one generation batch of {prompts} prompts; lower batch_size "
                f"({stage.batch_size}) or args.steps_per_generation, or use a larger size"
            )
    else:
        batches = math.ceil(rows / (per_device * processes))
    per_epoch = math.ceil(batches / accumulation)
    steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * per_epoch)
    if steps == 0:
        raise TrainError("args.num_train_epochs and args.max_steps leave no step to train")
    whole, rest = divmod(steps, per_epoch)
    if stage.kind == "grpo":
        seen = whole * batches + min(rest * accumulation, batches)
        samples = math.ceil(seen / reuse) * args.generation_batch_size
    else:
        samples = whole * (rows - left_over) + min(rest * stage.batch_size, rows - left_over)
    logging = stage.args.get("logging_steps", math.ceil(steps / LOGS))
    return Plan(
        rows=rows,
        left_over=left_over,
        batch_size=stage.batch_size,
        steps_per_epoch=per_epoch,
        steps=steps,
        samples=samples,
        boundary=boundary,
        save_steps=_save_steps(stage, steps, boundary, logging),
        logging_steps=logging,
        trajectory=trajectory(steps, stage.trajectory),
    )


def trajectory(steps: int, n: int) -> tuple[int, ...]:
    """Return `n` evenly spaced steps of 1..`steps`, the last one included; fewer where there are fewer steps."""
    return tuple(sorted({max(1, steps * i // n) for i in range(1, n + 1)}))


def _save_steps(stage: Stage, steps: int, boundary: int, logging: float) -> int:
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
