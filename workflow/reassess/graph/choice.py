"""Which of the checkpoints that a run has kept a stage starts from."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from reassess.graph.build import Graph
from reassess.graph.job import Job


class ChoiceError(ValueError):
    """A checkpoint that cannot be chosen: the message names the run and says what to do."""


def chosen(graph: Graph, job: Job, parent: Mapping[str, Any], scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kept checkpoint that a stage starts from: `step`, `path` and `fingerprint`.

    Args:
        graph: the study.
        job: the run whose stage chooses.
        parent: the record of the run that has kept checkpoints.
        scores: the records of their scores that the stage reads, by the key of the job.

    Raises:
        ChoiceError: none was kept, or one that has to be compared has no score.
    """
    kept = {item["step"]: item for item in parent.get("trajectory") or ()}
    accuracy: dict[int, float] = {}
    for record in scores.values():
        for step in kept:
            found = [summary.get("accuracy") for name, summary in record["scores"].items() if name.endswith(f"@{step}")]
            if found and None not in found:
                # As in tables, every benchmark counts the same.
                accuracy[step] = fmean(found)
    stage, run = graph.stage(job), graph.runs[job.key]
    try:
        if not kept:
            raise ValueError("it has kept none")
        step = stage.choose(sorted(kept), accuracy)
    except ValueError as error:
        raise ChoiceError(
            f"{job.key}: stages.{run.stage} cannot choose a checkpoint of {run.parents[0]}: {error}"
        ) from None
    return dict(kept[step])
