"""The tiny study on a Slurm cluster, played on this machine: daemons, limits and signals are Slurm's own."""

from __future__ import annotations

import functools
import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from reassess import graph, paths
from reassess.console.status import comment
from reassess.work.lock import Lock
from slurm_cluster import Cluster, wait_for
from snake import ROOT, command, tables

TINY = ROOT / "studies/tiny.yaml"


class Ran(NamedTuple):
    """A Snakemake that has ended.

    Attributes:
        code: its exit status.
        log: all that it said.
        jobs: what Slurm said of its jobs, by the executor's comment.
    """

    code: int
    log: str
    jobs: dict[str, dict[str, str]]


def on_slurm(
    cluster: Cluster, directory: Path, *arguments: str, study: Path = TINY, profile: Path = ROOT / "profiles/slurm"
) -> Ran:
    """Run Snakemake on the repository's workflow as a user of the cluster would."""
    directory.mkdir(exist_ok=True)
    file = directory / "head.log"
    jobs: dict[str, dict[str, str]] = {}
    with file.open("wb") as log:
        line = command(directory, *arguments, study=study, profile=profile)
        head = subprocess.Popen(line, env=cluster.environment, stdout=log, stderr=log)
    try:
        # To wait forever is what goes wrong most often with Slurm.
        deadline = time.monotonic() + 900
        while head.poll() is None:
            assert time.monotonic() < deadline, file.read_text(encoding="utf-8")
            time.sleep(2)
            # Slurm itself forgets a job after five minutes.
            jobs |= {job["Comment"]: job for job in cluster.show("job") if job.get("WorkDir") == str(directory)}
    finally:
        head.kill()
        head.wait()
    return Ran(head.returncode, file.read_text(encoding="utf-8"), jobs)


def test_the_study_ends_with_the_tables_of_a_local_run(slurm: Cluster, finished: Path, tmp_path: Path) -> None:
    ran = on_slurm(slurm, tmp_path)
    assert ran.code == 0, ran.log
    assert tables(tmp_path) == tables(finished)
    # By these, status tells what waits.
    known = {comment(job) for job in graph.load(TINY).jobs.values() if "/" in job.key}
    assert known <= set(ran.jobs)
    cells = [job for name, job in ran.jobs.items() if name.startswith(("rule_train_", "rule_generate_"))]
    at_once = [
        (one["NodeList"], other["NodeList"])
        for one, other in itertools.combinations(cells, 2)
        if one["StartTime"] < other["EndTime"] and other["StartTime"] < one["EndTime"]
    ]
    assert any(here != there for here, there in at_once), "no two cells were at work at once on two nodes"


def test_jobs_with_a_gpu_alone_go_where_gpus_are(slurm: Cluster, tmp_path: Path) -> None:
    """Partitions and GPU type are set in one place; which job needs them follows from the study."""
    profile = tmp_path / "profile"
    shutil.copytree(ROOT / "profiles/slurm", profile)
    text = (profile / "config.yaml").read_text(encoding="utf-8")
    mine = {"slurm_partition: cpu": "low", "gpu_partition: gpu": "gpu", "gpu_model: a100": "h200"}
    for line, value in mine.items():
        assert f"  # {line}\n" in text
        text = text.replace(f"  # {line}\n", f"  {line.split(':')[0]}: {value}\n")
    (profile / "config.yaml").write_text(text, encoding="utf-8")

    study: dict[str, Any] = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    study["models"]["toy-xs"]["resources"] = {"model": {"gpu": 2, "threads": 4, "mem_mb": 3000, "runtime": 7}}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(study), encoding="utf-8")
    folder = tmp_path / "work"
    targets = ["results/models/toy-xs/manifest.json", "results/subsets/toy/seed1/16.json"]
    ran = on_slurm(slurm, folder, "--retries", "0", "--", *targets, study=file, profile=profile)
    assert ran.code == 0, ran.log
    model, subset = ran.jobs["rule_model_wildcards_toy-xs"], ran.jobs["rule_subset_wildcards_toy_seed1_16"]
    assert (model["Partition"], subset["Partition"]) == ("gpu", "low")
    assert model["TresPerJob"] == "gres:gpu:h200:2"
    assert "TresPerJob" not in subset
    # One task on one node, whatever its GPUs.
    assert (model["NumCPUs"], model["NumNodes"], model["TimeLimit"]) == ("4", "1", "00:07:00")
    assert "mem=3000M" in model["TRES"]
    assert (subset["NumCPUs"], subset["TimeLimit"]) == ("1", "00:30:00")
    assert "mem=2000M" in subset["TRES"]


