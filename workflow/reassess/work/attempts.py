"""What was attempted at each job, on which host, from and to which step, and why it ended.

Lines are appended and never changed: one when an attempt starts, one when it ends. A process that was killed writes no
end; the next attempt, or whoever reads, asks Slurm what became of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from reassess import paths
from reassess.work import lock, slurm

# Where a job's own GPUs stand, whoever has given them.
GPUS = "CUDA_VISIBLE_DEVICES"
# Where the output of a job step goes.
LOG = "REASSESS_LOG"
# How the detail of an attempt begins that never was one.
REFUSED = "could not be submitted: "


class Attempt(NamedTuple):
    """One attempt at a job.

    Attributes:
        number: counts from 1, over all workflows that ever tried.
        host: where it ran.
        job: Slurm job id.
        restart: how often Slurm had requeued that job.
        gpus: ids of the GPUs of its first node, comma-separated.
        started: when.
        start_step: the step it began at; 0 for what has no steps.
        ended: when, None where nobody wrote it down.
        end_step: the last step done, None likewise.
        why: `finished`, `failed`, `time_limit`, `terminated`, `out_of_memory`, `node_lost`, `preempted`, `cancelled` or
            `killed`; None while it runs, or where it was killed and nobody has looked.
        detail: one line for a person.
        seconds: wall time; of an attempt without an end, up to its last sign of life.
        log: its log.
        nodes: how many nodes it ran on, each with as many GPUs.
    """

    number: int
    host: str
    job: str | None
    restart: int
    gpus: str
    started: datetime
    start_step: int
    ended: datetime | None = None
    end_step: int | None = None
    why: str | None = None
    detail: str = ""
    seconds: float | None = None
    log: str | None = None
    nodes: int = 1

    @property
    def is_success(self) -> bool:
        return self.why == "finished"


def read(command: str, key: str) -> list[Attempt]:
    """Return the attempts at a job, oldest first."""
    found: dict[int, Attempt] = {}
    for line in _lines(file_of(command, key)):
        number = line.get("attempt", 0)
        if line.get("event") == "started":
            found[number] = Attempt(
                number,
                line["host"],
                line["job"],
                line["restart"],
                line["gpus"],
                datetime.fromisoformat(line["time"]),
                line["step"],
                log=line["log"],
            )
        elif line.get("event") == "step" and number in found:
            nodes = line.get("nodes", 1)
            found[number] = found[number]._replace(start_step=line["step"], gpus=line["gpus"], nodes=nodes)
        elif line.get("event") == "ended" and number in found:
            found[number] = found[number]._replace(
                ended=datetime.fromisoformat(line["time"]),
                **{name: line[name] for name in ("why", "detail", "seconds")},
                end_step=line["step"],
            )
    return list(found.values())


def why(command: str, key: str, attempt: Attempt) -> str:
    """Return why an attempt ended, `running` or `waiting`; of one without an end, what the lock and Slurm know."""
    if attempt.why is not None:
        return attempt.why
    if lock.is_held(paths.lock(command, key)):
        return "running"
    return fate(attempt)


def fate(attempt: Attempt) -> str:
    """Return what became of an attempt that is over and wrote no end."""
    if attempt.job is None:
        return "killed"
    try:
        state = slurm.state(attempt.job)
        again = slurm.restarts(attempt.job) > attempt.restart
    except OSError:
        return "killed"
    if again or state in ("PENDING", "RUNNING", "CONFIGURING", "REQUEUED"):
        # The same job runs or waits again, so Slurm took it back without notice.
        return "node_lost" if slurm.was_lost(attempt.host, attempt.started) else "preempted"
    if state == "FAILED" and attempt.log is not None and _ran_out_of_memory(Path(attempt.log)):
        return "out_of_memory"
    # What Slurm calls failed or completed is the shell around it; the process itself wrote no end.
    return "killed" if state in (None, "COMPLETED", "FAILED") else slurm.ENDS.get(state, "killed")


def _ran_out_of_memory(log: Path) -> bool:
    """Whether Slurm says so in a log: where a job step ran out of memory, the job as a whole has only failed."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - (1 << 16)))
            said = handle.read()
    except OSError:
        return False
    return b"oom-kill event" in said or b"Out Of Memory" in said


