"""What `reassess history` prints: every attempt at a cell, oldest first."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from reassess import paths
from reassess.console.text import aligned
from reassess.graph import Graph, Job
from reassess.spec import near
from reassess.work import attempts
from reassess.work.attempts import Attempt
from reassess.work.records import read

HEADER = ["job", "attempt", "started", "host", "Slurm job", "GPUs", "steps", "time", "why it ended", "log"]


class HistoryError(ValueError):
    """A cell of which nothing is known."""


def history(graph: Graph, given: str) -> str:
    """Return one line per attempt at making, training, evaluating or scoring a cell.

    Args:
        graph: the study.
        given: the cell, or a path of one of its results.

    Raises:
        HistoryError: nothing was attempted there, or there is no such cell; the message has similar names.
    """
    found = [(job, item) for job in _jobs(graph, _cell(graph, given)) for item in attempts.read(job.rule, job.key)]
    if not found:
        raise HistoryError(f"{given!r}: nothing was attempted here yet")
    found.sort(key=lambda item: item[1].started)
    rows = [
        HEADER,
        *([f"{job.rule} {job.at.suite or job.at.measure}".rstrip(), *_row(job, attempt)] for job, attempt in found),
    ]
    return "\n".join(aligned(rows))


def responses(graph: Graph, given: str) -> str:
    """Return the directory of a cell's kept responses, given as for `history`.

    Raises:
        HistoryError: it has no finished checkpoint, or there is no such cell.
        RecordError: the record of its checkpoint is broken.
    """
    record = graph.checkpoint(_cell(graph, given)).record
    found = read(record, fingerprint=str)
    if found is None:
        raise HistoryError(
            f"{given!r}: no {record}: the cell has no finished checkpoint now, and responses are kept by checkpoint"
        )
    return paths.store(str(found["fingerprint"]))


def _cell(graph: Graph, given: str) -> str:
    """Return the cell that is named, or that has a result at a path."""
    cells = list(dict.fromkeys((*(cell.key for cell in graph.cells), *graph.runs)))
    path = PurePosixPath(os.path.normpath(given))
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    if str(path) in cells:
        return str(path)
    # A base model's directory is of its two controls; it stands for the first.
    folders = {PurePosixPath(job.record).parent: cell for cell in reversed(cells) for job in _jobs(graph, cell)}
    for folder in (path, *path.parents):
        if folder in folders:
            return folders[folder]
    hint = f"{near(given, cells)}`reassess status` lists its cells"
    raise HistoryError(f"{given!r}: no cell of study {graph.study.name}; {hint}")


def _jobs(graph: Graph, cell: str) -> list[Job]:
    """Return the jobs of a cell."""
    asked = [job for name in ("generate", "score", "measure") for job in graph.by_cell(name, cell)]
    return [graph.checkpoint(cell), *asked]


def _row(job: Job, attempt: Attempt) -> list[str]:
    why = attempts.why(job.rule, job.key, attempt)
    end = "" if attempt.end_step is None else str(attempt.end_step)
    return [
        str(attempt.number),
        attempt.started.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        attempt.host,
        attempt.job or "",
        attempt.gpus,
        f"{attempt.start_step} to {end or '?'}" if attempt.start_step or end not in ("", "0") else "",
        "" if attempt.seconds is None else f"{attempt.seconds:.0f} s",
        f"{why}: {attempt.detail}" if attempt.detail and why != "finished" else why,
        attempt.log or "",
    ]
