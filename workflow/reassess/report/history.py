"""What `reassess history` prints: every attempt at a cell, oldest first."""

from __future__ import annotations

import json
from pathlib import Path

from reassess import attempts, grid, paths
from reassess.attempts import Attempt
from reassess.report.status import aligned

HEADER = ["job", "attempt", "started", "host", "Slurm job", "GPUs", "steps", "time", "why it ended", "log"]


class HistoryError(ValueError):
    """A cell of which nothing is known."""


def history(cell: str) -> str:
    """Return one line per attempt at making, training, evaluating or scoring a cell. Raises HistoryError."""
    found = [(name, command, key, item) for name, command, key in _jobs(cell) for item in attempts.read(command, key)]
    if not found:
        raise HistoryError(f"{cell!r}: nothing was attempted here; cells are the first column of `reassess status`")
    found.sort(key=lambda item: item[3].started)
    rows = [HEADER, *([name, *_row(command, key, attempt)] for name, command, key, attempt in found)]
    return "\n".join(aligned(rows))


def responses(cell: str) -> str:
    """Return the directory of a cell's kept responses. Raises HistoryError."""
    record = Path(grid.checkpoint_record(cell))
    if not record.exists():
        raise HistoryError(f"{cell!r}: no {record}; cells are the first column of `reassess status`")
    return paths.store(json.loads(record.read_text(encoding="utf-8"))["fingerprint"])


def _jobs(cell: str) -> list[tuple[str, str, str]]:
    """Return (name, command, key) of the jobs of a cell that were ever attempted."""
    first = ("base-model", "base-model", grid.model_of(cell)) if grid.is_base(cell) else ("train", "train", cell)
    suites = {
        (command, file.stem)
        for command in ("generate", "score")
        for file in Path(paths.attempts(command, cell)).glob("*.jsonl")
    }
    return [first, *((f"{command} {suite}", command, f"{cell}/{suite}") for command, suite in sorted(suites))]


def _row(command: str, key: str, attempt: Attempt) -> list[str]:
    why = attempts.why(command, key, attempt)
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
