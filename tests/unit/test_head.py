"""The Snakemake that a user starts: one at a time, and its requeued self is no other one."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reassess import paths
from reassess.cluster import head
from reassess.graph import Graph
from reassess.work import lock, slurm, turns
from reassess.work.lock import Lock, Owner
from reassess.work.slurm import QueuedJob


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr(head.atexit, "register", at_exit.append)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(turns, "POLL", 0.05)
    # As long as it takes an owner to be held for dead, in a test's time.
    monkeypatch.setattr(lock, "SILENCE", 1.0)
    monkeypatch.setattr(head, "SILENCE", 1.0)
    monkeypatch.setattr(head, "BEAT", 0.5)
    yield
    # A lock that is held on would end the tests' process: its directory is gone soon.
    for release in at_exit:
        release()


def held_by(job: str) -> Path:
    """Write the lock of a Snakemake on another host, whose last sign of life is now."""
    folder = Path(paths.lock("snakemake", "head"))
    folder.mkdir(parents=True)
    owner = Owner("token", "elsewhere", "another boot", 5, 1, job)
    (folder / "1").write_text(json.dumps(owner._asdict()))
    return folder / "1"


def test_a_requeued_snakemake_waits_until_its_lost_self_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    held_by("7")
    environment = dict(os.environ)
    began = time.monotonic()
    head.take(environment, forced=[])
    assert time.monotonic() - began > 0.9
    assert "waiting until this Slurm job's earlier run is gone (process 5 on elsewhere, Slurm job 7)" in (
        capsys.readouterr().out
    )
    assert environment[turns.SHARED] == "7"
    assert Lock(paths.lock("snakemake", "head")).acquire() is not None


def test_a_requeued_snakemake_does_not_wait_for_one_that_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    record = held_by("7")

    def beat(seconds: float) -> None:
        os.utime(record)
        wait(seconds)

    wait = time.sleep
    monkeypatch.setattr(head.time, "sleep", beat)
    with pytest.raises(head.HeadError, match="process 5 on elsewhere, Slurm job 7"):
        head.take({}, forced=[])


def test_another_job_is_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    held_by("8")
    with pytest.raises(head.HeadError, match="another Snakemake is at work in this directory"):
        head.take({}, forced=[])
    assert "waiting" not in capsys.readouterr().out


def test_a_long_list_of_what_is_asked_for_again_asks_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    head.take(environment, forced=[f"results/evals/{number:0100}/scores.json" for number in range(2000)])
    for name in (turns.SINCE, turns.FORCED):
        assert len(environment[name]) < head.LONGEST
        monkeypatch.setenv(name, environment[name])
    Path("finished.json").write_text(json.dumps({"time": 1.0}))
    assert turns.read_finished(Path(), "train", "results/runs/a/run.json") is not None
    assert turns.read_finished(Path(), "score", f"results/evals/{7:0100}/scores.json") is None


def test_what_an_earlier_snakemake_left_at_work_is_named_at_the_end(
    tiny: Graph, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    queued = [QueuedJob(number, "RUNNING", "rule_train_wildcards_a") for number in ("3", "4", "7")]
    monkeypatch.setattr(slurm, "queue", lambda: queued)
    monkeypatch.setattr(head, "_RUNNING", [])
    head.take({}, forced=[])
    assert "2 Slurm jobs of an earlier Snakemake are at work: 3, 4." in capsys.readouterr().out
    # One is over by then, and this Snakemake has submitted another.
    queued[:] = [QueuedJob(number, "RUNNING", "rule_train_wildcards_a") for number in ("4", "8")]
    said = head.summary(tiny, [], "head.log")
    assert "no job has failed; the same command goes on with what was stopped" in said
    assert "1 Slurm jobs of an earlier Snakemake still run: 4." in said
    assert said.endswith("to end them: scancel 4\n")
    queued[:] = queued[1:]
    assert "earlier Snakemake" not in head.summary(tiny, [], "head.log")
