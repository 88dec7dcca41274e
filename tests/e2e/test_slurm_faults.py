"""What happens to real training jobs on a cluster: each ends with the weights of a run that nothing happened to."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from reassess import graph, paths
from reassess.console.status import comment
from reassess.graph import Graph
from reassess.train.frame import train
from reassess.work import attempts
from slurm_cluster import Cluster
from snake import ENVIRONMENT, ROOT, command

# Small enough for one attempt to run out of it, on any machine: torch alone takes more.
TOO_LITTLE_MB = 450
# The shortest limit that Slurm knows; half of it is kept for saving.
LIMIT_MINUTES = 1
LONG_SECONDS = 35
SFT = [f"toy-xs/toy/seed{seed}/sft@32" for seed in (1, 2, 3)]
# Trains for longer than one attempt may.
LONG = "toy-xs/toy/seed1/long@32"
# Their completions come from vLLM, on models of Idefics3's and Qwen2.5-VL's shape.
GRPO, CANCELLED = "toy-xs/toy/seed1/grpo@32", "qwen-xs/toy/seed1/grpo@32"
STARVED = "starved/toy/seed1/sft@16"
RUNS = [*SFT, LONG, GRPO, CANCELLED, STARVED]


def write(file: Path, epochs: int) -> Graph:
    """Write the tiny study with runs that are long enough for something to happen to them."""
    raw = yaml.safe_load((ROOT / "studies/tiny.yaml").read_text(encoding="utf-8"))
    raw["seeds"] = [1, 2, 3]
    stages = raw["stages"]
    stages["sft"]["args"].update(num_train_epochs=70, save_steps=20, logging_steps=7)
    stages["grpo"]["args"].update(num_train_epochs=6, save_steps=8, logging_steps=7)
    stages["grpo"]["rollouts"] = {"engine": "vllm"}
    stages["long"] = {**stages["sft"], "args": {**stages["sft"]["args"], "num_train_epochs": epochs}}
    raw["recipes"]["long"] = ["long"]
    # One of these fills a node, so that jobs side by side are on different nodes.
    one_a_node = {"mem_mb": 3500, "runtime": 20}
    raw["models"]["toy-xs"]["resources"] = {"sft": one_a_node, "grpo": one_a_node}
    starved = {"sft": {"mem_mb": TOO_LITTLE_MB, "runtime": 20}}
    raw["models"]["starved"] = {**raw["models"]["toy-xs"], "resources": starved}
    raw["models"]["qwen-xs"] = {**raw["models"]["toy-xs"], "toy": {"family": "qwen2_5_vl", "size": "xs", "steps": 60}}
    file.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return graph.load(file)


@pytest.fixture(scope="module")
def slow_study(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study; how long its longest run takes is set by how fast this machine trains."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(tiny_base, folder / "work")
    once = write(folder / "slow.yaml", epochs=1)
    with working_in(folder / "work"):
        train(once, once["train", SFT[0]])
        lines = Path(paths.run(SFT[0], "metrics.jsonl")).read_text().splitlines()
    samples_per_second = statistics.median(json.loads(line)["samples_per_second"] for line in lines)
    write(folder / "slow.yaml", epochs=math.ceil(LONG_SECONDS * samples_per_second / once["train", LONG].at.size))
    return folder / "slow.yaml"


@pytest.fixture(scope="module")
def prepared(tiny_base: Path, slow_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all that the runs start from, and none of them; do not write here."""
    from reassess.data.subset import build_subset
    from reassess.models.base import build_base

    folder = tmp_path_factory.mktemp("prepared") / "work"
    shutil.copytree(tiny_base, folder)
    slow = graph.load(slow_study)
    with working_in(folder):
        for name in ("starved", "qwen-xs"):
            build_base(slow, slow["model", name])
        for job in slow.of("subset"):
            build_subset(job)
    return folder


