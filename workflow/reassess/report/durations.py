"""How long a job will take: as long as it took, as long as its like took, or a guess."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, linear_regression
from typing import Any, Literal, NamedTuple

from reassess import paths
from reassess.grid import Run, model_of
from reassess.report.jobs import Job, subset_key
from reassess.study import Study

# A time limit is set well above what a job needs; half of it is what is guessed of one that has never run.
SHARE_OF_LIMIT = 0.5
# Guessed seconds of what has no time limit in a study, and of toys, whose limit says nothing. Orders of magnitude, from
# the default study on one core.
SECONDS = {"pool": 60, "benchmark": 30, "subset": 2, "score": 5, "tables": 10, "figures": 10}
TOY_SECONDS = {"base-model": 90, "train": 60, "generate": 20}

Source = Literal["measured", "like", "guess"]


class Duration(NamedTuple):
    """How long a job takes.

    Attributes:
        seconds: wall time.
        cpu_seconds: CPU time.
        source: `measured` (this job's own last result), `like` (the mean of jobs like it) or `guess`.
    """

    seconds: float
    cpu_seconds: float
    source: Source

    def times(self, factor: float) -> Duration:
        """Return the same for so many times the work."""
        return self._replace(seconds=self.seconds * factor, cpu_seconds=self.cpu_seconds * factor)


class Durations:
    """Durations of a study's jobs, from what `results/times/*.jsonl` says of earlier ones."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._own: dict[str, Duration] = {}
        self._like: dict[tuple[str, ...], list[tuple[int, Duration]]] = defaultdict(list)
        newest = {job.name: (job, found) for job, found in _results()}
        for name, (job, found) in newest.items():
            self._own[name] = found
            for likeness in self._likenesses(job):
                self._like[likeness].append((job.examples, found))

    def of(self, job: Job) -> Duration:
        """Return how long a job of the study will take; of a run that has begun, how long the rest of it will."""
        found = self._whole(job)
        if job.command != "train" or found.seconds <= 0:
            return found
        return found.times(max(0.0, 1 - _spent(job.key) / found.seconds))

    def _whole(self, job: Job) -> Duration:
        own = self._own.get(job.name)
        if own is not None:
            return own
        for likeness in self._likenesses(job):
            if self._like[likeness]:
                return _mean(self._like[likeness], job.examples)
        seconds = SHARE_OF_LIMIT * 60 * job.runtime
        if job.model is not None and self._study.models[job.model].toy is not None:
            seconds = TOY_SECONDS.get(job.command, seconds)
        seconds = SECONDS.get(job.command, seconds)
        return Duration(seconds, seconds * job.threads, "guess")

    def _likenesses(self, job: Job) -> list[tuple[str, ...]]:
        """Return what a job has in common with others, the nearest first.

        A toy is like no real model, and a model that the study does not name like none of its models.
        """
        if job.model is None:
            return [(job.command,)]
        if job.model not in self._study.models:
            return []
        kind = "toy" if self._study.models[job.model].toy is not None else "real"
        return [(job.command, job.model, job.stage), (job.command, f"any {kind}", job.stage)]


def _mean(found: Sequence[tuple[int, Duration]], examples: int) -> Duration:
    """Return the mean of jobs of as many training examples, or of others scaled by them."""
    by_size: dict[int, list[Duration]] = defaultdict(list)
    for n, item in found:
        by_size[n].append(item)
    seconds = {n: fmean(item.seconds for item in items) for n, items in by_size.items()}
    cpu_seconds = {n: fmean(item.cpu_seconds for item in items) for n, items in by_size.items()}
    return Duration(_scaled(seconds, examples), _scaled(cpu_seconds, examples), "like")


def _scaled(by_size: dict[int, float], examples: int) -> float:
    """Return the value at a number of examples: a line through two sizes or more, else in proportion to the nearest."""
    if examples in by_size:
        return by_size[examples]
    if len(by_size) > 1:
        # Starting up takes the same time at every size.
        slope, start = linear_regression(list(by_size), list(by_size.values()))
        if slope > 0 and start >= 0:
            return slope * examples + start
    # A ratio, because 400 is as far from 200 as 200 from 100.
    nearest = min(by_size, key=lambda n: max(n, examples) / min(n, examples))
    return by_size[nearest] * examples / nearest


def _results() -> Iterator[tuple[Job, Duration]]:
    """Yield what each result cost, oldest first, with the attempts that were broken off on the way to it."""
    seconds: dict[str, float] = defaultdict(float)
    cpu_seconds: dict[str, float] = defaultdict(float)
    for record in sorted(_records(), key=lambda item: float(item["started"])):
        job = _job(record)
        if job is None:
            continue
        # These two go on where they were stopped; the others start over.
        if job.command in ("train", "generate") or record["ok"]:
            seconds[job.name] += record["seconds"]
            cpu_seconds[job.name] += record["cpu_seconds"]
        if record["ok"]:
            yield job, Duration(seconds.pop(job.name), cpu_seconds.pop(job.name), "measured")


def _records() -> Iterator[dict[str, Any]]:
    for file in sorted(Path(paths.RESULTS).glob("times/*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
                complete = {"name", "started", "seconds", "cpu_seconds", "ok"} <= set(record)
            except (ValueError, TypeError):
                # A line that a kill has cut.
                continue
            if complete:
                yield record


def _job(record: dict[str, Any]) -> Job | None:
    """Return the job that a record is of, without what it needs; None for what is no job of a study."""
    command = record["name"]
    try:
        if command in ("pool", "benchmark"):
            return Job(command, record[command])
        if command == "base-model":
            return Job(command, record["model"], model=record["model"])
        if command == "subset":
            return Job(command, subset_key(record["pool"], record["seed"], record["n"]))
        if command == "train":
            run = Run(record["model"], record["pool"], record["seed"], record["lineage"])
            return Job(command, run.cell, model=run.model, stage=run.stage, examples=run.size)
        if command in ("generate", "score"):
            cell, suite = record["cell"], record["suite"]
            return Job(command, f"{cell}/{suite}", model=model_of(cell), stage=suite)
        if command in ("tables", "figures") and not record["partial"]:
            return Job(command, "all")
    except (KeyError, ValueError, TypeError):
        return None
    return None


def _spent(cell: str) -> float:
    """Return the seconds that a run's newest checkpoint already holds, 0 where it has none."""
    found = Path(paths.run(cell)).glob("checkpoints/*/checkpoint-*/complete.json")
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        return 0.0
    try:
        return float(json.loads(newest.read_text(encoding="utf-8"))["seconds"])
    except (ValueError, KeyError):
        return 0.0