def test_jobs_on_two_nodes(slurm: Cluster, tmp_path: Path) -> None:
    """One trains on processors. The other gets as far as to look for its GPUs on both nodes, for they are played."""
    study: dict[str, Any] = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    resources = {"sft": {"processes": 2, "nodes": 2}, "grpo": {"gpu": 4, "nodes": 2}}
    study["models"]["toy-xs"]["resources"] = resources
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(study), encoding="utf-8")
    arguments = ["--retries", "0", "--default-resources", "mem_mb=1000", "runtime=5", "gpu=0", "tasks_per_gpu=0"]
    arguments += ["nodes=1", "gpu_model=h200"]
    sft, grpo = (paths.run(f"toy-xs/toy/seed1/{name}", "run.json") for name in ("sft@16", "grpo@32"))
    ran = on_slurm(slurm, tmp_path / "work", *arguments, "--", sft, grpo, study=file)
    assert ran.code == 1
    record = json.loads((tmp_path / "work" / sft).read_text(encoding="utf-8"))
    assert record["processes"] == 2
    on_cpu, on_gpu = (ran.jobs[f"rule_train_wildcards_toy-xs_toy_seed1_{name}"] for name in ("sft@16", "grpo@32"))
    assert (on_cpu["NumNodes"], on_gpu["NumNodes"]) == ("2", "2")
    # Slurm alone might take three of one node.
    assert (on_gpu["TresPerJob"], on_gpu["TresPerNode"]) == ("gres:gpu:h200:4", "gres:gpu:h200:2")
    said = "toy-xs/toy/seed1/grpo@32: train failed: models.toy-xs.resources.grpo.gpu is 4 but no GPU is visible here"
    assert f"1 jobs did not finish:\n  {said}" in ran.log


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        # Not a type of GPU that the executor can read; it would never hear of the job, nor say so.
        ("gpu_model=a100-80", "Invalid GPU model format: a100-80"),
        ("slurm_partition=cpus", "sbatch: error: invalid partition specified: cpus"),
    ],
)
def test_a_job_that_cannot_be_submitted_fails(slurm: Cluster, tmp_path: Path, asked: str, reason: str) -> None:
    study: dict[str, Any] = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    study["models"]["toy-xs"]["resources"] = {"model": {"gpu": 1}}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(study), encoding="utf-8")
    folder = tmp_path / "work"
    arguments = ["--retries", "1", "--default-resources", "mem_mb=1000", "runtime=5", "gpu=0", "gpu_model=h200", asked]
    target = "results/models/toy-xs/manifest.json"
    ran = on_slurm(slurm, folder, *arguments, "--", target, study=file)
    assert ran.code == 1
    said = ran.log[ran.log.index("It could not be submitted: ") :].split(": ", 1)[1]
    assert said.startswith(reason)
    assert "sbatch call" not in ran.log
    summary = ran.log[ran.log.index("1 jobs did not finish:") :].splitlines()[1]
    assert summary.startswith(f"  toy-xs: model failed (attempt 2): could not be submitted: {reason}")
    assert ("see slurm_partition/gpu_partition in the profile" in summary) == asked.startswith("slurm_partition")
    status = [sys.executable, "-m", "reassess.cli", "status", str(file)]
    shown = subprocess.run(status, capture_output=True, text=True, cwd=folder, check=True).stdout
    assert shown.splitlines()[1].split()[:2] == ["toy-xs/base", "failed"]
    assert summary.strip() in shown


def test_a_stopped_snakemake_names_what_an_earlier_one_left_at_work(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Whoever makes the pool waits for this.
    held = Lock(paths.lock("pool", "toy"))
    assert held.acquire() is None
    line = command(tmp_path, "--", paths.pool("toy", "manifest.json"), study=TINY, profile=ROOT / "profiles/slurm")

    def started(name: str) -> subprocess.Popen[bytes]:
        with Path(name).open("wb") as log:
            # What a shell has started in the background ignores Ctrl-C, and so would all that it starts.
            heard = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
            return subprocess.Popen(line, env=slurm.environment, stdout=log, stderr=log, preexec_fn=heard)

    def running() -> list[str]:
        found = (job for job in slurm.show("job") if job["WorkDir"] == str(tmp_path) and job["JobState"] == "RUNNING")
        return [job["JobId"] for job in found]

    first = second = None
    try:
        first = started("first.log")
        (orphan,) = wait_for("a job at work", running)
        first.kill()
        first.wait()
        second = started("second.log")
        wait_for("another job at work", lambda: len(running()) == 2)
        second.send_signal(signal.SIGINT)
        assert second.wait(timeout=300) == 1
        assert running() == [orphan]
        said = Path("second.log").read_text(encoding="utf-8")
        assert f"1 Slurm jobs of an earlier Snakemake still run: {orphan}." in said
        assert f"to end them: scancel {orphan}\n" in said
    finally:
        for head in (first, second):
            if head is not None:
                head.kill()
        held.release()
        for job in running():
            slurm.cancel(job)
