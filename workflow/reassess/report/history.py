"""What `reassess history` prints: every attempt at a cell, oldest first."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path, PurePosixPath

from reassess import attempts, grid, paths
from reassess.attempts import Attempt
from reassess.records import read
from reassess.report.status import aligned

HEADER = ["job", "attempt", "started", "host", "Slurm job", "GPUs", "steps", "time", "why it ended", "log"]


class HistoryError(ValueError):
    """A cell of which nothing is known."""


def history(given: str) -> str:
    """Return one line per attempt at making, training, evaluating or scoring a cell.

    Args:
        given: the cell, or a path below `results/runs/`, `results/evals/` or `results/models/`.

    Raises:
        HistoryError: nothing was attempted there; the message has cells of similar names.
    """
    cell = _cell(given)
    found = [(name, command, key, item) for name, command, key in _jobs(cell) for item in attempts.read(command, key)]
    if not found:
        raise HistoryError(f"{given!r}: nothing was attempted here; {_near(cell)}")
    found.sort(key=lambda item: item[3].started)
    rows = [HEADER, *([name, *_row(command, key, attempt)] for name, command, key, attempt in found)]
    return "\n".join(aligned(rows))


def responses(given: str) -> str:
    """Return the directory of a cell's kept responses, given as for `history`.

    Raises:
        HistoryError: it has no finished checkpoint, or there is no such cell.
        RecordError: the record of its checkpoint is broken.
    """
    cell = _cell(given)
    record = Path(grid.checkpoint_record(cell))
    if (found := read(record, fingerprint=str)) is not None:
        return paths.store(found["fingerprint"])
    if any(attempts.file_of(command, key).exists() for _, command, key in _jobs(cell)):
        raise HistoryError(
            f"{given!r}: no {record}: the cell has no finished checkpoint now, and responses are kept by checkpoint"
        )
    raise HistoryError(f"{given!r}: no {record}; {_near(cell)}")


def _cell(given: str) -> str:
    """Return the cell of a path below `results/`; what is no such path is returned as it is."""
    path = PurePosixPath(os.path.normpath(given))
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    parts = path.parts
    if len(parts) < 3 or parts[0] != paths.RESULTS or parts[1] not in ("runs", "evals", "models"):
        return given.rstrip("/")
    if parts[1] == "models":
        return f"{parts[2]}/{grid.BASE}"
    name = "/".join(parts[2:])
    # Below it are files and suites, whose names have no `@`; stages have one.
    trained = re.match(r"[^/]+/[^/]+/seed[^/]+(?:/[^/@]+@\d+)+(?=/|$)", name)
    return trained[0] if trained else "/".join(parts[2:4])


def _near(cell: str) -> str:
    """Return what to ask for instead of an unknown cell."""
    near = difflib.get_close_matches(cell, _attempted(), n=3)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{meant}cells are the first column of `reassess status`"


def _attempted() -> list[str]:
    """Return the cells that were ever trained or evaluated, as far as there are records."""
    trained = Path(paths.attempts("train", "")).rglob("*.jsonl")
    found = {file.relative_to(paths.attempts("train", "")).with_suffix("").as_posix() for file in trained}
    answered = Path(paths.attempts("generate", "")).rglob("*.jsonl")
    found |= {file.parent.relative_to(paths.attempts("generate", "")).as_posix() for file in answered}
    made = Path(paths.attempts("base-model", "")).glob("*.jsonl")
    return sorted(found | {f"{file.stem}/{grid.BASE}" for file in made})


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
