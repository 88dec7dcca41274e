"""What a job asks of Slurm: its own end, and how another job ended. Everything else is Snakemake's executor's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

# A controller that is busy or restarting answers late; a job must not hang on it.
PATIENCE_SECONDS = 30
# Slurm's words for a job that is over, by ours. REVOKED and STOPPED are left out: they are not ends.
ENDS = {
    "BOOT_FAIL": "node_lost",
    "CANCELLED": "cancelled",
    "COMPLETED": "finished",
    "DEADLINE": "time_limit",
    "FAILED": "failed",
    "NODE_FAIL": "node_lost",
    "OUT_OF_MEMORY": "out_of_memory",
    "PREEMPTED": "preempted",
    "TIMEOUT": "time_limit",
}


class QueuedJob(NamedTuple):
    """A job that Snakemake's executor has submitted and that is not over.

    Attributes:
        id: Slurm job id.
        state: in Slurm's words (`PENDING`, `RUNNING`).
        comment: the executor's, with the rule and its wildcards.
    """

    id: str
    state: str
    comment: str


def job_id() -> str | None:
    """Return the Slurm job that this process is part of."""
    return os.environ.get("SLURM_JOB_ID")


def restarts(job: str) -> int:
    """Return how often Slurm has requeued a job, 0 where it does not say."""
    return int(_show(job).get("Restarts", 0))


def state(job: str) -> str | None:
    """Return a job's state in Slurm's words (`RUNNING`, `TIMEOUT`), None where Slurm does not know the job any more.

    Raises:
        OSError: Slurm cannot be asked here, or does not answer.
    """
    shown = _show(job)
    if "JobState" in shown:
        return shown["JobState"]
    if shutil.which("sacct"):
        said = _run("sacct", "-X", "-n", "-P", "-j", job, "-o", "State")
        if said.returncode == 0 and said.stdout.strip():
            # `CANCELLED by 1000`; the last of several lines is the last time the job ran.
            return said.stdout.strip().splitlines()[-1].split()[0]
    return None


def queue() -> list[QueuedJob]:
    """Return the user's waiting and running jobs that a Snakemake has submitted in the current directory.

    Empty where squeue is missing or does not answer.
    """
    try:
        # `%k` is the comment, `%Z` the directory that the job works in.
        said = _run("squeue", "--noheader", "--me", "--format=%A|%T|%k|%Z")
    except OSError:
        return []
    # Comments of other jobs may have any number of bars.
    fields = [line.split("|", 3) for line in said.stdout.splitlines()]
    return [
        QueuedJob(*item[:3])
        for item in fields
        if len(item) == 4 and item[2].startswith("rule_") and Path(item[3]) == Path.cwd()
    ]


def is_over(job: str) -> bool | None:
    """Return whether a job is over for good and was not put back into the queue; None where Slurm cannot tell."""
    try:
        found = state(job)
    except OSError:
        return None
    return True if found is None else found in ENDS


def end_time(job: str) -> float | None:
    """Return when Slurm will end a job (seconds since the epoch), None where it has no limit or does not say."""
    try:
        text = _show(job).get("EndTime", "")
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").astimezone().timestamp()
    except (OSError, ValueError):
        return None


def was_lost(node: str, since: datetime) -> bool:
    """Return whether Slurm has lost a node, or its daemon has been started anew, since a time."""
    try:
        shown = _run("scontrol", "-o", "show", "node", node).stdout
    except OSError:
        return False
    fields = dict(re.findall(r"(\w+)=(\S+)", shown))
    if any(word in fields.get("State", "") for word in ("DOWN", "NOT_RESPONDING", "FAIL", "*")):
        return True
    try:
        return datetime.strptime(fields.get("SlurmdStartTime", ""), "%Y-%m-%dT%H:%M:%S").astimezone() > since
    except ValueError:
        return False


def requeue(job: str) -> bool:
    """Put a running job back into the queue; return whether Slurm does it. The caller is killed soon after."""
    try:
        return _run("scontrol", "requeue", job).returncode == 0
    except OSError:
        return False


def hosts(job: str) -> list[str]:
    """Return the names of a job's nodes, in Slurm's order. Raises OSError."""
    nodes = _run("squeue", "-h", "-j", job, "-o", "%N")
    names = _run("scontrol", "show", "hostnames", nodes.stdout.strip())
    if nodes.returncode != 0 or names.returncode != 0:
        raise OSError(f"the nodes of Slurm job {job} cannot be told: {(nodes.stderr + names.stderr).strip()}")
    return names.stdout.split()


def address(host: str) -> str:
    """Return where a node can be reached, which need not be what its name resolves to. Raises OSError."""
    found = re.search(r"NodeAddr=(\S+)", _run("scontrol", "show", "node", host).stdout)
    return found[1] if found else host


def is_for_inner_step(variable: str) -> bool:
    """Whether an inner job step may see a variable: what Slurm has set for the outer one would be its options."""
    kept = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_CONF", "SLURM_CLUSTER_NAME")
    return not variable.startswith("SLURM_") or variable in kept


def _show(job: str) -> dict[str, str]:
    """Return `scontrol show job` as a mapping, empty where the job is not known."""
    said = _run("scontrol", "-o", "show", "job", job)
    if said.returncode != 0 and "Invalid job id" not in said.stderr:
        raise OSError(f"scontrol: {said.stderr.strip()}")
    return dict(re.findall(r"(\w+)=(\S+)", said.stdout))


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{command[0]} did not answer in {PATIENCE_SECONDS} s") from error
