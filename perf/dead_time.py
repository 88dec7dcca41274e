"""How long nothing runs between a job and the one that waits for it, on a played Slurm cluster.

    .venv/bin/python perf/dead_time.py --seconds 4 4 40 4 150 4

Two Snakemakes run the same chain of jobs side by side: one with the executor's own polling, one with profiles/slurm.
Dead time of an edge is Slurm's StartTime of the next job minus its EndTime of the previous one; both count whole
seconds, so one edge is known to a second. When Snakemake noticed the end is read from its log, and shows where the
time went.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from slurm_cluster import Cluster  # noqa: E402

SNAKEFILE = """\
SECONDS = {seconds}

if {held} and workflow.is_main_process:
    from reassess import graph
    from reassess.cluster import executor
    # Any study: by its jobs a refusal is recorded, and these here are not refused.
    executor.hold_to_settings(graph.load("{study}"))

rule all:
    input: "link" + str(len(SECONDS) - 1)
    localrule: True

rule link:
    input: lambda wildcards: [f"link{{int(wildcards.i) - 1}}"] if wildcards.i != "0" else []
    output: "link{{i}}"
    params: seconds=lambda wildcards: SECONDS[int(wildcards.i)]
    shell: "sleep {{params.seconds}}; touch {{output}}"
"""
# All that the default run shares with the profile: without accounting the executor's own choice would never end.
DEFAULT = ["--executor", "slurm", "--jobs", "10", "--slurm-status-command", "squeue"]
DEFAULT += ["--default-resources", "mem_mb=1000", "runtime=30"]
PROFILE = ["--workflow-profile", str(ROOT / "profiles/slurm")]


class Edge(NamedTuple):
    """Seconds from the end of a job until each step towards the next one.

    Attributes:
        ran: how long the job before had run.
        noticed: until Snakemake noticed the end.
        submitted: until the next job was in the queue.
        started: until it started, the dead time.
    """

    ran: float
    noticed: float
    submitted: float
    started: float


def start(cluster: Cluster, folder: Path, seconds: list[int], arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start a Snakemake on the chain; its log is `head.log`."""
    folder.mkdir()
    text = SNAKEFILE.format(seconds=seconds, held=arguments == PROFILE, study=ROOT / "studies/tiny.yaml")
    (folder / "Snakefile").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), "--snakefile", str(folder / "Snakefile")]
    with (folder / "head.log").open("wb") as log:
        return subprocess.Popen([*command, *arguments], env=cluster.environment, stdout=log, stderr=log)


def edges(folder: Path, jobs: dict[str, dict[str, str]]) -> list[Edge]:
    """Return the edges of a finished chain, from Slurm's words on its jobs and from Snakemake's log."""
    own = [job for _, job in sorted(jobs.items(), key=lambda item: int(item[0])) if job["WorkDir"] == str(folder)]
    log = (folder / "head.log").read_text(encoding="utf-8")
    # The last one is the rule that collects.
    finished = [
        datetime.strptime(text, "%a %b %d %H:%M:%S %Y").timestamp()
        for text in re.findall(r"^\[(.+)\]\nFinished jobid: \d+ \(Rule: link\)", log, flags=re.MULTILINE)
    ]
    found = []
    for job, after, noticed in zip(own, own[1:], finished, strict=False):
        end = when(job, "EndTime")
        times = (noticed, when(after, "SubmitTime"), when(after, "StartTime"))
        found.append(Edge(end - when(job, "StartTime"), *(moment - end for moment in times)))
    return found


def when(job: dict[str, str], name: str) -> float:
    return datetime.strptime(job[name], "%Y-%m-%dT%H:%M:%S").timestamp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, nargs="+", default=[4, 4, 40, 4, 150, 4], help="what each job sleeps")
    seconds = parser.parse_args().seconds
    root = Path(tempfile.mkdtemp(prefix="dead-time-"))
    jobs: dict[str, dict[str, str]] = {}
    with Cluster(root / "slurm") as cluster:
        runs = {"executor's default": (root / "default", DEFAULT), "profiles/slurm": (root / "profile", PROFILE)}
        heads = [start(cluster, folder, seconds, arguments) for folder, arguments in runs.values()]
        while any(head.poll() is None for head in heads):
            time.sleep(2)
            # The controller forgets a job after five minutes.
            jobs |= {job["JobId"]: job for job in cluster.show("job") if "JobId" in job}
    dead: dict[str, list[float]] = {}
    for (name, (folder, _)), head in zip(runs.items(), heads, strict=True):
        if head.returncode:
            sys.exit(f"{name}: {(folder / 'head.log').read_text(encoding='utf-8')}")
        print(f"\n{name}: seconds from the end of a job until")
        print(f"{'job ran':>10}{'noticed':>10}{'submitted':>12}{'next starts':>14}")
        for edge in edges(folder, jobs):
            print(f"{edge.ran:>10.0f}{edge.noticed:>10.0f}{edge.submitted:>12.0f}{edge.started:>14.0f}")
        dead[name] = [edge.started for edge in edges(folder, jobs)]
    print()
    for name, times in dead.items():
        print(f"{name}: {statistics.mean(times):.1f} s of dead time per edge, {max(times):.0f} s at most")
    before, after = (statistics.mean(times) for times in dead.values())
    print(f"ratio of the means: {before / after:.1f}")


if __name__ == "__main__":
    main()
