"""A turn at a piece of work: nobody else does it meanwhile, the attempt is recorded, and it can be asked to stop.

Every command that a rule runs takes its turn here. Whoever comes second waits, so that a job which an earlier, dead
Snakemake has left running is never joined by another one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from reassess import paths
from reassess.work import gpus, slurm
from reassess.work.attempts import LOG, Record
from reassess.work.lock import Lock

# Seconds between two looks at a lock that another process holds.
POLL = 3.0
# A waiting Slurm job gives its allocation back after this long: it is queued again, by default for two minutes, and
# looks again.
PATIENCE = 30.0
# Before a time limit, at least this long is kept for saving; Slurm's own clock is coarse.
MARGIN = 30.0
# How often Slurm is asked for the end of the job, which an administrator may move.
ASK = 300.0
# Slurm's notices, Ctrl-C, a common choice for `sbatch --signal`, and a terminal that is closed.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
# Seconds that an interrupted Slurm job waits to be ended: partitions give up to some minutes of grace.
LAST_WAIT = 900.0
# Set by the process that has become a job step of its own, so that it does so once.
IN_STEP = "REASSESS_STEP"
# Set by the Snakemake that a user starts, for all of its jobs: work that was finished since then counts.
SINCE = "REASSESS_SINCE"
# Set likewise: what was asked for again, a line for each rule or file; `*` for everything. `@FILE` is a record of
# them, where they are more than a variable holds.
FORCED = "REASSESS_FORCED"
# What a finished job leaves beside its result, for another job that was to do the same.
FINISHED = "finished.json"
# Set by a Snakemake that itself runs in a Slurm job, whose jobs share that one.
SHARED = "REASSESS_SHARED_JOB"
# EX_TEMPFAIL: run it again.
TRY_AGAIN = 75


class Interrupted(Exception):  # noqa: N818
    """Work that stopped because it was asked to; all that it had done is saved.

    Attributes:
        why: `time_limit` or `terminated`.
        is_futile: the attempt had done nothing by then, so that another one as long would not either.
    """

    is_futile = False

    def __init__(self, why: str) -> None:
        super().__init__({"time_limit": "stopped before the time limit"}.get(why, f"stopped by {why}"))
        self.why = why if why == "time_limit" else "terminated"


class Stop:
    """Whether to stop: a signal has come, or the time limit of the Slurm job is near."""

    def __init__(self) -> None:
        self.signal: str | None = None
        self.saving = 0.0
        self.step = 0.0
        self._asked = -ASK
        self._end: float | None = None
        # Half of the time that there was: before the first save its length is a guess, and a large model's guess may be
        # longer than a short limit.
        self._most: float | None = None

    def listen(self) -> None:
        """Note signals instead of dying of them, so that what is done can be saved."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # Whoever starts with nohup has SIGHUP ignored, and means it.
                if signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            # Whoever presses Ctrl-C twice does not want to wait.
            os._exit(128 + number)
        self.signal = signal.Signals(number).name

    def requested(self) -> str | None:
        """Return why to stop, None to go on. `saving` and `step` are the longest such times so far, in seconds."""
        if self.signal is not None:
            return self.signal
        job = slurm.job_id()
        if job is None:
            return None
        if time.monotonic() - self._asked > ASK:
            self._asked = time.monotonic()
            self._end = slurm.end_time(job) or self._end
        if self._end is None:
            return None
        if self._most is None:
            self._most = (self._end - time.time()) / 2
        margin = max(MARGIN, min(3 * self.saving + 2 * self.step, self._most))
        return "time_limit" if time.time() > self._end - margin else None


class Turn:
    """What a command holds while it works.

    Attributes:
        started: when it had its turn, in seconds since the epoch.
        is_reuse: what was to be made was there already, so that the time it took says nothing of how long that takes.
    """

    def __init__(self, lock: Lock, record: Record) -> None:
        self.lock = lock
        self.record = record
        self.stop = Stop()
        self.started = time.time()
        self.is_reuse = False


@contextmanager
def take(command: str, key: str) -> Iterator[Turn]:
    """Wait for the turn, record the attempt, and let go at the end, whatever happens.

    Args:
        command: the subcommand, such as `train`.
        key: what it works on, such as a cell.
    """
    lock = Lock(paths.lock(command, key))
    _wait(lock, key)
    try:
        record = Record(command, key)
        try:
            yield Turn(lock, record)
        except Interrupted as error:
            with suppress(OSError):
                error.is_futile = record.is_futile()
                record.end(error.why, str(error))
            raise
        except BaseException as error:
            lines = str(error).strip().splitlines()
            # A full disk must not hide what went wrong.
            with suppress(OSError):
                record.end("failed", lines[0] if lines else type(error).__name__)
            raise
        record.end("finished")
    finally:
        lock.release()


