"""A lock for work that two jobs must not do at once, on a file system that several hosts share.

Locks of the kernel do not reach over every network file system, so this one is made of files. A lock is a directory of
numbered records; the owner is whoever made the highest number (made with `link`, which fails where the name exists).
Nobody removes a record to take over: a taker makes the next number, so two takers cannot both win.

An owner shows that it lives by touching its record. It gives up by itself when it cannot do that for a while, or finds
a higher number; others take over when it is provably gone: its process on this host is dead, its Slurm job is over, or
it has been silent for much longer than it takes to give up. Ages are differences of times that the file server set.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from reassess.work import slurm

# Seconds between two signs of life; an owner that could give none for FENCE stops itself, and is held for dead after
# SILENCE. Slurm gives up on a node after 300 s (SlurmdTimeout's default), so that a requeued job finds the lock free.
BEAT = 10.0
FENCE = 90.0
SILENCE = 180.0
# Slurm's states in which the processes of a job may still be alive: its node is lost, not known to be dead.
_MAY_LIVE = ("NODE_FAIL", "BOOT_FAIL")


class LockLostError(RuntimeError):
    """Another process has taken over: what this one was about to write does not count any more."""


class Owner(NamedTuple):
    """Who holds a lock.

    Attributes:
        token: names this holding.
        host: host name.
        boot: the boot and the process namespace in which `pid` means something.
        pid: process id.
        started: the process' start in clock ticks since boot; a later process with the same id has another.
        job: Slurm job id.
        released: the owner has let go.
    """

    token: str
    host: str
    boot: str
    pid: int
    started: int
    job: str | None
    released: bool = False

    def __str__(self) -> str:
        job = f", Slurm job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"


UNREADABLE = Owner("unreadable", "an unknown host", "", 0, 0, None)


class Lock:
    """A lock in a directory of its own. `acquire`, then `release`; `check` before anything is written for good.

    Args:
        directory: the lock's own directory.
        on_loss: called with the reason where this process may not hold it any more: others may be at work. By default
            the process ends at once, whatever it is doing.
    """

    def __init__(self, directory: str | Path, on_loss: Callable[[str], None] | None = None) -> None:
        self.directory = Path(directory)
        self._on_loss = on_loss or _end
        self._record: Path | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> Owner | None:
        """Try to take the lock. Return None when it is taken, else the living owner that holds it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        me = _me(secrets.token_hex(8))
        aside = self.directory / f".{me.token}"
        aside.write_text(json.dumps(me._asdict()), encoding="utf-8")
        try:
            while True:
                latest = _latest(self.directory)
                if latest is not None:
                    try:
                        owner = _read(latest)
                    except FileNotFoundError:
                        continue
                    except OSError:
                        # Whoever owns it cannot be read, which does not prove that nobody does.
                        owner = UNREADABLE
                    if owner is not None and not owner.released and not _is_gone(owner, latest, aside):
                        return owner
                mine = self.directory / str(1 if latest is None else int(latest.name) + 1)
                try:
                    os.link(aside, mine)
                except FileExistsError:
                    # A network file system may say so where the answer to an earlier try was lost.
                    if not (mine.exists() and mine.samefile(aside)):
                        # Somebody was quicker; the listing may be an old one for a while.
                        time.sleep(0.1)
                        continue
                if _latest(self.directory) == mine:
                    self._hold(mine)
                    return None
                mine.unlink(missing_ok=True)
        finally:
            aside.unlink()

    def adopt(self, token: str) -> None:
        """Go on holding what the parent process took: its record names this process from now on."""
        latest = _latest(self.directory)
        owner = None if latest is None else _read(latest)
        if latest is None or owner is None or owner.token != token or owner.released:
            raise LockLostError(f"{self.directory}: taken over by {owner}")
        _replace(latest, _me(token))
        self._hold(latest)

    @property
    def token(self) -> str | None:
        """Names this holding, None where the lock is not held."""
        owner = None if self._record is None else _read(self._record)
        return None if owner is None else owner.token

    def check(self) -> None:
        """Raise LockLostError unless this process holds the lock."""
        if self._record is None or _latest(self.directory) != self._record:
            raise LockLostError(f"{self.directory}: another process has taken over")

    def release(self) -> None:
        """Let go; nothing happens where the lock is not held."""
        if self._record is None:
            return
        record, self._record = self._record, None
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            owner = _read(record)
            if owner is not None and _latest(self.directory) == record:
                _replace(record, owner._replace(released=True))

    def _hold(self, record: Path) -> None:
        self._record = record
        self._stop = threading.Event()
        for older in self.directory.iterdir():
            if older.name.isdecimal() and int(older.name) < int(record.name):
                older.unlink(missing_ok=True)
        self._thread = threading.Thread(target=self._beat, args=(record, self._stop), daemon=True, name="lock")
        self._thread.start()

    def _beat(self, record: Path, stop: threading.Event) -> None:
        last = time.monotonic()
        while not stop.wait(BEAT):
            began = time.monotonic()
            # The process slept, or the file system did: others may hold the lock by now.
            if began - last > FENCE:
                self._on_loss(f"no sign of life for {FENCE:.0f} s")
                return
            try:
                if _latest(self.directory) != record:
                    self._on_loss("another process has taken over")
                    return
                os.utime(record)
            except OSError:
                continue
            last = began


def _end(reason: str) -> None:
    print(f"{reason}; stopping, because another process may be at work", file=sys.stderr, flush=True)
    os._exit(1)


def _me(token: str) -> Owner:
    return Owner(token, platform.node(), _boot(), os.getpid(), _start(os.getpid()) or 0, slurm.job_id())


def _boot() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return platform.node()


def _start(pid: int) -> int | None:
    """Return when a process started, None where it is gone; one that waits to be reaped is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()
    return None if state in "ZX" else int(rest[18])


def _is_gone(owner: Owner, record: Path, fresh: Path) -> bool:
    """Whether an owner is provably gone; `fresh` is a file just written, to know the file server's time."""
    if owner.boot == _boot() and owner.host == platform.node():
        return _start(owner.pid) != owner.started
    if owner.job is not None and owner.job != slurm.job_id():
        try:
            found = slurm.state(owner.job)
        except OSError:
            found = "UNKNOWN"
        # A job that Slurm has forgotten was over long ago.
        if found is None or (found in slurm.ENDS and found not in _MAY_LIVE):
            return True
    try:
        return fresh.stat().st_mtime - record.stat().st_mtime > SILENCE
    except FileNotFoundError:
        return False


def _latest(directory: Path) -> Path | None:
    numbers = [int(name) for name in os.listdir(directory) if re.fullmatch(r"\d+", name)]  # noqa: PTH208
    return directory / str(max(numbers)) if numbers else None


def _read(record: Path) -> Owner | None:
    """Return the owner in a record, None where it is torn. Raises OSError."""
    try:
        fields: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        return Owner(**fields)
    except (ValueError, TypeError):
        return None


def _replace(record: Path, owner: Owner) -> None:
    aside = record.with_name(f".{owner.token}.new")
    aside.write_text(json.dumps(owner._asdict()), encoding="utf-8")
    aside.replace(record)


def is_held(directory: str | Path) -> Owner | None:
    """Return who holds a lock, None where nobody living does; nothing is changed."""
    root = Path(directory)
    latest = _latest(root) if root.is_dir() else None
    try:
        owner = None if latest is None else _read(latest)
    except OSError:
        return UNREADABLE
    if latest is None or owner is None or owner.released:
        return None
    with tempfile.NamedTemporaryFile(dir=root, prefix=".look") as fresh:
        return None if _is_gone(owner, latest, Path(fresh.name)) else owner
