"""How soon Snakemake's Slurm executor submits a job, and how soon it notices its end.

It has no options for either (snakemake-executor-plugin-slurm 2.6.1). After every look that finds no finished job it
waits ten seconds longer, up to three minutes, so a training of an hour would be followed by minutes of an idle GPU.
And it sleeps five seconds before each submission, two at a time: submitting a thousand jobs would take 40 minutes.
"""

from __future__ import annotations

import functools
import re
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

from reassess.graph import Graph, Job
from reassess.work import attempts

# Which lines of the profile a word in Slurm's refusal is about.
_KEYS = {"account": "slurm_account", "partition": "slurm_partition/gpu_partition"}


def hold_to_settings(graph: Graph) -> None:
    """Hold executors to `--seconds-between-status-checks`, let them submit at once, and record what Slurm refuses.

    Args:
        graph: the study, whose jobs are known by what they make.
    """
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
        _submit_at_once(plugin, graph)


def _submit_at_once(plugin: Any, graph: Graph) -> None:
    """Take the pause before each submission away, and fail a job that cannot be submitted (an account that is not the
    user's, a GPU type that the executor cannot read), for which Snakemake would otherwise wait forever."""

    @functools.cache
    def makers() -> dict[str, Job]:
        return {file: job for job in graph.jobs.values() for file in job.outputs}

    submit = plugin.Executor.run_job
    report = plugin.Executor._report_job_error_threadsafe

    def run_job(executor: Any, job: Any) -> None:
        try:
            submit(executor, job)
        except Exception as error:
            executor._report_job_error_threadsafe(plugin.SubmittedJobInfo(job), str(error) or type(error).__name__)

    def report_error(executor: Any, info: Any, msg: str) -> None:
        # Without a number Slurm has not taken it.
        if info.external_jobid is None:
            reason = refusal(msg)
            refused = {makers()[file] for file in map(str, info.job.output) if file in makers()}
            for job in refused:
                # A full disk must not hide the reason, which Snakemake prints.
                with suppress(OSError):
                    attempts.refuse(job.rule, job.key, reason)
            msg = f"It could not be submitted: {reason}\n"
        report(executor, info, msg)

    plugin.Executor.run_job = run_job
    plugin.Executor._report_job_error_threadsafe = report_error
    plugin.time = SimpleNamespace(time=time.time, sleep=lambda seconds: None)


def refusal(said: str) -> str:
    """Return why a job could not be submitted, in one line, given all that the executor says of it."""
    # The executor quotes what sbatch has said, before a call of thousands of characters.
    errors = re.findall(r"sbatch: error: (.*?)(?='?\.?$)", said, flags=re.MULTILINE)
    lines = said.strip().splitlines() or ["no reason is given"]
    # A line that ends so is of no use alone (`Available accounts:`).
    first = " ".join(lines[: 2 if lines[0].endswith(":") else 1])
    reason = f"sbatch: error: {'; '.join(dict.fromkeys(errors))}" if errors else first
    keys = [key for word, key in _KEYS.items() if word in reason.lower()]
    return f"{reason} (see {' and '.join(keys)} in the profile)" if keys else reason
