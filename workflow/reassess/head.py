"""The Snakemake that a user started: one at a time in a directory, and its successor knows when it is gone.

Snakemake's own lock stays behind when its process is killed, and tells nothing of whether it still runs; the profiles
switch it off (`nolock`).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import platform
import subprocess
import time
from collections.abc import Collection, MutableMapping
from pathlib import Path

from reassess import paths, slurm, turns
from reassess.lock import BEAT, SILENCE, Lock
from reassess.study import Study

# When this process was started, as good as when it began to look at files.
_LOOKED = time.time()


class HeadError(ValueError):
    """Another Snakemake is at work in this directory."""


def take(environment: MutableMapping[str, str], forced: bool) -> None:
    """Become the only Snakemake at work in this directory, until this process ends.

    One that runs in a Slurm job itself, and was requeued on another node, waits for its lost self to fall silent.

    Args:
        environment: what jobs inherit.
        forced: the user asks for something again that is there (`-R`, `-f`, `--forceall`).

    Raises:
        HeadError: another one is, and lives.
    """
    lock = Lock(paths.lock("snakemake", "head"))
    owner = lock.acquire()
    if owner is not None and owner.job is not None and owner.job == slurm.job_id() and owner.host != platform.node():
        print(f"waiting until this Slurm job's earlier run is gone ({owner}): it was requeued", flush=True)
        deadline = time.monotonic() + SILENCE + BEAT
        while owner is not None and time.monotonic() < deadline:
            time.sleep(turns.POLL)
            owner = lock.acquire()
    if owner is not None:
        raise HeadError(
            f"another Snakemake is at work in this directory ({owner}); wait for it, or stop it and start again"
        )
    atexit.register(lock.release)
    environment[turns.SINCE] = str(time.time() if forced else 0)
    environment[turns.SHARED] = environment.get("SLURM_JOB_ID", "")
    waiting, running = _orphans()
    if waiting:
        print(f"cancelling {len(waiting)} waiting Slurm jobs of an earlier Snakemake: {', '.join(waiting)}", flush=True)
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["scancel", *waiting], check=False, timeout=60)
    if running:
        print(
            f"{len(running)} Slurm jobs of an earlier Snakemake are at work: {', '.join(running)}. They are left "
            "alone; jobs for the same cells wait for them and take over what they make",
            flush=True,
        )


def summary(study: Study, failed: Collection[str], log: str) -> str:
    """Return what to say at the end of a workflow in which jobs have failed: each with its reason, in one line.

    Args:
        study: the study.
        failed: outputs of the jobs that have failed for Snakemake.
        log: Snakemake's own log.
    """
    from reassess.report.failures import failures

    return f"\n{failures(study, _LOOKED, failed, log)}\n"


def _orphans() -> tuple[list[str], list[str]]:
    """Return the waiting and the other Slurm jobs that an earlier Snakemake has left in this directory."""
    # The executor's comment names the rule; `%Z` is the directory that the job works in.
    command = ["squeue", "--noheader", "--me", "--format=%A|%T|%k|%Z"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return [], []
    waiting: list[str] = []
    running: list[str] = []
    own = os.environ.get("SLURM_JOB_ID")
    for line in said.stdout.splitlines():
        job, state, comment, directory = line.split("|", 3)
        if Path(directory) == Path.cwd() and comment.startswith("rule_") and job != own:
            (waiting if state == "PENDING" else running).append(job)
    return waiting, running
