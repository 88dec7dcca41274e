"""Whether a result is what the study asks for now, and why not: the one place that answers it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from reassess import paths
from reassess.graph.build import Graph
from reassess.graph.choice import ChoiceError, chosen
from reassess.graph.job import Job
from reassess.work.records import RecordError, file_sha256, read

Name = Literal["done", "partial", "outdated", "missing"]
Record = dict[str, Any]
Look = Callable[[Job], Record | None]
# Without one of these, what was made from it cannot be compared with anything.
_CHECKED = ("model", "train", "generate", "score", "measure", "import")
# What is compared inside of records, by its shape: objects, objects of objects, and lists of objects.
_OBJECTS = ("subset", "files", "made_from", "base", "asked", "only_with", "checkpoint", "work", "match")
_NESTED = ("read", "benchmarks")
_LISTS = ("parents", "checkpoints", "trajectory")


class Difference(NamedTuple):
    """Something in a record that is not as the study and the other records have it.

    Attributes:
        what: key path in the record.
        found: the value there; None stands for a missing one.
        expected: the value now.
    """

    what: str
    found: Any
    expected: Any

    def __str__(self) -> str:
        return f"{self.what} is {short(self.found)}, expected {short(self.expected)}"


class States:
    """The states of a study's jobs, by the records that are on disk. Records are read once.

    Args:
        graph: the study.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._records: dict[str, Record | None] = {}
        self._states: dict[str, Name] = {}
        self._later: dict[str, Record | None] = {}
        self._differences: dict[str, list[Difference]] = {}

    def of(self, job: Job) -> Name:
        """Return whether a result is there and is, with all that it was made from, what the study asks for now.

        `partial` are responses or scores of which nothing is wrong, to other benchmarks than the suite has now.

        Raises:
            RecordError: a record is broken.
        """
        found = self._states.get(job.name)
        if found is None:
            found = self._states[job.name] = self._state(job)
        return found

    def _state(self, job: Job) -> Name:
        if not self.is_there(job):
            return "missing"
        if self.wrong(job):
            return "outdated"
        state: Name = "partial" if self.differences(job) else "done"
        for need in (self._graph.jobs[name] for name in job.needs):
            found = self.of(need)
            if found == "outdated" or (found == "missing" and need.rule in _CHECKED):
                return "outdated"
            if found == "partial":
                if job.rule != "score":
                    return "outdated"
                state = "partial"
        return state

    def is_there(self, job: Job) -> bool:
        """Whether a job's files are there, of whatever state."""
        return all(Path(file).exists() for file in job.outputs) and self.record(job) is not None

    def record(self, job: Job) -> Record | None:
        """Return the record of a job, None where there is none. Raises RecordError where it is broken."""
        if job.record not in self._records:
            kinds: dict[str, type] = {"spec": dict}
            if job.rule in ("model", "train"):
                kinds["fingerprint"] = str
            found = read(job.record, **kinds)
            broken = next((key for key in found or () if not _is_shaped(key, (found or {})[key])), None)
            if broken is not None:
                raise RecordError(f"{job.record}: `{broken}` is broken; delete the file and run the study again")
            self._records[job.record] = found
        return self._records[job.record]

    def later(self, job: Job) -> Record | None:
        """Return the record that a run or a base model will have without being made, None where it has to be.

        It is the one that it has, if that is current; else that of one which was set aside and will be taken back.
        What comes of examples that are outdated themselves is not known.
        """
        if job.rule not in ("model", "train"):
            return None if self.of(job) == "outdated" else self.record(job)
        if job.name not in self._later:
            self._later[job.name] = self._untrained(job)
        return self._later[job.name]

    def _untrained(self, job: Job) -> Record | None:
        if any(self.later(maker) is None for maker in self._graph.needed(job, "model", "train")):
            return None
        if any(self.of(need) == "outdated" for need in self._graph.needed(job, "subset", "score")):
            return None
        folder = Path(job.record).parent
        # A model that somebody has removed leaves a link to nothing.
        is_gone = (folder / "model").is_symlink() and not (folder / "model").exists()
        now = self.record(job)
        if now is not None and not is_gone and not self._compare(job, now, self.later):
            return now
        for file in folder.glob("checkpoints/*/finished.json"):
            found = _set_aside(file)
            if found is not None and not self._compare(job, found, self.later):
                return found
        return None

    def differences(self, job: Job) -> list[Difference]:
        """Return how the record of a job differs from what is asked now, its own inputs included.

        Nothing where there is no record. What it was made from may be outdated itself, or gone: see `of`.

        Raises:
            RecordError: a record is broken.
        """
        if job.name not in self._differences:
            record = self.record(job)
            self._differences[job.name] = [] if record is None else self._compare(job, record, self.record)
        return self._differences[job.name]

    def wrong(self, job: Job) -> list[Difference]:
        """Return the differences that make a result outdated: a suite's further benchmarks do not.

        Raises:
            RecordError: a record is broken.
        """
        return [item for item in self.differences(job) if not _is_coverage(job, item)]

    def _compare(self, job: Job, record: Record, look: Look) -> list[Difference]:
        """Return how a record of a job differs from what is asked, given the records of what it needs."""
        found = list(nested("spec", record.get("spec", {}), json.loads(job.spec)))
        if job.rule == "train":
            return found + list(self._run(job, record, look))
        check = {
            "pool": self._examples,
            "benchmark": self._examples,
            "examples": self._examples,
            "subset": self._subset,
            "generate": self._responses,
            "score": self._scores,
            "measure": self._measured,
            "import": self._asked,
            "tables": self._report,
            "figures": self._report,
        }.get(job.rule)
        return found + (list(check(job, record)) if check else [])

    def _needed(self, job: Job, *rules: str) -> list[tuple[Job, Record]]:
        """Return what a job needs of some rules, with the records that are there."""
        needs = self._graph.needed(job, *rules)
        return [(need, found) for need in needs if (found := self.record(need)) is not None]

    def _examples(self, job: Job, record: dict[str, Any]) -> Iterator[Difference]:
        for need, manifest in self._needed(job, "pool", "benchmark", "examples"):
            used = (record.get("read") or {}).get(need.key) or {}
            for key in ("content_sha256", "held_out"):
                yield from nested(f"read.{need.key}.{key}", used.get(key), manifest.get(key))
        for rule, file, field in (
            ("generate", "responses.parquet", "responses_sha256"),
            ("measure", "values.parquet", "values_sha256"),
        ):
            for _, made in self._needed(job, rule) if job.rule == "examples" else ():
                used, there = (record.get("asked") or {}).get(field), (made.get("files") or {}).get(file)
                yield from nested(f"asked.{field}", used, there)

    def _subset(self, job: Job, record: dict[str, Any]) -> Iterator[Difference]:
        for need, pool in self._needed(job, "pool", "examples"):
            if need.name != job.needs[0]:
                used = (record.get("only_with") or {}).get(need.key)
                yield from nested(f"only_with.{need.key}", used, pool.get("content_sha256"))
                continue
            yield from nested("pool_content_sha256", record.get("pool_content_sha256"), pool.get("content_sha256"))
            yield from nested("held_out", record.get("held_out"), pool.get("held_out"))

    def _run(self, job: Job, record: Record, look: Look) -> Iterator[Difference]:
        parents = record.get("parents") or []
        for i, maker in enumerate(self._graph.parents(job)):
            there = look(maker)
            if there is not None and (expected := self._started_from(job, there)) is not None:
                used = parents[i].get("fingerprint") if i < len(parents) else None
                yield from nested(f"parents[{i}].fingerprint (of {maker.record})", used, expected)
        if self._graph.stage(job).needs_base and (base := look(self._graph["model", job.at.model or ""])) is not None:
            yield from nested("base.fingerprint", (record.get("base") or {}).get("fingerprint"), base["fingerprint"])
        by = json.loads(job.spec).get("match")
        costs = [((look(need) or {}).get("work") or {}).get(by) for need in self._graph.matched(job)]
        if costs and all(isinstance(cost, int) for cost in costs):
            yield from nested("match.wanted", (record.get("match") or {}).get("wanted"), sum(costs))
        for _, subset in self._needed(job, "subset"):
            used = record.get("subset") or {}
            yield from nested("subset.ids_sha256", used.get("ids_sha256"), subset.get("ids_sha256"))
            yield from nested("subset.content_sha256", used.get("content_sha256"), subset.get("pool_content_sha256"))

    def _started_from(self, job: Job, parent: Record) -> str | None:
        """Return the fingerprint of the checkpoint that a run starts from, None where the choice cannot be made."""
        if not self._graph.stage(job).CHOOSES:
            return str(parent["fingerprint"])
        scores = {need.key: found for need, found in self._needed(job, "score")}
        try:
            return str(chosen(self._graph, job, parent, scores)["fingerprint"])
        except (ChoiceError, LookupError, TypeError, AttributeError):
            return None

    def _responses(self, job: Job, record: dict[str, Any]) -> Iterator[Difference]:
        asked = {_point(item.get("step")): item.get("fingerprint") for item in record.get("checkpoints") or ()}
        for maker, made in self._needed(job, "model", "train"):
            yield from nested(f"checkpoints (of {maker.record})", asked, self._made(job, made))
        yield from self._asked(job, record)

    def _asked(self, job: Job, record: dict[str, Any]) -> Iterator[Difference]:
        described = record.get("benchmarks") or {}
        for need, manifest in self._needed(job, "benchmark", "pool", "examples"):
            used = (described.get(need.key) or {}).get("content_sha256")
            yield from nested(f"benchmarks.{need.key}.content_sha256", used, manifest.get("content_sha256"))

    def _made(self, job: Job, record: dict[str, Any]) -> dict[str, Any]:
        """Return the fingerprints of the checkpoints that a suite asks, by what they are called."""
        if self._graph.sheet(job).is_trajectory:
            return {_point(item.get("step")): item.get("fingerprint") for item in record.get("trajectory") or ()}
        return {_point(None): record["fingerprint"]}

    def _scores(self, job: Job, record: dict[str, Any]) -> Iterator[Difference]:
        for need in (self._graph.jobs[name] for name in job.needs):
            responses = self.record(need)
            if responses is None:
                # Responses that were deleted once they were judged: the record of the scores repeats theirs.
                yield from self._responses(need, record)
                continue
            judged, there = ((item.get("files") or {}).get("responses.parquet") for item in (record, responses))
            yield from nested("files.responses.parquet", judged, there)

    def _measured(self, job: Job, record: dict[str, Any]) -> Iterator[Difference]:
        for maker, made in self._needed(job, "model", "train"):
            used = (record.get("checkpoint") or {}).get("fingerprint")
            yield from nested(f"checkpoint.fingerprint (of {maker.record})", used, made["fingerprint"])
        yield from self._examples(job, record)

    def _report(self, job: Job, record: dict[str, Any]) -> Iterator[Difference]:
        yield from nested("study", record.get("study"), self._graph.study.name)
        used = record.get("made_from") or {}
        there = [file for file in self._graph.results() if Path(file).exists()]
        for file in dict.fromkeys((*there, *used)):
            if file not in used or file not in there:
                yield Difference(f"made_from.{file}", used.get(file), None if file in used else "its hash")
        written = Path(paths.report(job.rule)).stat().st_mtime
        for file in there:
            # What was made again may have come out the same.
            if file in used and Path(file).stat().st_mtime > written:
                yield from nested(f"made_from.{file}", used[file], file_sha256(file))


