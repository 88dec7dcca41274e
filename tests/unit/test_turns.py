"""Turns: who comes second waits, attempts are recorded, and requests to stop are heard."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reassess.work import attempts, turns
from reassess.work.turns import Interrupted, Stop

HOLD = """
import sys, time
from reassess.work import turns
with turns.take("train", "a/b") as turn:
    turn.record.begin(3)
    turn.record.step = 5
    print("held", flush=True)
    time.sleep(float(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    handlers = {number: signal.getsignal(number) for number in turns.SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def hold(seconds: float, log: Path) -> subprocess.Popen[bytes]:
    with log.open("w") as handle:
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(seconds)], stdout=handle)
    while "held" not in log.read_text():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_the_second_waits_until_the_first_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "POLL", 0.1)
    process = hold(1.0, Path("log"))
    with turns.take("train", "a/b"):
        assert process.wait() == 0
    assert f"process {process.pid} on" in capsys.readouterr().out
    first, second = attempts.read("train", "a/b")
    assert (first.number, first.why, first.start_step, first.end_step) == (1, "finished", 3, 5)
    assert first.ended is not None
    assert first.ended <= second.started
    assert second.is_success


def test_a_killed_attempt_is_recorded_by_the_next_and_its_log_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "POLL", 0.1)
    process = hold(60, Path("log"))
    [running] = attempts.read("train", "a/b")
    assert running.why is None
    assert attempts.why("train", "a/b", running) == "running"
    process.kill()
    process.wait()
    assert attempts.why("train", "a/b", running) == "killed"
    # As Snakemake does before the next attempt.
    Path("log").unlink()
    with turns.take("train", "a/b"):
        pass
    first, second = attempts.read("train", "a/b")
    assert (first.why, first.start_step, first.end_step) == ("killed", 3, None)
    assert first.log == "results/attempts/train/a/b/1.log"
    assert Path(first.log).read_text() == "held\n"
    assert second.is_success


def test_how_an_attempt_fails_is_one_line() -> None:
    with pytest.raises(ValueError, match="disk"), turns.take("pool", "p"):
        raise ValueError("no disk\nand more")
    with pytest.raises(Interrupted), turns.take("pool", "p"):
        raise Interrupted("time_limit")
    first, second = attempts.read("pool", "p")
    assert (first.why, first.detail) == ("failed", "no disk")
    assert (second.why, second.detail) == ("time_limit", "stopped before the time limit")


@pytest.mark.parametrize("number", turns.SIGNALS)
def test_signals_are_noted(number: signal.Signals) -> None:
    # A shell ignores some of them for what it starts in the background.
    signal.signal(number, signal.SIG_DFL)
    stop = Stop()
    stop.listen()
    assert stop.requested() is None
    os.kill(os.getpid(), number)
    assert stop.requested() == number.name


def test_an_ignored_signal_stays_ignored() -> None:
    """As `nohup` asks for."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = Stop()
    stop.listen()
    os.kill(os.getpid(), signal.SIGHUP)
    assert stop.requested() is None


def test_the_time_limit_leaves_time_to_save(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    asked: list[str] = []

    def end_time(job: str) -> float:
        asked.append(job)
        return time.time() + 300

    monkeypatch.setattr(turns.slurm, "end_time", end_time)
    stop = Stop()
    assert stop.requested() is None
    now = time.time()
    monkeypatch.setattr(turns.time, "time", lambda: now + 200)
    stop.saving = 20
    assert stop.requested() is None
    stop.step = 25
    assert stop.requested() == "time_limit"
    assert asked == ["5"]


def test_a_long_save_leaves_half_of_the_time_for_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of 7e10 weights is guessed to be hours: with a limit of four, each attempt would do one step and stop."""
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    now = time.time()
    monkeypatch.setattr(turns.slurm, "end_time", lambda job: now + 4 * 3600)
    stop = Stop()
    stop.saving = 2 * 3600
    assert stop.requested() is None
    monkeypatch.setattr(turns.time, "time", lambda: now + 1.9 * 3600)
    assert stop.requested() is None
    monkeypatch.setattr(turns.time, "time", lambda: now + 2.1 * 3600)
    assert stop.requested() == "time_limit"


