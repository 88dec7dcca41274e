"""The Snakemake that a user started: one at a time in a directory, and its successor knows when it is gone.

Snakemake's own lock stays behind when its process is killed, and tells nothing of whether it still runs; the profiles
switch it off (`nolock`).
"""

from __future__ import annotations

import atexit
import contextlib
import platform
import subprocess
import time
from collections.abc import Collection, MutableMapping

from reassess import paths
from reassess.console.failures import failures
from reassess.console.status import mismatches
from reassess.graph import Graph
from reassess.graph.state import States
from reassess.work import records, slurm, turns
from reassess.work.lock import BEAT, SILENCE, Lock

# When this process was started, as good as when it began to look at files.
_LOOKED = time.time()
# Slurm jobs of an earlier Snakemake that were at work when this one began.
_RUNNING: list[str] = []


# Bytes that a variable of a process may have, with its name (MAX_ARG_STRLEN of Linux), less some for the name.
LONGEST = 130_000


class HeadError(ValueError):
    """Another Snakemake is at work in this directory."""


def take(environment: MutableMapping[str, str], forced: Collection[str] = ()) -> None:
    """Become the only Snakemake at work in this directory, until this process ends.

    One that runs in a Slurm job itself, and was requeued on another node, waits for its lost self to fall silent.

    Args:
        environment: what jobs inherit.
        forced: rules and files that the user asks for again (`-R`, `-f`), or `*` for everything (`--forceall`).

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
    environment[turns.FORCED] = _named(forced)
    environment[turns.SHARED] = environment.get("SLURM_JOB_ID", "")
    waiting, running = _orphans()
    _RUNNING[:] = running
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


def _named(forced: Collection[str]) -> str:
    """Return what tells jobs what was asked for again.

    A long list is never cut short to "everything": a run that is only made from what was asked for would be destroyed.
    """
    names = "\n".join(forced)
    if len(names.encode()) < LONGEST:
        return names
    file = paths.forced(records.digest(names))
    records.write(file, {"forced": list(forced)})
    return f"@{file}"


def announce(graph: Graph) -> None:
    """Print what was changed since the results were made, and what finished runs it would make again."""
    for line in mismatches(graph, States(graph)):
        print(line, flush=True)


def summary(graph: Graph, failed: Collection[str], log: str) -> str:
    """Return what to say at the end of a workflow that has failed or was stopped.

    Each job that did not finish has its reason, in one line; Slurm jobs of an earlier Snakemake that go on are named.

    Args:
        graph: the study.
        failed: outputs of the jobs that have failed for Snakemake.
        log: Snakemake's own log.
    """
    return f"\n{failures(graph, _LOOKED, failed, log)}\n{_left()}"


def _orphans() -> tuple[list[str], list[str]]:
    """Return the waiting and the other Slurm jobs that an earlier Snakemake has left in this directory."""
    found = [job for job in slurm.queue() if job.id != slurm.job_id()]
    waiting = [job.id for job in found if job.state == "PENDING"]
    return waiting, [job.id for job in found if job.state != "PENDING"]


def _left() -> str:
    """Return what to say of the jobs of an earlier Snakemake that still run, nothing where none does."""
    left = [job.id for job in slurm.queue() if job.id in _RUNNING]
    if not left:
        return ""
    return (
        f"{len(left)} Slurm jobs of an earlier Snakemake still run: {', '.join(left)}. The next Snakemake takes over "
        f"what they make; to end them: scancel {' '.join(left)}\n"
    )
