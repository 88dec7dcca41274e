"""GPUs of one machine, lent to one job each.

Snakemake counts how many GPUs its jobs hold and does not say which: two jobs side by side would both take the first. A
lease is a kernel lock (flock) on one file per GPU. The kernel drops it when the last process that has the file open is
gone, however it ends, so that nothing is left to clean up.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
# Seconds between two looks at GPUs that others hold.
POLL = 0.5
# Seconds; without its persistence daemon, the driver of a machine with eight GPUs takes many seconds to answer.
PATIENCE = 120
# The directory of the files stands beside GPU ids where what is locked is named.
FOLDER = "."
_held: set[int] = set()


class GpuError(ValueError):
    """GPUs that cannot be had: the message says how many were asked for and how many there are."""


@contextmanager
def lease(n: int, wait: float | None = None) -> Iterator[tuple[str, ...]]:
    """Hold `n` GPUs that no other job of this user holds on this machine, and make CUDA see these alone.

    Waits until enough are free. One job waits at a time, with first call on every GPU that becomes free: two waiting
    jobs cannot block each other, and one that needs many is not passed by those that need few. To be entered before
    torch or vLLM looks for GPUs.

    A CPU job (`n` is 0) sees no GPU at all: libraries that find one put a context of several hundred MB on it, which
    the job that holds it has not reckoned with.

    Args:
        n: GPUs.
        wait: longest wait in seconds; without end by default.

    Yields:
        The ids of the GPUs, as in `CUDA_VISIBLE_DEVICES`.

    Raises:
        GpuError: there are fewer than `n` here, or they were not free in time.
    """
    before = os.environ.get(VISIBLE)
    locks = _take(n, wait) if n else {}
    ids = tuple(name for name in locks if name != FOLDER)
    _held.update(locks.values())
    os.environ[VISIBLE] = ",".join(ids)
    try:
        yield ids
    finally:
        if before is None:
            os.environ.pop(VISIBLE, None)
        else:
            os.environ[VISIBLE] = before
        _held.difference_update(locks.values())
        # Closed and not unlocked: unlocking would take the lock from children that still use the GPU, too.
        _close(locks)


def held() -> tuple[int, ...]:
    """Return the files behind this process' leases: a child that has them open keeps the GPUs leased while it lives.

    A forked child has them; one started through `subprocess` or `multiprocessing`'s spawn has them only by `pass_fds`.
    """
    return tuple(sorted(_held))


def visible() -> tuple[str, ...]:
    """Return the ids of the GPUs that this process may use: those in `CUDA_VISIBLE_DEVICES`, else all there are."""
    given = os.environ.get(VISIBLE)
    if given is None:
        return tuple(str(number) for number in range(_count()))
    # CUDA ignores whatever follows the first id that is none.
    ids = itertools.takewhile(re.compile(r"\d+|(?:GPU|MIG)-.+").fullmatch, (part.strip() for part in given.split(",")))
    return tuple(dict.fromkeys(ids))


def _count() -> int:
    """Return the number of GPUs of this machine without setting up CUDA."""
    if shutil.which("nvidia-smi"):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            said = subprocess.run(
                ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            if said.returncode == 0:
                return sum(line.strip().isdecimal() for line in said.stdout.splitlines())
    driver = Path("/proc/driver/nvidia/gpus")
    return len(list(driver.iterdir())) if driver.is_dir() else 0


def _take(n: int, wait: float | None) -> dict[str, int]:
    """Return open, locked files by GPU id."""
    ids = visible()
    if len(ids) < n:
        limit = f" ({VISIBLE} is {os.environ[VISIBLE]!r})" if VISIBLE in os.environ else ""
        raise GpuError(
            f"the job asks for {n} GPUs (models.<name>.resources.<kind>.gpu), and there are {len(ids)} on "
            f"{platform.node()}{limit}"
        )
    files = {id_: _file(id_) for id_ in ids}
    deadline = None if wait is None else time.monotonic() + wait
    # Whoever has the gate collects GPUs as they become free; the others wait at the gate and hold nothing.
    gate: dict[str, int] = {}
    found: dict[str, int] = {}
    said = False
    try:
        while True:
            if gate or _lock(_file("gate"), "gate", gate):
                for id_, file in files.items():
                    if len(found) < n and id_ not in found:
                        _lock(file, id_, found)
                if len(found) == n:
                    ordered = {id_: found[id_] for id_ in ids if id_ in found}
                    return {**ordered, FOLDER: _shelter(files[ids[0]].parent)}
            if not said:
                said = True
                taken = ", ".join(f"{_reader(files[id_])} has GPU {id_}" for id_ in ids if id_ not in found)
                why = taken if gate else f"{_reader(_file('gate'))} waits already"
                print(f"waiting for {n} of {len(ids)} GPUs: {why}", flush=True)
            if deadline is not None and time.monotonic() > deadline:
                raise GpuError(f"{n} of {len(ids)} GPUs were not free within {wait:g} s")
            time.sleep(POLL)
    except BaseException:
        _close(found)
        raise
    finally:
        _close(gate)


def _lock(file: Path, name: str, into: dict[str, int]) -> bool:
    """Try to lock a file; its descriptor goes into `into[name]`. Children inherit those of GPUs, not the gate."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    if os.fstat(descriptor).st_nlink == 0:
        # Whoever cleans the temporary directory was quicker.
        os.close(descriptor)
        return False
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} ({' '.join(sys.argv)[:200]})".encode(), 0)
    os.set_inheritable(descriptor, name != "gate")
    into[name] = descriptor
    return True


def _shelter(folder: Path) -> int:
    """Lock the directory, shared: what removes old files from /tmp (systemd-tmpfiles) leaves a locked one alone."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.set_inheritable(descriptor, True)
    return descriptor


def _reader(file: Path) -> str:
    """Return who locked a file last."""
    try:
        return file.read_text(encoding="utf-8", errors="replace") or "another process"
    except OSError:
        return "nobody"


def _file(name: str) -> Path:
    """Return the file that stands for a GPU of this machine, or of this Slurm job: Slurm gives ids anew in each.

    Raises:
        GpuError: somebody else owns the directory.
    """
    folder = Path(tempfile.gettempdir()) / f"reassess-gpus-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise GpuError(f"{folder} is not a directory of this user; remove it or set TMPDIR")
    # TMPDIR may be a disk that several hosts share.
    scope = f"{platform.node()}-{os.environ.get('SLURM_JOB_ID', 'machine')}"
    return folder / f"{scope}-{urllib.parse.quote(name, safe='')}"


def _close(files: dict[str, int]) -> None:
    for descriptor in files.values():
        os.close(descriptor)
