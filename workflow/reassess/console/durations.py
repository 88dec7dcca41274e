"""How long a job will take: as long as it took, as long as its like took, or a guess."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, linear_regression
from typing import Any, Literal, NamedTuple

from reassess import paths
from reassess.graph import Coordinates, Graph, Job, resources

# A time limit is set well above what a job needs; half of it is what is guessed of one that has never run.
SHARE_OF_LIMIT = 0.5
# Guessed seconds of what has no time limit in a study, and of toys, whose limit says nothing. Orders of magnitude, from
# the default study on one core.
SECONDS = {
    **{"pool": 60, "benchmark": 30, "examples": 30, "subset": 2},
    **{"score": 5, "import": 10, "tables": 10, "figures": 10},
}
TOY_SECONDS = {"model": 90, "train": 60, "generate": 20, "measure": 15}

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

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._study = graph.study
        self._own: dict[str, Duration] = {}
        self._like: dict[tuple[str, ...], list[tuple[int, Duration]]] = defaultdict(list)
        newest = {job.name: (job, found) for job, found in _results()}
        for name, (job, found) in newest.items():
            self._own[name] = found
            for likeness in self._likenesses(job):
                self._like[likeness].append((_examples(job), found))

    def of(self, job: Job) -> Duration:
        """Return how long a job of the study will take; of a run that has begun, how long the rest of it will."""
        found = self._whole(job)
        if job.rule != "train" or found.seconds <= 0:
            return found
        return found.times(max(0.0, 1 - _spent(job) / found.seconds))

    def _whole(self, job: Job) -> Duration:
        own = self._own.get(job.name)
        if own is not None:
            return own
        for likeness in self._likenesses(job):
            if self._like[likeness]:
                return _mean(self._like[likeness], _examples(job))
        if job.rule in SECONDS:
            return Duration(SECONDS[job.rule], SECONDS[job.rule], "guess")
        assert job.at.model is not None
        asked = resources.of(self._study, job)
        is_toy = self._kind(job.at.model) == "toy"
        seconds = TOY_SECONDS[job.rule] if is_toy else SHARE_OF_LIMIT * 60 * asked.runtime
        # A study gives threads on each node.
        return Duration(seconds, seconds * asked.threads * asked.nodes, "guess")

    def _kind(self, model: str) -> str | None:
        """Return what kind of model one is, None where the study does not name it."""
        if model in self._study.endpoints:
            return "endpoint"
        if model not in self._study.speakers:
            return None
        return "toy" if self._study.speakers[model].toy is not None else "real"

    def _likenesses(self, job: Job) -> list[tuple[str, ...]]:
        """Return what a job has in common with others, the nearest first.

        A toy is like no real model, and a model that the study does not name like none of its models.
        """
        if job.at.model is None:
            return [(job.rule,)]
        if (kind := self._kind(job.at.model)) is None:
            return []
        what = job.at.what
        found: list[tuple[str, ...]] = [(job.rule, job.at.model, what), (job.rule, f"any {kind}", what)]
        stage = self._study.all_stages.get(job.at.stage)
        # How long one trains that matches the cost of a recipe says nothing of others of its kind, nor they of it.
        if stage is not None and stage.matches is None:
            # Another variant, or another stage of the kind.
            found += [(job.rule, where, f"kind {stage.kind}") for where in (job.at.model, f"any {kind}")]
        return found


def _examples(job: Job) -> int:
    """Return the training examples with which a job takes longer, 0 where they make no difference."""
    return (job.at.size or 0) if job.rule in ("subset", "train") else 0


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
        # These go on where they were stopped; the others start over.
        if job.rule in ("train", "generate", "measure") or record["ok"]:
            seconds[job.name] += record["seconds"]
            cpu_seconds[job.name] += record["cpu_seconds"]
        if record["ok"]:
            yield job, Duration(seconds.pop(job.name), cpu_seconds.pop(job.name), "measured")


def _records() -> Iterator[dict[str, Any]]:
    for file in sorted(Path(paths.RESULTS).glob("times/*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
                complete = {"rule", "key", "at", "started", "seconds", "cpu_seconds", "ok"} <= set(record)
            except (ValueError, TypeError):
                # A line that a kill has cut.
                continue
            if complete:
                yield record


def _job(record: dict[str, Any]) -> Job | None:
    """Return the job that a record is of, without what it needs; None where the record is damaged."""
    try:
        return Job(record["rule"], record["key"], (), (), (), "", Coordinates(**record["at"]))
    except TypeError:
        return None


def _spent(job: Job) -> float:
    """Return the seconds that a run's newest checkpoint already holds, 0 where it has none."""
    found = Path(job.record).parent.glob("checkpoints/*/checkpoint-*/complete.json")
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        return 0.0
    try:
        return float(json.loads(newest.read_text(encoding="utf-8"))["seconds"])
    except (ValueError, KeyError):
        return 0.0