def test_outside_of_slurm_an_interrupted_job_ends_at_once_to_be_run_again() -> None:
    assert turns.after_interruption(Interrupted("terminated")) == turns.TRY_AGAIN == 75


def test_a_torn_line_takes_no_other_with_it() -> None:
    file = Path("results/attempts/pool/p.jsonl")
    file.parent.mkdir(parents=True)
    file.write_bytes(b'{"event": "started", "attempt": 1, "detail": "Ger\xc3')
    with turns.take("pool", "p"):
        pass
    [attempt] = attempts.read("pool", "p")
    assert attempt.is_success


@pytest.mark.parametrize(
    ("since", "forced", "counts"),
    [
        (None, None, False),
        ("0", "", True),
        ("100", "*", True),
        ("300", "*", False),
        ("300", "train", False),
        ("300", "results/x/run.json\n./results/runs/a/run.json", False),
        # Something else was asked for again, and this job only follows from it.
        ("300", "score\nresults/x/run.json", True),
        ("300", None, True),
    ],
)
def test_what_another_job_finished_counts_unless_it_was_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, since: str | None, forced: str | None, counts: bool
) -> None:
    for name, value in ((turns.SINCE, since), (turns.FORCED, forced)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    Path("finished.json").write_text(json.dumps({"time": 200.0}))
    assert (turns.read_finished(Path(), "train", "results/runs/a/run.json") is not None) == counts
    # Nobody asks for what is not shown.
    assert turns.read_finished(Path(), "train", "results/runs/a/run.json", is_set_aside=True) is not None


def test_an_unreadable_note_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(turns.SINCE, "0")
    Path("finished.json").write_text("")
    assert turns.read_finished(Path(), "train", "r") is None
    assert turns.read_finished(Path("nowhere"), "train", "r") is None


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"time": "now"}'])
def test_a_note_that_says_nothing_counts_as_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(turns.SINCE, "0")
    Path("finished.json").write_text(text)
    assert turns.read_finished(Path(), "train", "r") is None
    assert turns.read_finished(Path(), "train", "r", is_set_aside=True) is None


def test_what_cannot_be_read_is_not_taken_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that fails for a moment is no reason to train again."""
    monkeypatch.setenv(turns.SINCE, "0")
    Path("finished.json").mkdir()
    with pytest.raises(IsADirectoryError):
        turns.read_finished(Path(), "train", "r")


def test_an_allocation_of_many_jobs_is_not_requeued_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def requeue(job: str) -> bool:
        raise AssertionError("all jobs beside this one would end")

    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv(turns.SHARED, "7")
    monkeypatch.setattr(turns.slurm, "requeue", requeue)
    assert turns.after_interruption(Interrupted("time_limit")) == turns.TRY_AGAIN


@pytest.mark.parametrize(("done", "futile"), [(0, True), (1, False)])
def test_an_attempt_that_has_done_nothing_is_not_queued_again_as_it_was(
    done: int, futile: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm would give it the same time once more, for ever; Snakemake gives the next attempt more."""
    requeued: list[str] = []

    def requeue(job: str) -> bool:
        requeued.append(job)
        return True

    monkeypatch.setattr(turns.slurm, "requeue", requeue)
    monkeypatch.setattr(turns, "LAST_WAIT", 0)

    def attempt(done: int) -> None:
        with turns.take("generate", "a/b") as turn:
            turn.record.begin(10)
            turn.record.step += done
            raise Interrupted("time_limit")

    # What an earlier attempt did does not count for the later one.
    for each in (1, done):
        with pytest.raises(Interrupted) as raised:
            attempt(each)
    assert raised.value.is_futile == futile
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert turns.after_interruption(raised.value) == turns.TRY_AGAIN
    assert requeued == ([] if futile else ["7"])
