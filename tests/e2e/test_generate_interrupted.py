"""An evaluation that is killed, asked to stop, or preempted loses nothing, and ends as if nothing had happened."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import snake
from interrupted import signalled_while_it_answers, stored
from reassess import paths
from reassess.evaluate.store import Store
from reassess.graph import Graph, parse
from reassess.study import read
from reassess.work import attempts
from reassess.work.turns import TRY_AGAIN
from slurm_cluster import Cluster, wait_for
from snake import ROOT

# Of each of 64 prompts. Responses come to the disk once a second, and two such moments have to be far from the end.
SAMPLES = 12
TOTAL = 64 * SAMPLES
RUN = """
import os, sys
from reassess import graph
from reassess.evaluate.generate import generate
study = graph.load(sys.argv[1])
for directory in sys.argv[2:]:
    os.chdir(directory)
    generate(study, study["generate", "toy-xs/base/main"])
"""


@pytest.fixture(scope="module")
def slow(tiny: Graph) -> Graph:
    """The tiny study with an engine that takes seconds: few sequences at a time, many samples."""
    evaluation: dict[str, Any] = {"engine": "transformers", "batch_size": 8}
    if importlib.util.find_spec("vllm") is not None:
        evaluation = {"engine": "vllm", "engine_args": {"max_num_seqs": 2}}
    asked = {"benchmarks": ["toy-id", "toy-text"], "decoding": {"n": SAMPLES, "temperature": 1.0, "max_tokens": 24}}
    suites = {**tiny.study.model_dump(mode="json")["suites"], "main": asked}
    return parse({**tiny.study.model_dump(mode="json"), "evaluation": evaluation, "suites": suites}, "test")


@pytest.fixture(scope="module")
def unbroken(slow: Graph, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The responses of an evaluation that nothing happened to."""
    folder = tmp_path_factory.mktemp("unbroken") / "work"
    shutil.copytree(tiny_base, folder)
    read.dump(slow.study, folder / "study.json")
    subprocess.run([sys.executable, "-c", RUN, str(folder / "study.json"), str(folder)], check=True)
    return folder / paths.evaluation("toy-xs/base/main") / "responses.parquet"


def test_killed_evaluation_continues(slow: Graph, tiny_results: Path, unbroken: Path) -> None:
    read.dump(slow.study, "study.json")
    command = [sys.executable, "-c", RUN, str(tiny_results / "study.json")]
    process = subprocess.Popen([*command, str(tiny_results)])
    signalled_while_it_answers(process, signal.SIGKILL)
    process.wait()
    assert process.returncode == -9, "it ended before it could be killed"
    before = stored()
    assert 0 < before < TOTAL
    assert not Path(paths.evaluation("toy-xs/base/main"), "responses.parquet").exists()
    # What a kill in the middle of a write leaves.
    (file,) = Path("results/responses").glob("*/*.jsonl")
    with file.open("ab") as handle:
        handle.write(b'{"key": "torn')

    subprocess.run([*command, str(tiny_results)], check=True)
    record = json.loads(Path(paths.evaluation("toy-xs/base/main", "responses.json")).read_text())
    assert (record["reused"], record["generated"]) == (before, TOTAL - before)
    assert len(Store(paths.store(record["checkpoints"][0]["fingerprint"]))) == TOTAL
    responses = Path(paths.evaluation("toy-xs/base/main")) / "responses.parquet"
    assert pq.read_table(responses).equals(pq.read_table(unbroken))


def test_an_evaluation_that_is_asked_to_stop_continues(slow: Graph, tiny_results: Path, unbroken: Path) -> None:
    read.dump(slow.study, "study.json")
    command = [sys.executable, "-m", "reassess.cli", "generate", "toy-xs/base/main", "--study", "study.json"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    signalled_while_it_answers(process, signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == TRY_AGAIN
    assert "stopped by SIGTERM; what was done is saved, and the same command continues" in said
    assert not Path(paths.evaluation("toy-xs/base/main"), "responses.parquet").exists()
    before = stored()
    assert 0 < before < TOTAL
    subprocess.run(command, check=True)
    first, second = attempts.read("generate", "toy-xs/base/main")
    assert (first.why, first.start_step, first.end_step) == ("terminated", 0, before)
    assert (second.why, second.start_step, second.end_step) == ("finished", before, TOTAL)
    responses = Path(paths.evaluation("toy-xs/base/main")) / "responses.parquet"
    assert pq.read_table(responses).equals(pq.read_table(unbroken))


def test_a_preempted_evaluation_continues(slow: Graph, tiny_results: Path, unbroken: Path, slurm: Cluster) -> None:
    """Slurm tells only the first process of a job step, which has to be the one that knows what to do."""
    read.dump(slow.study, "study.json")
    target = paths.evaluation("toy-xs/base/main", "responses.parquet")
    options = ["--set-resources", "generate:slurm_partition=low", "--retries", "0", "--", target]
    line = snake.command(tiny_results, *options, study=tiny_results / "study.json", profile=ROOT / "profiles/slurm")
    with Path("head.log").open("wb") as log:
        head = subprocess.Popen(line, env=slurm.environment, stdout=log, stderr=log)
    wait_for("responses", lambda: stored() > 0 or head.poll() is not None, 180)
    (job,) = (job for job in slurm.jobs() if job["comment"].startswith("rule_generate") and job["state"] == "RUNNING")
    slurm.run("sbatch", "-p", "high", "-w", job["node"], "--exclusive", "-o", "/dev/null", "--wrap", "sleep 5")
    assert head.wait(300) == 0, Path("head.log").read_text()
    first, second = attempts.read("generate", "toy-xs/base/main")
    assert (first.why, second.why, first.job) == ("terminated", "finished", second.job)
    assert 0 < (first.end_step or 0) == second.start_step < second.end_step == TOTAL
    assert pq.read_table(target).equals(pq.read_table(unbroken))
