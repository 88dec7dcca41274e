"""Why jobs did not finish, one line each: for `reassess status`, and for the end of a workflow that failed."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from reassess import attempts, lock, paths, slurm
from reassess.attempts import Attempt
from reassess.report.jobs import Job, jobs, outputs
from reassess.study import Study

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

    command: str
    key: str
    attempt: Attempt
    why: str

    @property
    def line(self) -> str:
        """What happened, with the reason and the log, in one line."""
        text = f"{self.key}: {self.command} {_SAID.get(self.why, self.why)}"
        step = self.attempt.end_step
        if step is None and self.command == "train":
            step = last_step(self.key)
        if step:
            text += f" after {step} responses" if self.command == "generate" else f" at step {step}"
        text += f" (attempt {self.attempt.number})" if self.attempt.number > 1 else ""
        detail = " ".join(self.attempt.detail.split()).removeprefix(f"{self.key}: ")
        text += f": {detail}" if detail else ""
        if detail.startswith(attempts.REFUSED):
            # A log would be that of an earlier attempt.
            return text
        log = self.attempt.log or _log(self.command, self.key)
        return f"{text}; log {log}" if Path(log).is_file() else text


def last(command: str, key: str) -> Last | None:
    """Return the last attempt at a job, None where there was none."""
    found = attempts.read(command, key)
    if not found:
        return None
    # Slurm may refuse a job while one of an earlier Snakemake is at work on the same.
    begun = [attempt for attempt in found[:-1] if attempt.why is None]
    if begun and lock.is_held(paths.lock(command, key)):
        return Last(command, key, begun[-1], "running")
    why = attempts.why(command, key, found[-1])
    job = found[-1].job
    if why in STOPPED and job is not None and slurm.is_over(job) is False:
        # The attempt is over and its Slurm job is not: it was put back into the queue.
        why = "waiting"
    return Last(command, key, found[-1], why)


def last_step(cell: str) -> int:
    """Return the last logged step of a run that is not finished, 0 where none is."""
    # Of every attempt and of every checkpoint that it can go on from.
    logs = list(Path(paths.run(cell)).glob("checkpoints/*/*/metrics.jsonl"))
    newest = max(logs, key=lambda path: path.stat().st_mtime, default=None)
    for line in reversed(newest.read_text(encoding="utf-8").splitlines() if newest else []):
        try:
            return int(json.loads(line).get("step", 0))
        except ValueError:
            # Cut by a kill, or still being written.
            continue
    return 0


def _log(command: str, key: str) -> str:
    """Return the log that Snakemake gives a job."""
    folder = f"{paths.RESULTS}/logs/{command.replace('-', '_')}"
    return f"{folder}.log" if command in ("tables", "figures") else f"{folder}/{key}.log"


def unfinished(job: Job) -> Last | None:
    """Return the last attempt at a job whose result is not there and that nobody works on, None otherwise."""
    if all(Path(file).exists() for file in outputs(job)):
        return None
    found = last(job.command, job.key)
    return found if found is not None and found.why in _SAID else None


def failures(study: Study, since: float, failed: Collection[str], log: str) -> str:
    """Return one line per job of a study that has not finished since a time, for the end of a workflow.

    Args:
        study: the study.
        since: seconds since the epoch; jobs whose last attempt started and ended before it are left out.
        failed: outputs of the jobs that have failed for Snakemake; one that could not be submitted has left no word.
        log: Snakemake's own log, which says more.
    """
    lines = []
    for job in jobs(study).values():
        found = unfinished(job)
        # Times in the records are whole seconds.
        if found is not None and (found.attempt.ended or found.attempt.started).timestamp() >= int(since):
            lines.append(found.line)
        elif not set(failed).isdisjoint(outputs(job)):
            lines.append(f"{job.key}: {job.command} failed outside of its own command; log {log}")
    if not lines:
        return "no job has failed; the same command goes on with what was stopped"
    return "\n".join([f"{len(lines)} jobs did not finish:", *(f"  {line}" for line in lines)])
