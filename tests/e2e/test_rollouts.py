"""RL whose completions vLLM samples: killed, in two processes, with dynamic sampling, and stopped when it drifts."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from once import once
from reassess import graph, paths
from reassess.graph import Graph
from reassess.study import read
from snake import ROOT, snake

STUDY = ROOT / "studies/rollouts.yaml"
GRPO, DAPO = "idefics3-xs/toy/seed1/grpo@32", "qwen-xs/toy/seed1/dapo@32"
# Fields of a metrics line that say how fast it went.
TIMING = {"tokens_per_second", "samples_per_second", "step_time"}
# Of weights that were trained in two ways of adding up the same gradients: 8 steps of Adam at 2e-4.
ALIKE = 1e-4
PLAIN = "import sys; from reassess.cli import main; sys.exit(main(sys.argv[1:]))"
# Kills the process when all is trained, and nothing published.
KILLED_AT_THE_END = f"""
import os, signal
from reassess.train import published
published.put = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
{PLAIN}
"""
# What a run does wrong, and a part of what it says.
FAULTS = {
    "weights": "more than rollouts.max_logp_difference",
    "features": "more than rollouts.max_logp_difference",
    "pictures": "more than rollouts.max_logp_difference",
    "tokens": "tokens of a prompt that has",
}
FAULTY = ROOT / "tests/e2e/faulty_rollouts.py"


def variant(processes: int = 1, kind: str = "ddp", **args: Any) -> Graph:
    """Return the study, each step logged with its completions, trained by so many processes."""
    raw = graph.load(STUDY).study.model_dump(mode="json")
    for stage in raw["stages"].values():
        stage["args"].update(logging_steps=1, log_completions=True, **args)
    for model in raw["models"].values():
        model.update(distributed=kind, resources={"grpo": {"processes": processes}})
    return graph.parse(raw, "study")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with models, pool and subset of the study; do not write here."""

    def make(folder: Path) -> None:
        targets = [f"results/models/{name}/manifest.json" for name in ("idefics3-xs", "qwen-xs")]
        result = snake(folder, "--", *targets, "results/subsets/toy/seed1/32.json", study=STUDY)
        assert result.returncode == 0, result.stdout + result.stderr

    return once(tmp_path_factory, "rollouts", make)


