"""What Slurm is asked, and what its answers mean."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reassess.work import slurm

# What `scontrol -o show job` says of a job that has just been sent a signal (Slurm 22.05).
CANCELLED = (
    "JobId=7 JobState=COMPLETING Restarts=0 ExitCode=0:0 TimeLimit=1-00:05:00"
    " StartTime=2026-11-28T19:46:44 EndTime=2026-11-28T19:47:10"
)
REQUEUED = CANCELLED.replace("EndTime=2026-11-28T19:47:10", "EndTime=2026-11-29T19:51:44")
UNLIMITED = CANCELLED.replace("1-00:05:00", "UNLIMITED")
PREEMPTED = REQUEUED.replace("COMPLETING", "RUNNING") + " PreemptTime=2026-11-28T19:47:10"


def says(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    """Let every command of Slurm say the same; None: it does not answer."""

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        if text is None:
            raise OSError(f"{command[0]} did not answer")
        return subprocess.CompletedProcess(command, 0, text, "")

    monkeypatch.setattr(slurm, "_run", run)


def test_the_queue_has_the_jobs_of_this_directory_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [
        f"1|RUNNING|rule_train_wildcards_a_b|{tmp_path}",
        f"2|PENDING|rule_tables|{tmp_path}",
        f"3|RUNNING|rule_train_wildcards_a_b|{tmp_path}/other",
        f"4|RUNNING|(null)|{tmp_path}",
        f"5|RUNNING|rule_of|thumb|{tmp_path}",
        "6|a broken line",
    ]
    says(monkeypatch, "\n".join(lines) + "\n")
    assert slurm.queue() == [
        slurm.QueuedJob("1", "RUNNING", "rule_train_wildcards_a_b"),
        slurm.QueuedJob("2", "PENDING", "rule_tables"),
    ]


def test_the_queue_is_empty_where_slurm_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, None)
    assert slurm.queue() == []
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    assert slurm.queue() == []