def _is_coverage(job: Job, difference: Difference) -> bool:
    """Whether a difference is only that a suite has other benchmarks now than those that were answered."""
    if job.rule not in ("generate", "score") or not job.at.suite:
        return False
    unanswered = difference.found is None and difference.what.startswith(("benchmarks.", "spec.rules"))
    return unanswered or difference.what == "spec.benchmarks"


def nested(what: str, found: Any, expected: Any) -> Iterator[Difference]:
    """Yield the places where two values of JSON differ, with both values; None stands for a missing one."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted({*found, *expected}):
            yield from nested(f"{what}.{key}", found.get(key), expected.get(key))
    elif isinstance(found, float) and isinstance(expected, float):
        # The sum of the same numbers in another version of a library may differ in its last digit.
        if not math.isclose(found, expected, rel_tol=1e-9):
            yield Difference(what, found, expected)
    elif found != expected:
        yield Difference(what, found, expected)


def _set_aside(file: Path) -> Record | None:
    """Return the record of a finished run, None where it could not be taken back: its files are not all there."""
    try:
        found: Record = (read(file, run=dict) or {}).get("run") or {}
    except RecordError:
        return None
    if found.get("identity") != file.parent.name or not all(_is_shaped(key, value) for key, value in found.items()):
        return None
    kept = [Path(item["path"]) for item in found.get("trajectory") or () if isinstance(item.get("path"), str)]
    return found if all(path.exists() for path in (file.parent / "model", *kept)) else None


def _is_shaped(key: str, value: Any) -> bool:
    """Return whether a field of a record has the shape in which it is compared; other fields have any."""
    if value is None:
        return True
    if key in _LISTS:
        return isinstance(value, list) and all(isinstance(item, dict) for item in value)
    if key in _NESTED:
        return isinstance(value, dict) and all(isinstance(item, dict) for item in value.values())
    return key not in _OBJECTS or isinstance(value, dict)


def short(value: Any) -> str:
    """Return a value in a line for people: of a hash, the digits that tell it from others."""
    text = str(value)
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return text[:16]
    return text if len(text) <= 120 else f"{text[:117]}..."


def _point(step: Any) -> str:
    return "final" if step is None else f"step {step}"
