"""How soon Snakemake's Slurm executor submits a job, and how soon it notices its end.

It has no options for either (snakemake-executor-plugin-slurm 2.6.1). After every look that finds no finished job it
waits ten seconds longer, up to three minutes, so a training of an hour would be followed by minutes of an idle GPU.
And it sleeps five seconds before each submission, two at a time: submitting a thousand jobs would take 40 minutes.
"""

from __future__ import annotations

import sys
import time
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any


def hold_to_settings() -> None:
    """Hold executors to `--seconds-between-status-checks`, and let them submit at once."""
    try:
        from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor  # type: ignore[import-untyped]
    except ImportError:
        return
    wait = RemoteExecutor.next_seconds_between_status_checks

    def capped(executor: Any) -> Any:
        # Snakemake sets these only after the Snakefile has been read.
        settings = executor.workflow.remote_execution_settings
        return min(wait.fget(executor), settings.seconds_between_status_checks)

    RemoteExecutor.next_seconds_between_status_checks = wait.getter(capped)
    plugin = sys.modules.get("snakemake_executor_plugin_slurm")
    # 2.7.1 does both by itself.
    if plugin is not None and version("snakemake-executor-plugin-slurm").startswith("2.6."):
        _submit_at_once(plugin)


def _submit_at_once(plugin: Any) -> None:
    """Take the pause before each submission away, and fail a job that cannot be submitted (an account that is not the
    user's, a GPU type that the executor cannot read), for which Snakemake would otherwise wait forever."""
    submit = plugin.Executor.run_job

    def run_job(executor: Any, job: Any) -> None:
        try:
            submit(executor, job)
        except Exception as error:
            executor._report_job_error_threadsafe(plugin.SubmittedJobInfo(job), f"It could not be submitted: {error}\n")

    plugin.Executor.run_job = run_job
    plugin.time = SimpleNamespace(time=time.time, sleep=lambda seconds: None)
