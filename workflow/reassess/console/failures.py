"""Why jobs did not finish, one line each: for `reassess status`, and for the end of a workflow that failed."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from reassess import paths
from reassess.graph import Graph, Job
from reassess.work import attempts, lock, slurm
from reassess.work.attempts import Attempt

# How a sentence goes on after the name of a job, by why its last attempt ended.
_SAID = {
    "failed": "failed",
    "time_limit": "reached its time limit",
    "terminated": "was asked to stop",
    "out_of_memory": "ran out of memory",
    "node_lost": "lost its node",
    "preempted": "was preempted",
    "cancelled": "was cancelled",
    "killed": "was killed",
}
# What the same command, run again unchanged, would most likely meet again.
FAILED = ("failed", "out_of_memory")
# What stopped a job from outside; the same command continues it.
STOPPED = tuple(why for why in _SAID if why not in FAILED)


class Last(NamedTuple):
    """The last attempt at a job, and why it ended: `running` or `waiting` where it has not."""

    job: Job
    attempt: Attempt
    why: str

    @property
    def line(self) -> str:
        """What happened, with the reason and the log, in one line."""
        text = f"{self.job.key}: {self.job.rule} {_SAID.get(self.why, self.why)}"
        step = self.attempt.end_step
        if step is None and self.job.rule == "train":
            step = last_step(self.job)
        if step:
            what = {"generate": f"after {step} responses", "measure": f"after {step} examples"}
            text += f" {what.get(self.job.rule, f'at step {step}')}"
        text += f" (attempt {self.attempt.number})" if self.attempt.number > 1 else ""
        detail = " ".join(self.attempt.detail.split()).removeprefix(f"{self.job.key}: ")
        text += f": {detail}" if detail else ""
        if detail.startswith(attempts.REFUSED):
            # A log would be that of an earlier attempt.
            return text
        log = self.attempt.log or paths.log(self.job.rule, self.job.key)
        return f"{text}; log {log}" if Path(log).is_file() else text


def last(job: Job) -> Last | None:
    """Return the last attempt at a job, None where there was none."""
    found = attempts.read(job.rule, job.key)
    if not found:
        return None
    # Slurm may refuse a job while one of an earlier Snakemake is at work on the same.
    begun = [attempt for attempt in found[:-1] if attempt.why is None]
    if begun and lock.is_held(paths.lock(job.rule, job.key)):
        return Last(job, begun[-1], "running")
    why = attempts.why(job.rule, job.key, found[-1])
    allocation = found[-1].job
    if why in STOPPED and allocation is not None and slurm.is_over(allocation) is False:
        # The attempt is over and its Slurm job is not: it was put back into the queue.
        why = "waiting"
    return Last(job, found[-1], why)


def last_step(job: Job) -> int:
    """Return the last logged step of a run that is not finished, 0 where none is."""
    # Of every attempt and of every checkpoint that it can go on from.
    logs = list(Path(job.record).parent.glob("checkpoints/*/*/metrics.jsonl"))
    newest = max(logs, key=lambda path: path.stat().st_mtime, default=None)
    for line in reversed(newest.read_text(encoding="utf-8").splitlines() if newest else []):
        try:
            return int(json.loads(line).get("step", 0))
        except ValueError:
            # Cut by a kill, or still being written.
            continue
    return 0


def unfinished(job: Job) -> Last | None:
    """Return the last attempt at a job whose result is not there and that nobody works on, None otherwise."""
    if all(Path(file).exists() for file in job.outputs):
        return None
    found = last(job)
    return found if found is not None and found.why in _SAID else None


def failures(graph: Graph, since: float, failed: Collection[str], log: str) -> str:
    """Return one line per job of a study that has not finished since a time, for the end of a workflow.

    Args:
        graph: the study.
        since: seconds since the epoch; jobs whose last attempt started and ended before it are left out.
        failed: outputs of the jobs that have failed for Snakemake; one that could not be submitted has left no word.
        log: Snakemake's own log, which says more.
    """
    lines = []
    for job in graph.jobs.values():
        found = unfinished(job)
        # Times in the records are whole seconds.
        if found is not None and (found.attempt.ended or found.attempt.started).timestamp() >= int(since):
            lines.append(found.line)
        elif not set(failed).isdisjoint(job.outputs):
            lines.append(f"{job.key}: {job.rule} failed outside of its own command; log {log}")
    if not lines:
        return "no job has failed; the same command goes on with what was stopped"
    return "\n".join([f"{len(lines)} jobs did not finish:", *(f"  {line}" for line in lines)])