@pytest.fixture(scope="module")
def work(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that returns a new copy of the directory."""

    def copy(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name) / "work"
        shutil.copytree(base, folder)
        return folder

    return copy


def start(folder: Path, key: str, study: Graph, script: str = PLAIN) -> subprocess.Popen[bytes]:
    """Train in a process of its own: vLLM changes the one that it is in."""
    read.dump(study.study, folder / "study.json")
    command = [sys.executable, "-c", script, "train", key, "--study", "study.json"]
    with (folder / "train.log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def train(folder: Path, key: str, study: Graph) -> Path:
    """Train a run to its end."""
    assert start(folder, key, study).wait() == 0, (folder / "train.log").read_text()[-3000:]
    return folder


@pytest.fixture(scope="module")
def unbroken(work: Callable[[str], Path]) -> Callable[[str], Path]:
    """A function that returns a directory in which a run was trained by one process without a stop."""
    made: dict[str, Path] = {}

    def run(key: str) -> Path:
        if key not in made:
            made[key] = train(work("unbroken"), key, variant())
        return made[key]

    return run


def record(folder: Path, key: str) -> dict[str, Any]:
    return dict(json.loads((folder / paths.run(key, "run.json")).read_text()))


def metrics(folder: Path, key: str) -> list[dict[str, Any]]:
    file = folder / "results/runs" / key / "checkpoints" / record(folder, key)["identity"] / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMING} for line in lines]


def result(folder: Path, key: str) -> dict[str, Any]:
    """Return what must be equal between a run and the same one that was stopped."""
    kept = ("fingerprint", "steps_done", "samples_seen", "tokens_seen", "work", "rollouts")
    return {"metrics": metrics(folder, key), **{name: record(folder, key)[name] for name in kept}}


def completions(folder: Path, key: str) -> list[list[dict[str, Any]]]:
    """Return the logged completions of each step, in any order."""
    root = folder / "results/runs" / key / "checkpoints" / record(folder, key)["identity"] / "completions"
    found = [pq.read_table(file).to_pylist() for file in sorted(root.glob("*.parquet"))]
    return [sorted(step, key=lambda row: str((row["prompt"], row["completion"]))) for step in found]


@pytest.mark.parametrize("key", [GRPO, DAPO])
def test_a_killed_run_ends_like_one_that_was_not(
    key: str, work: Callable[[str], Path], unbroken: Callable[[str], Path]
) -> None:
    folder, study, rng = work("killed"), variant(), random.Random(key)
    moment, delay = rng.randint(2, 6), rng.uniform(0, 0.1)
    process = start(folder, key, study)

    def saved() -> int:
        found = (folder / paths.run(key)).glob("checkpoints/*/checkpoint-*")
        return max((int(path.name.rpartition("-")[2]) for path in found), default=0)

    while saved() < moment and process.poll() is None:
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
    train(folder, key, study)
    assert "resuming at step" in (folder / "train.log").read_text()
    assert result(folder, key) == result(unbroken(key), key)


@pytest.mark.parametrize("kind", ["ddp", "zero3"])
def test_two_processes_sample_and_learn_what_one_does(
    kind: str, work: Callable[[str], Path], unbroken: Callable[[str], Path]
) -> None:
    folder, one = train(work(kind), DAPO, variant(2, kind)), unbroken(DAPO)
    theirs, ours = metrics(folder, DAPO), metrics(one, DAPO)
    # As long as the weights agree to the last digit but one the very completions are the same.
    names = [name for name in ours[0] if name.startswith(("resample/", "rewards/"))]
    assert len(names) > 5
    assert [theirs[0][name] for name in names] == [ours[0][name] for name in names]
    first, expected = completions(folder, DAPO)[0], completions(one, DAPO)[0]
    assert [row["completion"] for row in first] == [row["completion"] for row in expected]
    weights = [load_file(root / paths.run(DAPO, "model/model.safetensors")) for root in (folder, one)]
    assert max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0]) < ALIKE
    assert record(folder, DAPO)["rollouts"]["prompts_drawn"] == record(one, DAPO)["rollouts"]["prompts_drawn"]


def test_only_groups_with_right_and_wrong_answers_are_learnt_from(unbroken: Callable[[str], Path]) -> None:
    """The study also rewards the form, by which groups that are all wrong differ too."""
    run = record(unbroken(DAPO), DAPO)
    lines = metrics(unbroken(DAPO), DAPO)
    differ_in_form = 0
    for line, step in zip(lines, completions(unbroken(DAPO), DAPO), strict=True):
        groups = defaultdict(list)
        for row in step:
            groups[str(row["prompt"])].append(row)
        mixed = [len({row["accuracy"] for row in group}) > 1 for group in groups.values()]
        assert sum(mixed) >= len(groups) - line["resample/filled"]
        assert line["frac_reward_zero_std"] <= line["resample/filled"] / 4
        differ_in_form += sum(len({row["format"] for row in group}) > 1 for group in groups.values())
    assert differ_in_form
    drawn = run["rollouts"]
    # Four prompts are drawn at a time, of 32.
    assert drawn["prompts_drawn"] == 4 * sum(line["resample/rounds"] for line in lines)
    assert drawn["data_passes"] == round(drawn["prompts_drawn"] / 32, 3) == round(lines[-1]["resample/data_passes"], 3)
    assert drawn["groups_kept"] == 4 * len(lines) - sum(line["resample/filled"] for line in lines)
    assert drawn["discarded_tokens"] == sum(line["resample/discarded_tokens"] for line in lines) > 0
    assert run["samples_seen"] == 4 * drawn["prompts_drawn"] > 16 * len(lines)


@pytest.mark.slow
def test_a_budget_of_prompts_ends_a_run_wherever_it_was_killed(work: Callable[[str], Path]) -> None:
    raw = variant(save_steps=1).study.model_dump(mode="json")
    raw["stages"]["dapo"]["resample"]["budget"] = "prompts"
    study = graph.parse(raw, "study")
    folder = work("budget")
    assert start(folder, DAPO, study, KILLED_AT_THE_END).wait() == -signal.SIGKILL
    train(folder, DAPO, study)
    run, lines = record(folder, DAPO), metrics(folder, DAPO)
    # As many as an epoch of the rows has.
    drawn = [line["resample/prompts_drawn"] for line in lines]
    assert drawn[-2] < 32 <= drawn[-1] == run["rollouts"]["prompts_drawn"]
    assert run["steps_done"] == run["steps_planned"] == len(lines) < 8
    log = (folder / "train.log").read_text()
    assert f"resuming at step {len(lines)}" in log
    # Nothing was sampled the second time.
    assert log.count("rollouts: vllm") == 1
    assert log.count("training: 1 of") == 1


def test_what_sampled_is_recorded_and_counts(unbroken: Callable[[str], Path]) -> None:
    run = record(unbroken(GRPO), GRPO)
    assert run["rollouts"]["engine"] == run["spec"]["rollouts"]["engine"] == "vllm"
    assert run["rollouts"]["version"] == run["spec"]["rollouts"]["version"]
    assert run["rollouts"]["dtype"] == "float32"
    lines = metrics(unbroken(GRPO), GRPO)
    apart = [line["sampling/sampling_logp_difference/mean"] for line in lines]
    assert run["rollouts"]["largest_logp_difference"] == pytest.approx(max(apart))
    assert max(apart) < 1e-4


@pytest.fixture(scope="module")
def faulty(work: Callable[[str], Path]) -> dict[str, str]:
    """What runs say whose rollouts are not those of the model, by what is wrong with them."""
    folder = work("faulty")
    # So that the weights change, and every picture comes again.
    read.dump(variant(num_train_epochs=2, learning_rate=2e-3).study, folder / "study.json")
    command = [sys.executable, str(FAULTY), GRPO, *FAULTS]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads((folder / "said.json").read_text()))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_that_drifts_stops_and_says_what_that_means(fault: str, faulty: dict[str, str]) -> None:
    assert FAULTS[fault] in faulty[fault]
    assert "rollouts" in faulty[fault]
    assert "engine: transformers" in faulty[fault]
