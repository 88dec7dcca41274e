"""Checkpoints that a stopped run continues from: complete ones alone, with all of their weights."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

from reassess.data.build import write_json
from reassess.study import Model
from reassess.train.plan import TrainError

# Written last into a checkpoint; one without it was cut off while it was being written.
COMPLETE = "complete.json"
METRICS = "metrics.jsonl"
TRAJECTORY = "trajectory"


class Clock:
    """Wall and CPU seconds of a run: of this process, and of stopped ones up to the checkpoint they left."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def add(self, seconds: float, cpu_seconds: float) -> None:
        """Count the time of stopped processes."""
        self._wall -= seconds
        self._cpu -= cpu_seconds

    def spent(self) -> tuple[float, float]:
        """Return (wall seconds, CPU seconds)."""
        return time.monotonic() - self._wall, time.process_time() - self._cpu


class Checkpoint(NamedTuple):
    """A complete checkpoint.

    Attributes:
        path: its directory.
        step: optimizer steps done.
        seconds: wall time of the run so far, over all its processes.
        cpu_seconds: likewise, CPU time.
    """

    path: Path
    step: int
    seconds: float
    cpu_seconds: float


def mark_complete(path: Path, seconds: float, cpu_seconds: float) -> None:
    """Declare a checkpoint complete, once every file of it has reached the disk."""
    sizes = {}
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
        sizes[file.relative_to(path).as_posix()] = file.stat().st_size
    record = {"step": _step(path), "seconds": seconds, "cpu_seconds": cpu_seconds, "files": sizes}
    write_json(path / COMPLETE, record)


def keep_newest(root: Path, limit: int) -> None:
    """Remove all but the newest `limit` checkpoints."""
    for path in sorted(root.glob("checkpoint-*"), key=_step)[:-limit]:
        shutil.rmtree(path)


def newest_complete(root: Path) -> Checkpoint | None:
    """Return the newest complete checkpoint under `root`; remove the incomplete ones."""
    found = None
    for path in sorted(root.glob("checkpoint-*"), key=_step):
        record = _complete(path)
        if record is None:
            print(f"{path}: incomplete, removed", flush=True)
            shutil.rmtree(path)
        else:
            found = Checkpoint(path, record["step"], record["seconds"], record["cpu_seconds"])
    return found


def rewind(root: Path, step: int) -> int:
    """Take back what a stopped run left after `step`: logged lines and trajectory checkpoints are made again.

    Returns:
        The tokens seen up to `step`.
    """
    metrics = root / METRICS
    if metrics.exists():
        lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if (parsed := _parsed(line)) and parsed["step"] <= step]
        aside = metrics.with_suffix(".tmp")
        aside.write_text("".join(kept), encoding="utf-8")
        aside.replace(metrics)
    for path in (root / TRAJECTORY).glob("*"):
        if not path.name.startswith("step-") or _step(path) > step:
            shutil.rmtree(path)
    return tokens_seen(metrics)


def _parsed(line: str) -> dict[str, Any]:
    """Return a logged line, empty where it was torn when the process died."""
    try:
        found: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return found


def tokens_seen(metrics: Path) -> int:
    """Return the trainer's count of tokens in the last line of a metrics file, 0 without one."""
    return int(last_line(metrics).get("num_tokens", 0))


def last_line(metrics: Path) -> dict[str, Any]:
    """Return the last whole line of a metrics file, empty without one."""
    lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True) if metrics.exists() else []
    whole = [found for line in lines if (found := _parsed(line))]
    return whole[-1] if whole else {}


def restore(model: Any, checkpoint: Path, spec: Model) -> None:
    """Give `model` the weights of a checkpoint, every one of them.

    Trainer's own resume matches raw names and skips those that differ, and families whose names change between
    disk and memory would train on from the base model without a word. `from_pretrained` knows the names of both.

    Raises:
        TrainError: the checkpoint lacks weights of the model, or has others.
    """
    loaded = load_exactly(checkpoint, spec, model.dtype)
    model.load_state_dict(loaded.state_dict(), strict=True)


def load_exactly(directory: Path, spec: Model, dtype: Any) -> Any:
    """Return the model in `directory`, of which every weight was there.

    Raises:
        TrainError: weights are missing, left over, or of another shape.
    """
    from transformers import AutoModelForImageTextToText

    model, info = AutoModelForImageTextToText.from_pretrained(
        directory,
        dtype=dtype,
        trust_remote_code=spec.trust_remote_code,
        use_safetensors=True,
        output_loading_info=True,
    )
    problems = []
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in info[kind])
        if names:
            problems.append(f"{len(names)} {kind.replace('_', ' ')} (such as {names[0]})")
    if problems:
        raise TrainError(
            f"{directory}: the weights do not fit the model's {len(model.state_dict())} tensors: "
            f"{', '.join(problems)}; remove this directory, and report the model family if it happens again"
        )
    return model


def clean(root: Path) -> None:
    """Remove what a finished run no longer needs: its checkpoints, and all that other identities left beside it."""
    for path in root.glob("checkpoint-*"):
        shutil.rmtree(path)
    # Trainer's model card, which knows nothing of the run.
    (root / "README.md").unlink(missing_ok=True)
    for path in root.parent.iterdir():
        if path != root and path.is_dir():
            shutil.rmtree(path)


def _complete(path: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads((path / COMPLETE).read_text(encoding="utf-8"))
        sizes_agree = all((path / name).stat().st_size == size for name, size in record["files"].items())
    except (OSError, ValueError, KeyError):
        return None
    return record if sizes_agree else None


def _step(path: Path) -> int:
    """Return the step in the name of `checkpoint-{step}` or `step-{step}`."""
    return int(path.name.rpartition("-")[2])