@pytest.fixture(scope="module")
def unbroken(prepared: Path, slow_study: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The fingerprints of the runs' models where nothing happens."""
    folder = tmp_path_factory.mktemp("unbroken") / "work"
    shutil.copytree(prepared, folder)
    slow = graph.load(slow_study)
    with working_in(folder):
        for run in RUNS:
            if run in (GRPO, CANCELLED):
                # vLLM changes its process.
                subprocess.run(["reassess", "train", run, "--study", str(slow_study)], env=ENVIRONMENT, check=True)
            else:
                train(slow, slow["train", run])
        return {run: fingerprint(folder, run) for run in RUNS}


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def fingerprint(folder: Path, run: str) -> str:
    return str(json.loads((folder / paths.run(run, "run.json")).read_text())["fingerprint"])


def reasons(folder: Path, run: str) -> list[str | None]:
    with working_in(folder):
        return [attempt.why for attempt in attempts.read("train", run)]


class Head:
    """A Snakemake on the login node."""

    def __init__(self, cluster: Cluster, study: Path, folder: Path, runs: list[str], *arguments: str) -> None:
        self.cluster, self.folder, self.graph = cluster, folder, graph.load(study)
        targets = ["--", *(paths.run(run, "run.json") for run in runs)]
        line = command(folder, *arguments, *targets, study=study, profile=ROOT / "profiles/slurm")
        self.log = folder / f"head-{time.time()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                line, env=cluster.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def until(self, condition: Callable[[], Any], seconds: float = 240) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)
        return found

    def is_saved(self, run: str) -> bool:
        """Whether a run has a checkpoint to go on from."""
        return any((self.folder / paths.run(run)).glob("checkpoints/*/checkpoint-*"))

    def until_saved(self, run: str) -> None:
        self.until(lambda: self.is_saved(run))

    def job(self, run: str) -> dict[str, str]:
        """The newest Slurm job of a run."""
        known = comment(self.graph["train", run])
        return [job for job in self.cluster.jobs() if job["comment"] == known][-1]

    def finish(self, seconds: float = 420) -> None:
        assert self.process.wait(seconds) == 0, self.said()

    def said(self) -> str:
        logs = sorted((self.folder / "results/logs/train").rglob("*.log"))
        return "\n".join(f"== {file}\n{file.read_text()[-1500:]}" for file in [self.log, *logs])


@pytest.fixture(scope="module")
def weather(slurm: Cluster, prepared: Path, slow_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs on three nodes: one node dies, one job is preempted, one is cancelled by somebody."""
    folder = tmp_path_factory.mktemp("weather") / "work"
    shutil.copytree(prepared, folder)
    lost, cancelled, preempted = SFT[0], CANCELLED, GRPO
    head = Head(slurm, slow_study, folder, [lost, cancelled, preempted], "--set-resources", "train:slurm_partition=low")
    node = ""
    left = [lost, cancelled, preempted]

    def strike() -> bool:
        """Hit whatever has a checkpoint to go on from."""
        nonlocal node
        for run in [run for run in left if head.is_saved(run)]:
            left.remove(run)
            job = head.job(run)
            if run == lost:
                node = job["node"]
                slurm.kill_node(node)
            elif run == cancelled:
                slurm.cancel(job["id"])
            else:
                above = ["sbatch", "-p", "high", "-w", job["node"], "--exclusive", "-o", "/dev/null"]
                slurm.run(*above, "--wrap", "sleep 5")
        return not left

    head.until(strike)
    head.until(lambda: slurm.node_states()[node] == "DOWN")
    slurm.start_node(node)
    head.finish()
    return folder


def test_a_node_is_lost(weather: Path, unbroken: dict[str, str]) -> None:
    assert fingerprint(weather, SFT[0]) == unbroken[SFT[0]]
    # On the two nodes that are left it may be in the way of what preempts another run; killed for that when it has
    # finished, and not yet ended, it is found finished by the next attempt.
    first, *between, last = reasons(weather, SFT[0])
    assert (first, last) == ("node_lost", "finished")
    assert set(between) <= {"preempted", "terminated", "finished"}


def test_a_job_is_preempted(weather: Path, unbroken: dict[str, str]) -> None:
    assert fingerprint(weather, GRPO) == unbroken[GRPO]
    assert reasons(weather, GRPO) == ["terminated", "finished"]
    with working_in(weather):
        first, second = attempts.read("train", GRPO)
    # It was told, and has saved the very step.
    assert first.end_step == second.start_step > 0


def test_a_job_is_cancelled(weather: Path, unbroken: dict[str, str]) -> None:
    assert fingerprint(weather, CANCELLED) == unbroken[CANCELLED]
    assert reasons(weather, CANCELLED) == ["terminated", "finished"]


@pytest.fixture(scope="module")
def limits(slurm: Cluster, prepared: Path, slow_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with too little time, one with too little memory, and one whose node's daemon dies."""
    folder = tmp_path_factory.mktemp("limits") / "work"
    shutil.copytree(prepared, folder)
    other = folder.with_name("other")
    shutil.copytree(prepared, other)
    unseen = SFT[2]
    head = Head(slurm, slow_study, folder, [STARVED, unseen])
    long = Head(slurm, slow_study, other, [LONG], "--set-resources", f"train:runtime={LIMIT_MINUTES}")
    head.until_saved(unseen)
    node = head.job(unseen)["node"]
    slurm.kill_slurmd(node)
    head.until(lambda: slurm.node_states()[node] == "DOWN")
    slurm.start_node(node)
    head.finish()
    long.finish()
    for kind in ("runs", "attempts/train", "logs/train"):
        shutil.copytree(other / "results" / kind, folder / "results" / kind, dirs_exist_ok=True)
    return folder


def test_the_time_limit(limits: Path, unbroken: dict[str, str]) -> None:
    assert fingerprint(limits, LONG) == unbroken[LONG]
    *stopped, last = reasons(limits, LONG)
    assert set(stopped) == {"time_limit"}
    assert last == "finished"
    with working_in(limits):
        found = attempts.read("train", LONG)
    # Each goes on where the one before stopped, as the same Slurm job: no retry is used up.
    assert [attempt.start_step for attempt in found[1:]] == [attempt.end_step for attempt in found[:-1]]
    assert len({attempt.job for attempt in found}) == 1
    assert [attempt.restart for attempt in found] == list(range(len(found)))
    assert all(attempt.log is not None and (limits / attempt.log).stat().st_size > 0 for attempt in found)


def test_too_little_memory(limits: Path, unbroken: dict[str, str], slurm: Cluster) -> None:
    assert fingerprint(limits, STARVED) == unbroken[STARVED]
    *failed, last = reasons(limits, STARVED)
    assert set(failed) == {"out_of_memory"}
    assert last == "finished"
    jobs = [slurm.state(job["id"]) for job in slurm.jobs() if job["comment"].startswith("rule_train_wildcards_starved")]
    # A job that Slurm sent to the node whose daemon had just been killed never began, and says nothing of memory.
    memory = dict.fromkeys(int(job["MinMemoryNode"].removesuffix("M")) for job in jobs)
    assert list(memory) == [TOO_LITTLE_MB * 2**i for i in range(len(failed) + 1)]


def test_a_job_that_slurm_has_lost_sight_of_is_not_joined_by_another(limits: Path, unbroken: dict[str, str]) -> None:
    assert fingerprint(limits, SFT[2]) == unbroken[SFT[2]]
    with working_in(limits):
        found = attempts.read("train", SFT[2])
    assert found[-1].is_success
    for one, other in itertools.pairwise(found):
        assert one.ended is not None
        assert one.ended <= other.started


def test_the_head_is_killed_and_started_again_while_its_job_runs(
    slurm: Cluster, prepared: Path, slow_study: Path, unbroken: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    shutil.copytree(prepared, folder)
    run = SFT[0]
    first = Head(slurm, slow_study, folder, [run])
    first.until_saved(run)
    first.process.kill()
    first.process.wait()
    orphan = first.job(run)
    assert orphan["state"] == "RUNNING"
    second = Head(slurm, slow_study, folder, [run])
    second.finish()
    assert "1 Slurm jobs of an earlier Snakemake are at work" in second.log.read_text()
    assert second.job(run)["id"] != orphan["id"]
    assert fingerprint(folder, run) == unbroken[run]
    with working_in(folder):
        found = attempts.read("train", run)
    # The orphan did the work; the job that was submitted beside it waited and took the result over.
    assert [(attempt.job, attempt.why) for attempt in found[:1]] == [(orphan["id"], "finished")]
    assert all(attempt.end_step == 0 for attempt in found[1:])
