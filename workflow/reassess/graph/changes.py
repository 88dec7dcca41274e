"""What was changed in a study since its results were made, in words; and how to make a result again."""

from __future__ import annotations

import re
from collections.abc import Iterable

from reassess.graph.build import Graph
from reassess.graph.job import Job
from reassess.graph.report import KINDS
from reassess.graph.state import Difference, States, short

# Commands that a message prints before it only counts.
_SHOWN = 5
# What a difference of hashes comes from, by the beginning of its key.
_WORDS = (
    ("parents[", "starts from a model that was made again"),
    ("base.", "the base model was made again"),
    ("subset.", "other training examples"),
    ("checkpoint.", "measured on a model that was made again"),
    ("checkpoints", "answers of a model that was made again"),
    ("benchmarks.", "other questions"),
    ("files.responses", "scores of other responses"),
    ("read.", "made from, or measured on, other examples"),
    ("pool_content_sha256", "drawn from other examples"),
    ("held_out.", "drawn when other examples were held out"),
)


def outdated(graph: Graph, states: States) -> list[str]:
    """Return one line per change of a study that has made results outdated, such as
    `grpo learning_rate 0.0001 -> 0.0003 (8 cells)`.

    What is outdated only because something that it was made from is, is no change of its own.

    Raises:
        RecordError: a record is broken.
    """
    found: dict[str, set[str]] = {}
    for job in changed(graph, states):
        for item in states.wrong(job):
            found.setdefault(f"{_subject(job)} {_said(item)}", set()).add(job.at.cell or job.key)
    return [f"{text} ({len(jobs)} {'cell' if len(jobs) == 1 else 'cells'})" for text, jobs in found.items()]


def changed(graph: Graph, states: States) -> list[Job]:
    """Return the jobs whose results differ from what the study asks for by themselves; tables and figures follow."""
    return [job for job in graph.jobs.values() if job.rule not in KINDS and states.is_there(job) and states.wrong(job)]


def retrained(graph: Graph, states: States) -> list[Job]:
    """Return the finished runs that the study would make again: outdated, and not set aside in the form it asks for."""
    return [
        job
        for job in graph.of("train")
        if states.record(job) is not None and states.of(job) == "outdated" and states.later(job) is None
    ]


def taken_back(graph: Graph, states: States) -> list[Job]:
    """Return the runs that are outdated or not there, and set aside in the form that the study asks for."""
    return [
        job
        for job in graph.of("train")
        if states.of(job) != "done" and states.later(job) not in (None, states.record(job))
    ]


def consequences(graph: Graph, states: States) -> list[str]:
    """Return what becomes of finished runs that are outdated, with what they have cost; nothing where none is."""
    again, back = retrained(graph, states), taken_back(graph, states)
    found = []
    if again:
        records = [states.record(job) or {} for job in again]
        gpu = sum((record.get("costs") or {}).get("gpu_seconds") or 0 for record in records)
        cpu = sum(record.get("cpu_seconds") or 0 for record in records)
        took = f"{_time(gpu or cpu)} of {'GPU' if gpu else 'CPU'} time"
        found.append(
            f"to be made again: {_runs(again)}, which took {took}; what is there now is set aside, and is taken back "
            "when the change is undone"
        )
    if back:
        found.append(f"to be taken back: {_runs(back)}, set aside by an earlier change; nothing is trained for them")
    return found


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 3600 else f"{seconds / 3600:,.1f} hours"


def _runs(jobs: list[Job]) -> str:
    return f"{len(jobs)} finished runs" if len(jobs) > 1 else "1 finished run"


def again(graph: Graph, job: Job) -> str:
    """Return the command that makes a result again on this machine, and what follows from it."""
    study = f" --configfile {graph.source}" if graph.source not in ("", "config.yaml") else ""
    return f"snakemake --workflow-profile profiles/local{study} -R {job.record}"


def commands(graph: Graph, jobs: Iterable[Job]) -> str:
    """Return, a line each, the commands that make results again."""
    found = list(jobs)
    lines = [f"  {again(graph, job)}" for job in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"  and {len(found) - _SHOWN} more; `reassess status` has them")
    return "\n".join(lines)


def _subject(job: Job) -> str:
    """Return what a person calls the results of a job: the stage, the suite or measure, or the rule and the key."""
    if job.rule == "train":
        return job.at.stage
    return f"{job.at.what} {job.rule}" if job.at.what else f"{job.rule} {job.key}"


def _said(difference: Difference) -> str:
    for beginning, words in _WORDS:
        if difference.what.startswith(beginning):
            return words
    name = re.sub(r"^(spec\.)?(args\.)?", "", difference.what)
    found, expected = (
        "default" if value is None else short(value) for value in (difference.found, difference.expected)
    )
    return f"{name} {found} -> {expected}"
