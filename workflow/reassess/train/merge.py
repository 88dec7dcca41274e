"""Merges models: their weights tensor by tensor, the rest from the first of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from reassess.models import arithmetic
from reassess.stages.merge import MergeStage
from reassess.train.export import check_answers, copy_beside, load_exactly
from reassess.train.frame import Made, Task
from reassess.work.turns import Interrupted

if TYPE_CHECKING:
    from reassess.train.checkpoints import Clock


def run(task: Task, clock: Clock) -> Made:
    """Merge the models that a recipe starts from.

    Args:
        task: the run.
        clock: its time so far.

    Raises:
        MergeError: they cannot be merged.
        TrainError: what came out cannot be loaded, or does not answer.
        Interrupted: it was asked to stop.
    """
    stage = task.stage
    assert isinstance(stage, MergeStage)
    parents = [parent.path for parent in task.parents]
    task.turn.record.begin(0, 1)

    def stop() -> None:
        if why := task.turn.stop.requested():
            raise Interrupted(why)

    def write(directory: Path) -> None:
        directory.mkdir()
        how = arithmetic.How(stage.method, stage.weights, stage.density or 1.0, task.run.seed)
        arithmetic.merge(parents, directory, task.model, how, task.base and task.base.path, between=stop)
        copy_beside(parents[0], directory, task.model)
        model = load_exactly(directory, task.model, getattr(torch, task.model.dtype))
        check_answers(model, directory, task.model, task.graph.study.prompt)

    return Made(write, {}, f"merging of {len(parents)} models")
