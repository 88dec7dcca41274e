"""The wait between two looks at Slurm stays at the profile's, however long nothing ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from reassess import polling


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The executor as the workflow holds it, for one test."""
    wait = RemoteExecutor.next_seconds_between_status_checks
    monkeypatch.setattr(RemoteExecutor, "next_seconds_between_status_checks", wait)
    monkeypatch.setattr(plugin.Executor, "run_job", plugin.Executor.run_job)
    monkeypatch.setattr(plugin, "time", plugin.time)
    polling.hold_to_settings()


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
def test_a_job_that_cannot_be_submitted_is_reported_at_once() -> None:
    told: list[str] = []
    slurm = executor(_report_job_error_threadsafe=lambda info, msg: told.append(msg))
    # Whatever it wants of an executor that was never started, it does not find.
    slurm.run_job(SimpleNamespace(name="train", is_group=lambda: False))
    assert len(told) == 1
    assert told[0].startswith("It could not be submitted: ")
