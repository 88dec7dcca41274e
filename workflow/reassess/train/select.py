"""Chooses a kept checkpoint: a link to it, and a record of the choice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from reassess.train.export import check_answers, load_exactly
from reassess.train.frame import Made, Task

if TYPE_CHECKING:
    from reassess.train.checkpoints import Clock


def run(task: Task, clock: Clock) -> Made:
    """Link to the checkpoint that the stage chooses.

    Args:
        task: the run; its one parent is the chosen checkpoint.
        clock: its time so far.

    Raises:
        TrainError: the checkpoint cannot be loaded, or does not answer.
    """
    found = task.parents[0]
    task.turn.record.begin(0, 1)

    def write(link: Path) -> None:
        model = load_exactly(found.path, task.model, getattr(torch, task.model.dtype))
        check_answers(model, found.path, task.model, task.graph.study.prompt)
        # It is moved into the directory of the run, from where the link has to hold: also where that, or the
        # checkpoint, lies on another disk behind a link.
        link.symlink_to(os.path.relpath(found.path.resolve(), task.checkpoints.resolve()))

    return Made(write, {}, f"choice of step {found.step} of {task.run.parents[0]}")
