"""Recipes as a graph, for real: merging, chosen checkpoints, sizes and examples of a step, variants."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file

from once import once
from reassess import graph, paths
from reassess.graph import Graph
from reassess.work import turns
from snake import ENVIRONMENT, ROOT, planned, snake, to_the_end

STUDY = ROOT / "studies/graph.yaml"
SEED = "toy-xs/toy/seed1"
GRPO, BEST, HEALED = f"{SEED}/grpo@32", f"{SEED}/grpo@32/best", f"{SEED}/grpo@32/best/grpo@16"
MERGED, TIES = f"{SEED}/merged@32", f"{SEED}/ties@32"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study from nothing to its tables; do not write here."""

    return once(tmp_path_factory, "graph", lambda folder: to_the_end(folder, STUDY))


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    subprocess.run(["cp", "-a", str(made), str(folder)], check=True)
    return folder


def record(folder: Path, key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / paths.run(key, "run.json")).read_text(encoding="utf-8"))
    return found


def said(folder: Path, *arguments: str) -> str:
    line = [sys.executable, "-m", "reassess.cli", *arguments, str(STUDY)]
    return subprocess.run(line, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout


def test_every_kind_of_recipe_comes_to_the_tables(made: Path) -> None:
    capacity = pd.read_csv(made / "results/tables/capacity.csv")
    methods = {"sft-long.lr0.001", "sft-long.lr0.003", "grpo", "staged", "SFT + GRPO merged", "healed", "chosen"}
    assert set(capacity["method"]) == {"floor", "base", "base-think", *methods}
    # The suite that chooses is reported nowhere, nor is a recipe that only serves another.
    text = "".join(file.read_text() for file in (made / "results/tables").glob("*.csv"))
    assert "toy-held-out" not in text
    assert "sft16," not in capacity.to_csv()
    # Nothing but the order of the study.
    rows = list(dict.fromkeys(capacity["method"]))
    assert rows.index("grpo") < rows.index("staged") < rows.index("SFT + GRPO merged") < rows.index("chosen")
    assert said(made, "verify").rstrip().endswith("0 do not match")
    assert "11 of 11 cells are done" in said(made, "status")


def test_a_merge_is_the_mean_and_starts_from_what_its_record_says(made: Path) -> None:
    parents = record(made, MERGED)["parents"]
    assert [item["path"] for item in parents] == [
        paths.run(f"{SEED}/sft@16", "model"), paths.run(GRPO, "model")
    ]  # fmt: skip
    one, two, merged = (
        load_file(made / path / "model.safetensors")
        for path in (parents[0]["path"], parents[1]["path"], paths.run(MERGED, "model"))
    )
    assert merged.keys() == one.keys()
    assert all(((one[name] + two[name]) / 2).equal(merged[name]) for name in merged)
    assert any(not one[name].equal(two[name]) for name in merged)
    assert record(made, TIES)["base"]["fingerprint"] == json.loads(
        (made / paths.model("toy-xs", "manifest.json")).read_text()
    )["fingerprint"]  # fmt: skip


def test_the_best_checkpoint_is_linked_and_trained_on(made: Path) -> None:
    scores = json.loads((made / paths.evaluation(f"{GRPO}/held-out", "scores.json")).read_text())["scores"]
    accuracy = {int(name.partition("@")[2]): summary["accuracy"] for name, summary in scores.items()}
    best = min(step for step, value in accuracy.items() if value == max(accuracy.values()))
    chosen = record(made, BEST)["parents"][0]
    kept = {item["step"]: item for item in record(made, GRPO)["trajectory"]}
    assert chosen == kept[best]
    model = made / paths.run(BEST, "model")
    assert model.resolve() == (made / chosen["path"]).resolve()
    assert record(made, HEALED)["parents"][0]["fingerprint"] == chosen["fingerprint"]


def test_a_step_has_its_own_size_and_examples(made: Path) -> None:
    staged = record(made, f"{SEED}/sft@16/grpo+hard@16")
    assert staged["subset"]["path"] == paths.subset("toy+hard/seed1/16")
    assert record(made, f"{SEED}/sft@16")["subset"]["n"] == 16
    rates = [record(made, f"{SEED}/sft-long.lr{rate}@32")["spec"]["args"]["learning_rate"] for rate in (0.001, 0.003)]
    assert rates == [0.001, 0.003]


def test_what_is_made_is_not_made_again(copied: Path, tmp_path: Path) -> None:
    assert planned(copied, study=STUDY) == {}
    for key in (MERGED, BEST, HEALED):
        target = paths.run(key, "run.json")
        result = snake(copied, "-n", "--quiet", "rules", "-R", target, "--", target, study=STUDY)
        assert result.returncode == 0, result.stderr
        assert "train" in result.stdout + result.stderr
        lines = (result.stdout + result.stderr).splitlines()
        assert {tuple(line.split()) for line in lines if line.startswith("total")} == {("total", "1")}
    data = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    data["recipes"]["on-merged"] = {"start": ["merged"], "steps": ["grpo@16"]}
    more = tmp_path / "more.yaml"
    more.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    assert planned(copied, study=more) == {"train": 1, "generate": 1, "score": 1, "tables": 1, "figures": 1}


# Just before each of these calls of a job the process dies; the last is that of the record.
MOMENTS = {
    "in the middle": "safetensors.torch.save_file",
    "written": "reassess.train.published.put",
    "in place": "reassess.train.frame.costs",
    "finished": "reassess.train.published.publish",
    "shown": "reassess.work.records.write",
}
KILLED = """
import importlib, os, signal, sys
from unittest import mock
from reassess import graph
from reassess.train import frame
study, key, moment = sys.argv[1:]
found = graph.load(study)
module, _, name = moment.rpartition(".")
real = getattr(importlib.import_module(module), name)
def die(*args, **kwargs):
    if name == "write" and not str(args[0]).endswith("run.json"):
        return real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
with mock.patch(moment, die):
    frame.train(found, found["train", key])
"""


@pytest.mark.parametrize(
    ("key", "moment"),
    [
        (TIES, "in the middle"),
        *(pytest.param(TIES, name, marks=pytest.mark.slow) for name in ("written", "in place", "shown")),
        pytest.param(BEST, "written", marks=pytest.mark.slow),
        (BEST, "finished"),
    ],
)
def test_a_kill_changes_nothing(copied: Path, key: str, moment: str) -> None:
    before = record(copied, key)
    # As Snakemake does before it starts a job, which nobody asked for again.
    (copied / paths.run(key, "run.json")).unlink()
    environment = {**ENVIRONMENT, turns.SINCE: "0"}
    if moment != "shown":
        # What was finished would be taken over.
        (copied / paths.run(key, "checkpoints") / before["identity"] / turns.FINISHED).unlink()
    line = [sys.executable, "-c", KILLED, str(STUDY), key, MOMENTS[moment]]
    died = subprocess.run(line, cwd=copied, env=environment, capture_output=True, text=True, check=False)
    assert died.returncode == -9, died.stderr
    assert not (copied / paths.run(key, "run.json")).exists()
    line = [sys.executable, "-m", "reassess.cli", "train", key, "--study", str(STUDY)]
    again = subprocess.run(line, cwd=copied, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert ("nothing to train" in again.stdout) == (moment in ("finished", "shown"))
    after = record(copied, key)
    assert (after["fingerprint"], after["identity"]) == (before["fingerprint"], before["identity"])
    root = copied / paths.run(key, "checkpoints")
    assert [path.name for path in root.iterdir()] == [after["identity"]]
    assert not list(root.glob("*/attempt-*"))
    assert "outdated" not in said(copied, "status")


def test_a_choice_that_stays_trains_nothing(copied: Path) -> None:
    """What is behind the choice is looked at again, and found finished."""
    weights = (copied / paths.run(HEALED, "model/model.safetensors")).stat().st_mtime_ns
    scores = paths.evaluation(f"{GRPO}/held-out", "scores.json")
    result = snake(copied, "-R", scores, "--", paths.run(HEALED, "run.json"), study=STUDY)
    assert result.returncode == 0, result.stderr
    assert (copied / paths.run(HEALED, "model/model.safetensors")).stat().st_mtime_ns == weights
    assert record(copied, HEALED)["parents"][0]["fingerprint"] == record(copied, BEST)["fingerprint"]
    log = (copied / paths.log("train", HEALED)).read_text()
    assert "nothing to train" in log


@pytest.mark.slow
def test_another_choice_is_another_run(copied: Path) -> None:
    """The first choice is set aside with all that was trained on it, and comes back with it."""
    first = record(copied, HEALED)["fingerprint"]
    study: Graph = graph.load(STUDY)
    data = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    step = record(copied, BEST)["parents"][0]["step"]
    other = next(item["step"] for item in record(copied, GRPO)["trajectory"] if item["step"] != step)
    data["stages"]["best"] = {"kind": "select", "take": {"step": other}}
    # Without its suite nothing else asks kept checkpoints.
    file = copied / "other.yaml"
    file.write_text(yaml.safe_dump({**data, "name": "other"}, sort_keys=False), encoding="utf-8")
    target = paths.run(HEALED, "run.json")
    result = snake(copied, "--", target, study=file)
    assert result.returncode == 0, result.stdout + result.stderr
    assert record(copied, BEST)["parents"][0]["step"] == other
    assert record(copied, HEALED)["fingerprint"] != first
    result = snake(copied, "--", target, study=STUDY)
    assert result.returncode == 0, result.stderr
    assert record(copied, HEALED)["fingerprint"] == first
    assert len(list((copied / paths.run(HEALED, "checkpoints")).iterdir())) == 2
    assert study.runs[HEALED].parents == (BEST,)
