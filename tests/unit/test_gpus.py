"""Leases of GPUs between real processes: distinct ids, waiting, and what is left when a holder dies."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reassess.work import gpus
from reassess.work.gpus import GpuError, lease

# Says which GPUs it got, and holds them until it is killed or its input ends.
HOLDER = """
import sys
from reassess.work import gpus
with gpus.lease(int(sys.argv[1])) as ids:
    print("got", *ids, flush=True)
    sys.stdin.read()
print("done", flush=True)
"""
# The same, with a child that sleeps in a session of its own, started in one of the two ways.
PARENT = """
import os, subprocess, sys
from reassess.work import gpus
with gpus.lease(1) as ids:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    if sys.argv[1] == "spawned":
        child = subprocess.Popen(sleep, pass_fds=gpus.held(), start_new_session=True).pid
    else:
        child = os.fork()
        if not child:
            os.setsid()
            os.execv(sleep[0], sleep)
    print("got", *ids, child, flush=True)
    sys.stdin.read()
"""


class Job:
    """A process that holds GPUs."""

    def __init__(self, environment: dict[str, str], code: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment,
        )
        self.ids: list[str] | None = None
        self._unread = b""
        self.said: list[str] = []

    def hear(self, seconds: float) -> bool:
        """Read a line where one comes in time; return whether it did."""
        assert self.process.stdout is not None
        while b"\n" not in self._unread:
            if not select.select([self.process.stdout], [], [], seconds)[0]:
                return False
            more = os.read(self.process.stdout.fileno(), 4096)
            if not more:
                return False
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        self.said.append(line.decode())
        if line.startswith(b"got"):
            self.ids = self.said[-1].split()[1:]
        return True

    def finish(self) -> None:
        """Let it end by itself."""
        self.process.communicate(b"")

    def get(self) -> list[str]:
        """Wait until it has its GPUs."""
        while self.ids is None:
            assert self.hear(20), self.said
        return self.ids

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """Start a job on a machine with GPUs 0 and 1."""
    jobs: list[Job] = []
    environment = {name: value for name, value in os.environ.items() if name != "SLURM_JOB_ID"}
    environment |= {"CUDA_VISIBLE_DEVICES": "0,1", "TMPDIR": str(tmp_path)}

    def starter(*arguments: object, code: str = HOLDER, **changes: str) -> Job:
        jobs.append(Job({**environment, **changes}, code, *map(str, arguments)))
        return jobs[-1]

    yield starter
    for job in jobs:
        job.kill()


def test_jobs_side_by_side_get_ids_of_their_own_and_a_third_waits(start: Callable[..., Job]) -> None:
    first, second = start(1), start(1)
    assert {*first.get(), *second.get()} == {"0", "1"}
    third = start(1)
    assert third.hear(20)
    assert third.said[0].startswith("waiting for 1 of 2 GPUs: process ")
    assert f"process {first.process.pid} " in third.said[0]
    assert not third.hear(1.5), "it says so once"
    # The normal end of a job; no other process is left to hold it.
    second.finish()
    assert third.get() == second.ids


def test_a_killed_holder_frees_its_gpus(start: Callable[..., Job]) -> None:
    first = start(2)
    assert first.get() == ["0", "1"]
    second = start(2)
    assert second.hear(20)
    first.kill()
    assert second.get() == ["0", "1"]


@pytest.mark.parametrize("way", ["forked", "spawned"])
def test_a_living_child_keeps_the_lease_of_its_killed_parent(start: Callable[..., Job], way: str) -> None:
    parent = start(way, code=PARENT)
    *ids, child = parent.get()
    try:
        parent.kill()
        other = start(1)
        assert other.get() != ids
        third = start(1)
        assert third.hear(20)
        assert not third.hear(1.5)
    finally:
        os.kill(int(child), 9)
    assert third.get() == ids


def test_who_needs_both_is_not_passed_by_who_needs_one(start: Callable[..., Job]) -> None:
    first, second = start(1), start(1)
    first.get(), second.get()
    large = start(2)
    assert large.hear(20)
    small = start(1)
    assert small.hear(20)
    assert f"process {large.process.pid} " in small.said[0]
    assert "waits already" in small.said[0]
    first.kill()
    assert not small.hear(1.5)
    second.kill()
    assert large.get() == ["0", "1"]
    large.kill()
    assert len(small.get()) == 1


def test_two_that_wait_for_both_do_not_block_each_other(start: Callable[..., Job]) -> None:
    holders = [start(1), start(1)]
    for job in holders:
        job.get()
    waiting = [start(2), start(2)]
    for job in waiting:
        assert job.hear(20)
    for job in holders:
        job.kill()
    for _ in waiting:
        deadline = time.monotonic() + 20
        while not (done := [job for job in waiting if job.ids is None and job.hear(0.1) and job.ids is not None]):
            assert time.monotonic() < deadline
        assert len(done) == 1
        done[0].kill()


def test_never_two_jobs_on_one_gpu(start: Callable[..., Job]) -> None:
    rng = random.Random(0)
    alive: list[Job] = []
    started = had = 0
    deadline = time.monotonic() + 120
    while started < 20 or alive:
        assert time.monotonic() < deadline
        if started < 20 and len(alive) < 5:
            alive.append(start(rng.choice((1, 1, 2))))
            started += 1
        for job in alive:
            if job.ids is None and job.hear(0.02) and job.ids is not None:
                had += 1
        held = [id_ for job in alive for id_ in job.ids or ()]
        assert len(held) == len(set(held)), held
        # A waiting job is killed now and then too; one that holds GPUs dies at any moment or ends.
        ripe = [job for job in alive if job.ids is not None] or (alive if rng.random() < 0.02 else [])
        if ripe and rng.random() < 0.3:
            job = rng.choice(ripe)
            if rng.random() < 0.5:
                job.kill()
            else:
                job.finish()
            alive.remove(job)
    assert had >= 10


def test_other_slurm_jobs_have_other_gpus(start: Callable[..., Job]) -> None:
    # Each job of a node counts its own GPUs from 0.
    assert start(2, SLURM_JOB_ID="1").get() == start(2, SLURM_JOB_ID="2").get() == ["0", "1"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process on a machine with three GPUs under names of each form."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-8932f937,MIG-GPU-8932f937/1/0,-1,5")
    return tmp_path


@pytest.mark.usefixtures("here")
def test_cuda_sees_what_is_leased_and_afterwards_what_it_saw_before() -> None:
    before = os.environ["CUDA_VISIBLE_DEVICES"]
    with lease(2) as ids:
        assert ids == ("3", "GPU-8932f937")
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,GPU-8932f937"
        assert all(os.get_inheritable(descriptor) for descriptor in gpus.held())
    assert os.environ["CUDA_VISIBLE_DEVICES"] == before
    assert gpus.held() == ()
    with lease(3) as ids:
        assert ids[2] == "MIG-GPU-8932f937/1/0"


def test_a_cpu_job_sees_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with lease(0) as ids:
        assert ids == ()
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.usefixtures("here")
def test_more_than_there_are_is_one_error() -> None:
    with pytest.raises(GpuError, match=r"asks for 4 GPUs .*, and there are 3 on .*DEVICES is '3, ") as error, lease(4):
        pass
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("here")
def test_an_end_to_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "POLL", 0.01)
    with lease(3):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
        with pytest.raises(GpuError, match=r"1 of 1 GPUs were not free within 0\.05 s"), lease(1, wait=0.05):
            pass


def test_a_directory_of_somebody_else_is_refused(here: Path) -> None:
    (here / f"reassess-gpus-{os.getuid()}").write_text("")
    with pytest.raises(GpuError, match="is not a directory of this user"), lease(1):
        pass


@pytest.mark.parametrize(("answer", "expected"), [("0\n1\n", ("0", "1")), ("No devices were found\n", ())])
def test_gpus_are_counted_without_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, expected: tuple[str, ...]
) -> None:
    script = tmp_path / "nvidia-smi"
    script.write_text(f"#!/bin/sh\nprintf '{answer}'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.visible() == expected