class Record:
    """Writes the lines of one attempt; `step` is kept up to date by whoever works."""

    def __init__(self, command: str, key: str) -> None:
        self.file = file_of(command, key)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        earlier = read(command, key)
        for attempt in earlier:
            if attempt.ended is None:
                self._close(attempt)
        self.number = earlier[-1].number + 1 if earlier else 1
        self.step = 0
        self._started = datetime.now(UTC)
        job = slurm.job_id()
        restart = 0
        if job is not None:
            with contextlib.suppress(OSError):
                restart = slurm.restarts(job)
        self._append(
            {
                "event": "started",
                "attempt": self.number,
                "command": command,
                "key": key,
                "time": self._started.isoformat(timespec="seconds"),
                "host": os.environ.get("SLURMD_NODENAME") or platform.node(),
                "pid": os.getpid(),
                "job": job,
                "restart": restart,
                "gpus": "",
                "step": 0,
                "log": self._keep_log(Path(paths.attempts(command, key))),
            }
        )

    def begin(self, step: int, nodes: int = 1) -> None:
        """Say at which step the attempt goes on, with which GPUs of this node, and on how many nodes like it."""
        self.step = step
        gpus = os.environ.get(GPUS, "")
        self._append({"event": "step", "attempt": self.number, "step": step, "gpus": gpus, "nodes": nodes})

    def is_futile(self) -> bool:
        """Return whether the attempt stands where it began. Raises OSError."""
        own = (line for line in _lines(self.file) if line.get("attempt") == self.number)
        begun = [line["step"] for line in own if line.get("event") == "step"]
        return self.step <= (begun[-1] if begun else 0)

    def end(self, why: str, detail: str = "") -> None:
        """Say that the attempt is over, and why."""
        now = datetime.now(UTC)
        self._append(
            {
                "event": "ended",
                "attempt": self.number,
                "time": now.isoformat(timespec="seconds"),
                "step": self.step,
                "why": why,
                "detail": detail,
                "seconds": round((now - self._started).total_seconds(), 1),
            }
        )

    def _close(self, attempt: Attempt) -> None:
        """Write the end of an earlier attempt, whose process is gone: this one holds the lock."""
        reason = fate(attempt)
        self._append(
            {
                "event": "ended",
                "attempt": attempt.number,
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "step": None,
                "why": reason,
                "detail": f"wrote no end; found {reason} by the next attempt",
                "seconds": None,
            }
        )

    def _keep_log(self, folder: Path) -> str | None:
        """Give this process' log a second name, because Snakemake removes the first one before the next attempt."""
        name = folder / f"{self.number}.log"
        try:
            target = Path(os.environ.get(LOG) or Path("/proc/self/fd/1").readlink())
            if not target.is_file():
                return None
            folder.mkdir(parents=True, exist_ok=True)
            name.unlink(missing_ok=True)
            os.link(target, name)
        except OSError:
            return None
        return name.as_posix()

    def _append(self, line: dict[str, Any]) -> None:
        _append(self.file, line)


def refuse(command: str, key: str, reason: str) -> None:
    """Record an attempt that never began, because Slurm did not take its job. Raises OSError.

    Nobody holds the lock, and an earlier Snakemake's job may be at work: its attempt is left as it is.
    """
    file = file_of(command, key)
    file.parent.mkdir(parents=True, exist_ok=True)
    number = max((attempt.number for attempt in read(command, key)), default=0) + 1
    now = datetime.now(UTC).isoformat(timespec="seconds")
    started = {"event": "started", "attempt": number, "command": command, "key": key, "time": now}
    started |= {"host": platform.node(), "pid": os.getpid(), "job": None, "restart": 0, "gpus": "", "step": 0}
    ended = {"event": "ended", "attempt": number, "time": now, "step": 0, "why": "failed", "seconds": 0.0}
    _append(file, {**started, "log": None})
    _append(file, {**ended, "detail": f"{REFUSED}{reason}"})


def file_of(command: str, key: str) -> Path:
    """Return the file that holds the attempts at a job."""
    return Path(f"{paths.attempts(command, key)}.jsonl")


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    if not file.exists():
        return
    for text in file.read_bytes().split(b"\n"):
        # A torn line says nothing.
        with contextlib.suppress(ValueError):
            found = json.loads(text)
            if isinstance(found, dict):
                yield found


def _append(file: Path, line: dict[str, Any]) -> None:
    with file.open("a+b") as handle:
        handle.seek(max(0, handle.seek(0, os.SEEK_END) - 1))
        # A line that a kill or a full disk has torn must not take this one with it.
        torn = handle.read(1) not in (b"", b"\n")
        handle.write((b"\n" if torn else b"") + json.dumps(line).encode() + b"\n")
