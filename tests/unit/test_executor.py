"""The wait between two looks at Slurm stays at the profile's; a job that Slurm refuses is on record."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from reassess import paths
from reassess.cluster.executor import hold_to_settings, refusal
from reassess.console import failures
from reassess.graph import Graph
from reassess.work import attempts
from reassess.work.turns import take

SFT = "toy-xs/toy/seed1/sft@16"


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, tiny: Graph) -> None:
    """The executor as the workflow holds it, for one test."""
    wait = RemoteExecutor.next_seconds_between_status_checks
    monkeypatch.setattr(RemoteExecutor, "next_seconds_between_status_checks", wait)
    monkeypatch.setattr(plugin.Executor, "run_job", plugin.Executor.run_job)
    monkeypatch.setattr(plugin.Executor, "_report_job_error_threadsafe", plugin.Executor._report_job_error_threadsafe)
    monkeypatch.setattr(plugin, "time", plugin.time)
    hold_to_settings(tiny)


def executor(**attributes: Any) -> Any:
    """Return an executor that starts nothing."""
    made: Any = object.__new__(plugin.Executor)
    settings = SimpleNamespace(seconds_between_status_checks=5)
    vars(made).update(workflow=SimpleNamespace(remote_execution_settings=settings), **attributes)
    return made


@pytest.mark.usefixtures("held")
def test_the_wait_does_not_grow_beyond_the_setting() -> None:
    slurm = executor(_next_seconds_between_status_checks=None)
    for wanted, wait in ((3, 3), (13, 5), (180, 5), (4, 4)):
        slurm.next_seconds_between_status_checks = wanted
        assert slurm.next_seconds_between_status_checks == wait


@pytest.mark.usefixtures("held")
def test_a_job_that_cannot_be_submitted_is_reported_at_once_and_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Graph
) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    slurm = executor(_main_event_loop=None, report_job_error=lambda info, msg: told.append(msg))
    made = [paths.run(SFT, name) for name in ("run.json", "metrics.jsonl")]
    job = SimpleNamespace(name="train", is_group=lambda: False, output=made)
    # Whatever it wants of an executor that was never started, it does not find.
    slurm.run_job(job)
    assert len(told) == 1
    assert told[0].startswith("It could not be submitted: ")
    call = "    sbatch call:\n        sbatch --parsable --wrap=...\n"
    error = "sbatch: error: invalid partition specified: cpus"
    slurm._report_job_error_threadsafe(plugin.SubmittedJobInfo(job), f"The error message was '{error}'.\n{call}")
    assert told[1] == f"It could not be submitted: {error} (see slurm_partition/gpu_partition in the profile)\n"
    first, second = attempts.read("train", SFT)
    assert (first.number, second.number) == (1, 2)
    assert second.detail == f"could not be submitted: {error} (see slurm_partition/gpu_partition in the profile)"
    assert (second.why, second.host, second.job, second.log) == ("failed", platform.node(), None, None)
    assert failures.failures(tiny, time.time() - 60, made, "head.log").splitlines()[1:] == [
        f"  {SFT}: train failed (attempt 2): {second.detail}"
    ]
    # What Slurm has taken has its own records.
    slurm._report_job_error_threadsafe(plugin.SubmittedJobInfo(job, external_jobid="7"), "it failed")
    assert told[2] == "it failed"
    assert len(attempts.read("train", SFT)) == 2


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: cpus\n"
            "sbatch: error: Batch job submission failed: Invalid partition name specified'.\n    sbatch call:\n",
            "sbatch: error: invalid partition specified: cpus; Batch job submission failed: Invalid partition name "
            "specified (see slurm_partition/gpu_partition in the profile)",
        ),
        (
            "The given account a appears to be invalid. Available accounts:\nb, c",
            "The given account a appears to be invalid. Available accounts: b, c (see slurm_account in the profile)",
        ),
        ("Invalid GPU model format: a100-80.\nMore of it", "Invalid GPU model format: a100-80."),
        ("", "no reason is given"),
    ],
)
def test_the_reason_of_a_refusal_is_one_line(said: str, reason: str) -> None:
    assert refusal(said) == reason


def test_a_job_at_work_is_not_hidden_by_a_refused_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Graph
) -> None:
    """The one at work is of an earlier Snakemake."""
    monkeypatch.chdir(tmp_path)
    with take("train", SFT):
        attempts.refuse("train", SFT, "no")
        found = failures.last(tiny["train", SFT])
        assert found is not None
        assert (found.why, found.attempt.number) == ("running", 1)
    found = failures.last(tiny["train", SFT])
    assert found is not None
    assert found.line == f"{SFT}: train failed (attempt 2): could not be submitted: no"
