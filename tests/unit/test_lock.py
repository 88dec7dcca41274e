"""The lock of a job: one holder at a time, whoever dies, and how."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from reassess.work import lock as module
from reassess.work.lock import Lock, LockLostError, Owner, is_held

# Takes the lock as soon as it can, notes that it is inside, works on a counter that two at once would spoil, leaves.
WORKER = """
import sys, time, random
from pathlib import Path
from reassess.work.lock import Lock
folder, counter, turns, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
rng = random.Random(seed)
for _ in range(turns):
    lock = Lock(folder)
    while lock.acquire() is not None:
        time.sleep(rng.uniform(0, 0.01))
    value = int(counter.read_text())
    time.sleep(rng.uniform(0, 0.01))
    lock.check()
    aside = counter.with_name(f"aside{seed}")
    aside.write_text(str(value + 1))
    aside.replace(counter)
    lock.release()
"""
HOLDER = """
import sys, time
from reassess.work.lock import Lock
lock = Lock(sys.argv[1])
assert lock.acquire() is None
print("held", flush=True)
time.sleep(600)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_one_at_a_time(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    command = [sys.executable, "-c", WORKER, str(tmp_path / "lock"), str(counter), "25"]
    workers = [subprocess.Popen([*command, str(seed)]) for seed in range(4)]
    assert [worker.wait(timeout=120) for worker in workers] == [0] * 4
    assert counter.read_text() == "100"
    # Old records are not left behind.
    assert len(list((tmp_path / "lock").iterdir())) == 1


def test_a_living_owner_keeps_it_and_a_dead_one_does_not(tmp_path: Path) -> None:
    process = holder(tmp_path)
    lock = Lock(tmp_path)
    owner = lock.acquire()
    assert owner is not None
    assert owner.pid == process.pid
    assert f"process {process.pid} on " in str(owner)
    assert is_held(tmp_path) == owner
    # A stopped process lives.
    process.send_signal(signal.SIGSTOP)
    assert lock.acquire() is not None
    process.kill()
    # Until somebody reaps it, a killed process is a zombie; it writes nothing any more.
    deadline = time.monotonic() + 10
    while lock.acquire() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.wait()
    lock.check()
    lock.release()
    assert is_held(tmp_path) is None
    again = Lock(tmp_path)
    assert again.acquire() is None
    again.release()


def foreign(folder: Path, job: str | None = None) -> Path:
    """A record of an owner on another host."""
    folder.mkdir(exist_ok=True)
    record = folder / "7"
    record.write_text(json.dumps(Owner("there", "elsewhere", "other boot", os.getpid(), 1, job)._asdict()))
    return record


def test_an_owner_on_another_host_counts_as_gone_only_after_a_long_silence(tmp_path: Path) -> None:
    record = foreign(tmp_path)
    lock = Lock(tmp_path)
    assert lock.acquire() is not None
    silent = time.time() - module.SILENCE + 20
    os.utime(record, (silent, silent))
    assert lock.acquire() is not None
    os.utime(record, (silent - 30, silent - 30))
    assert lock.acquire() is None
    assert not record.exists()
    lock.release()


@pytest.mark.parametrize(
    ("state", "gone"),
    [("TIMEOUT", True), (None, True), ("RUNNING", False), ("COMPLETING", False), ("NODE_FAIL", False)],
)
def test_an_owner_in_a_slurm_job_is_gone_when_slurm_says_that_the_job_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str | None, gone: bool
) -> None:
    foreign(tmp_path, "12")
    monkeypatch.setattr(module.slurm, "state", lambda job: state)
    lock = Lock(tmp_path)
    assert (lock.acquire() is None) == gone
    lock.release()


def test_slurm_that_does_not_answer_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(job: str) -> str:
        raise OSError("no controller")

    foreign(tmp_path, "12")
    monkeypatch.setattr(module.slurm, "state", ask)
    assert Lock(tmp_path).acquire() is not None


def test_whoever_lost_it_notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT", 0.05)
    said: list[str] = []
    lock = Lock(tmp_path, said.append)
    assert lock.acquire() is None
    lock.check()
    foreign(tmp_path)
    with pytest.raises(LockLostError, match="another process has taken over"):
        lock.check()
    deadline = time.monotonic() + 5
    while not said:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert said == ["another process has taken over"]
    # Letting go does not touch the new owner's record.
    lock.release()
    assert is_held(tmp_path) is not None


def test_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT", 0.05)
    lock = Lock(tmp_path)
    assert lock.acquire() is None
    [record] = tmp_path.iterdir()
    os.utime(record, (1, 1))
    deadline = time.monotonic() + 5
    while record.stat().st_mtime < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    lock.release()
    assert not [thread for thread in threading.enumerate() if thread.name == "lock"]


def test_a_holder_that_slept_too_long_ends_itself(tmp_path: Path) -> None:
    code = HOLDER.replace("lock = Lock", "import reassess.work.lock as m; m.BEAT, m.FENCE = 0.05, 1.0\nlock = Lock")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "no sign of life for 1 s; stopping" in said


def test_a_record_that_cannot_be_read_may_be_somebodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = foreign(tmp_path)

    def stale(path: Path) -> Owner:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(module, "_read", stale)
    assert Lock(tmp_path).acquire() == module.UNREADABLE
    assert is_held(tmp_path) == module.UNREADABLE
    silent = time.time() - module.SILENCE - 5
    os.utime(record, (silent, silent))
    lock = Lock(tmp_path)
    assert lock.acquire() is None
    lock._stop.set()


def test_a_child_process_goes_on_holding_it(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    assert lock.acquire() is None
    assert lock.token is not None
    code = """
import sys
from reassess.work.lock import Lock
lock = Lock(sys.argv[1])
lock.adopt(sys.argv[2])
lock.check()
print("held", flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), lock.token],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    owner = is_held(tmp_path)
    assert owner is not None
    assert owner.pid == process.pid
    process.kill()
    process.wait()
    assert is_held(tmp_path) is None
    with pytest.raises(LockLostError):
        Lock(tmp_path).adopt("of somebody else")
    lock.release()


def test_a_torn_record_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "3").write_text('{"token": "a", "ho')
    lock = Lock(tmp_path)
    assert lock.acquire() is None
    assert [path.name for path in tmp_path.iterdir()] == ["4"]
    lock.release()