def _wait(lock: Lock, key: str) -> None:
    began = time.monotonic()
    said = None
    while (owner := lock.acquire()) is not None:
        if owner.token != said:
            said = owner.token
            print(f"{key}: {owner} is at work on it; waiting until it is done or gone", flush=True)
        job = slurm.job_id()
        if job is not None and time.monotonic() - began > PATIENCE and _is_own(job) and slurm.requeue(job):
            print(f"{key}: giving the allocation back; Slurm job {job} is queued again", flush=True)
            time.sleep(LAST_WAIT)
        time.sleep(POLL)


def _is_own(job: str) -> bool:
    """Whether a Slurm job is this command's alone, and not an allocation in which a Snakemake runs many."""
    return os.environ.get(SHARED) != job


def enter_step() -> None:
    """Become a job step of one's own in a Slurm job; does nothing elsewhere.

    With Slurm's usual process tracking (cgroups) a signal reaches the main process of each step alone. That is
    Snakemake, which does not pass it on: a job in its step would never hear of its time limit or its preemption.
    """
    job = slurm.job_id()
    if job is None or os.environ.get(IN_STEP) == job or not _is_own(job) or shutil.which("srun") is None:
        return
    sys.stdout.flush()
    environment = {name: value for name, value in os.environ.items() if slurm.is_for_inner_step(name)}
    command = ["srun", "--overlap", "--nodes=1", "--ntasks=1", "--cpu-bind=none", "--mem=0", "--quiet"]
    # Without, the step of a job of several nodes would ask this one for the GPUs of all.
    if gpus.VISIBLE in os.environ and (here := len(gpus.visible())):
        command.append(f"--gres=gpu:{here}")
    command += ["--jobid", job, sys.executable, "-m", "reassess.cli", *sys.argv[1:]]
    # The step's output goes through srun, and what that writes to is known here alone.
    os.execvpe("srun", command, {**environment, IN_STEP: job, LOG: str(Path("/proc/self/fd/1").resolve())})


def after_interruption(interrupted: Interrupted) -> int:
    """Return the exit status of interrupted work; in a Slurm job, be requeued rather than fail.

    At a time limit the job asks to be queued again, unless it has done nothing: then it fails, because Snakemake gives
    the next attempt more time and Slurm would not. After a signal it waits for its end, for Slurm requeues a preempted
    job that is still there and takes one that has left for failed.
    """
    job = slurm.job_id()
    if job is None or not _is_own(job):
        return TRY_AGAIN
    if interrupted.why == "time_limit":
        if interrupted.is_futile or not slurm.requeue(job):
            return TRY_AGAIN
        print(f"Slurm job {job} is queued again and will continue", flush=True)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    time.sleep(LAST_WAIT)
    return TRY_AGAIN


def read_finished(folder: Path, rule: str, file: str, is_set_aside: bool = False) -> dict[str, Any] | None:
    """Return what another job has left of work that this one was to do, None where it is to be done anew.

    Snakemake removes a job's outputs before the job starts, and those of a job of which it has lost sight count as
    unfinished; the work itself is kept. Where somebody asked for this very job again (`-R`, `--forceall`), only what
    was finished since then counts; without a Snakemake (a command given by hand), nothing does.

    Args:
        folder: where it lies.
        rule: the job's rule.
        file: its record.
        is_set_aside: it is not what is shown now, so that nobody can have asked for it again.

    Raises:
        OSError: it is there, or may be, and cannot be read.
    """
    since = os.environ.get(SINCE)
    if since is None and not is_set_aside:
        return None
    try:
        found = json.loads((folder / FINISHED).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("time"), int | float):
        return None
    is_forced = not is_set_aside and bool(_forced() & {"*", rule, os.path.normpath(file)})
    return None if is_forced and found["time"] < float(since or 0) else found


def _forced() -> set[str]:
    """Return the rules and files that were asked for again."""
    text = os.environ.get(FORCED, "")
    names = text.split("\n")
    if text.startswith("@"):
        names = json.loads(Path(text[1:]).read_text(encoding="utf-8"))["forced"]
    return {os.path.normpath(name) for name in names}
