"""Checkpoints that a stopped run continues from: whole and readable ones alone, with all of their weights.

An attempt writes into a directory of its own; a checkpoint moves to where runs resume from once it is on the disk. So a
half-written one is never taken for a checkpoint, and two processes never write into one directory.
"""

from __future__ import annotations

import errno
import json
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from reassess.train import ranks
from reassess.work import records

# Written last into a checkpoint, with the hash of every file.
COMPLETE = "complete.json"
METRICS = "metrics.jsonl"
# Bytes; a disk with less is full for every purpose here.
NO_SPACE = 1 << 22
TRAJECTORY = "trajectory"
# TRL's directory of logged completions, a file per step (`log_completions`).
COMPLETIONS = "completions"


class Clock:
    """Wall and CPU seconds of a run: of this process, and of stopped ones up to the checkpoint they left."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()
        self._began, self._others = self._cpu, 0.0

    def add(self, seconds: float, cpu_seconds: float) -> None:
        """Count the time of stopped processes."""
        self._wall -= seconds
        self._cpu -= cpu_seconds

    def spent(self) -> tuple[float, float]:
        """Return (wall seconds, CPU seconds)."""
        return time.monotonic() - self._wall, time.process_time() - self._cpu + self._others

    def gather(self) -> None:
        """Count what the other processes have spent by now; all of them call this."""
        own = time.process_time() - self._began
        self._others = ranks.total(own) - own


class Checkpoint(NamedTuple):
    """A complete checkpoint.

    Attributes:
        path: its directory.
        step: optimizer steps done.
        seconds: wall time of the run so far, over all its processes.
        cpu_seconds: likewise, CPU time.
        world: the training processes that wrote it.
    """

    path: Path
    step: int
    seconds: float
    cpu_seconds: float
    world: str


def publish(path: Path, root: Path, clock: Clock) -> Path:
    """Make a checkpoint that was written aside one to resume from: on the disk first, then under its name at once.

    Args:
        path: `checkpoint-{step}` in the attempt's directory.
        root: where checkpoints to resume from lie.
        clock: the time the run took so far.

    Returns:
        Its path under `root`.
    """
    files = {}
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        records.sync(file)
        files[file.relative_to(path).as_posix()] = _hash(file)
    seconds, cpu_seconds = clock.spent()
    world = str(ranks.world())
    record = {"step": _step(path), "seconds": seconds, "cpu_seconds": cpu_seconds, "world": world, "files": files}
    records.write(path / COMPLETE, record)
    for folder in (path, *(item for item in path.rglob("*") if item.is_dir())):
        records.sync(folder)
    target = root / path.name
    shutil.rmtree(target, ignore_errors=True)
    path.replace(target)
    records.sync(root)
    return target


def keep_newest(root: Path, limit: int) -> None:
    """Remove all but the newest `limit` checkpoints."""
    for path in sorted(root.glob("checkpoint-*"), key=_step)[:-limit]:
        shutil.rmtree(path)


def newest_readable(root: Path) -> Checkpoint | None:
    """Return the newest checkpoint under `root` that is what was written; say of others what is wrong, and remove them.

    What stopped attempts left half written goes too: the caller holds the run's lock, so nobody writes there.
    """
    for attempt in root.glob("attempt-*"):
        for path in attempt.glob("checkpoint-*"):
            print(f"{path}: incomplete, removed", flush=True)
        leave(attempt)
    for path in sorted(root.glob("checkpoint-*"), key=_step, reverse=True):
        record, problem = _examine(path)
        if not problem:
            return Checkpoint(path, record["step"], record["seconds"], record["cpu_seconds"], record["world"])
        print(f"{path}: {problem}; removed, falling back to the checkpoint before", flush=True)
        shutil.rmtree(path)
    return None


def rewind(root: Path, attempt: Path, checkpoint: Checkpoint | None) -> int:
    """Take back what a stopped run left after a checkpoint: logged lines and trajectory checkpoints are made again.

    Args:
        root: where checkpoints to resume from lie.
        attempt: the directory of this attempt, which gets the metrics up to the checkpoint.
        checkpoint: where the run goes on, None at its start.

    Returns:
        The tokens seen up to the checkpoint.
    """
    attempt.mkdir(parents=True, exist_ok=True)
    for path in (root / TRAJECTORY).glob("*"):
        if checkpoint is None or not path.name.startswith("step-") or _step(path) > checkpoint.step:
            shutil.rmtree(path)
    if checkpoint is None:
        return 0
    if (checkpoint.path / METRICS).exists():
        shutil.copyfile(checkpoint.path / METRICS, attempt / METRICS)
    return int(logged(checkpoint.path)["tokens"])


def logged(checkpoint: Path, rank: int = 0) -> dict[str, Any]:
    """Return what a process had summed up since the last logged line when the checkpoint was written."""
    found: dict[str, Any] = json.loads((checkpoint / f"logged-{rank}.json").read_text(encoding="utf-8"))
    return found


def tokens_seen(metrics: Path) -> int:
    """Return the trainer's last count of tokens in a metrics file, 0 without one.

    In RL a line has one only where completions were sampled since the line before.
    """
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    counts = (json.loads(line).get("num_tokens") for line in reversed(lines))
    return next((int(count) for count in counts if count is not None), 0)


def clean(root: Path) -> None:
    """Remove what a run needs until it is finished: checkpoints to continue from, and directories of attempts."""
    for path in root.glob("checkpoint-*"):
        shutil.rmtree(path)
    for path in root.glob("attempt-*"):
        leave(path)


def leave(attempt: Path) -> None:
    """Remove the directory of an attempt that is over; what the trainer has logged there (completions) is kept."""
    for path in (attempt / COMPLETIONS).glob("*"):
        target = attempt.parent / COMPLETIONS / path.name
        target.parent.mkdir(exist_ok=True)
        path.replace(target)
    shutil.rmtree(attempt)


def _examine(path: Path) -> tuple[dict[str, Any], str]:
    """Return a checkpoint's record and what is wrong with its files, nothing where they are what was written."""
    try:
        record: dict[str, Any] = json.loads((path / COMPLETE).read_text(encoding="utf-8"))
        for name, expected in record["files"].items():
            if _hash(path / name) != expected:
                return record, f"{name} is not what was written"
    except FileNotFoundError as error:
        return {}, f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError, KeyError, AttributeError) as error:
        return {}, f"cannot be read ({error})"
    return record, ""


def _hash(file: Path) -> str:
    digest = xxhash.xxh3_128()
    with file.open("rb") as handle:
        while chunk := handle.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def _step(path: Path) -> int:
    """Return the step in the name of `checkpoint-{step}` or `step-{step}`."""
    return int(path.name.rpartition("-")[2])


def is_disk_full(error: Exception, directory: Path) -> bool:
    """Whether an error of writing below a directory comes from a full disk; torch says so in many words of its own."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    while not directory.exists():
        directory = directory.parent
    return shutil.disk_usage(directory).free < NO_SPACE
