"""Dry runs of every study: the jobs that Snakemake plans are those that `reassess check` promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reassess import graph
from reassess.graph import build
from snake import ROOT, planned, snake

STUDIES = [ROOT / "config.yaml", *sorted((ROOT / "studies").glob("*.yaml"))]

# Jobs of the default study from nothing. Adding to an axis must add just that axis' jobs.
DEFAULT = {
    "pool": 1,
    "benchmark": 4,
    "subset": 4,
    "model": 2,
    "train": 24,
    "generate": 36,
    "score": 36,
    "tables": 1,
    "figures": 1,
}


@pytest.mark.parametrize("file", STUDIES, ids=[file.name for file in STUDIES])
def test_a_dry_run_plans_what_check_promises(file: Path, tmp_path: Path) -> None:
    promised = {rule: count for rule, count in graph.load(file).counts().items() if count}
    assert planned(tmp_path, study=file) == promised


@pytest.mark.parametrize("file", STUDIES, ids=[file.name for file in STUDIES])
def test_jobs_stand_behind_what_they_need_and_share_no_file(file: Path) -> None:
    found = graph.load(file)
    before: set[str] = set()
    makers: dict[str, str] = {}
    for name, job in found.jobs.items():
        assert name == job.name
        assert job.rule in graph.RULES
        assert len(set(job.needs)) == len(job.needs)
        assert set(job.needs) <= before, f"{name} stands before one that it needs"
        before.add(name)
        for output in job.outputs:
            assert makers.setdefault(output, name) == name, f"{output} is made twice"
    # In the mapping a job would take the place of another of its name.
    worked = [job.name for job in build._work(found.study, found.grid)]
    assert len(set(worked)) == len(worked) == len(found.jobs) - 2
    # What a job reads is a file of a user, or made by a job that it says it needs.
    for name, job in found.jobs.items():
        assert {makers[file] for file in job.inputs if file in makers} <= set(job.needs), name
        assert {Path(file).parts[0] for file in job.inputs if file not in makers}.isdisjoint({"results"}), name


def edited(tmp_path: Path, **changes: Any) -> Path:
    data = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    data.update(changes)
    file = tmp_path / "edited.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, {}),
        ({"sizes": [200, 1000, 2000]}, {"subset": 2, "train": 12, "generate": 12, "score": 12}),
        ({"seeds": [1, 2, 3]}, {"subset": 2, "train": 12, "generate": 16, "score": 16}),
        ({"exclude": [{"recipe": "grpo"}]}, {"train": -8, "generate": -12, "score": -12}),
        ({"only": [{"model": "toy-xs", "seed": 1}]}, None),
    ],
)
def test_job_counts(tmp_path: Path, changes: dict[str, Any], more: dict[str, int] | None) -> None:
    found = planned(tmp_path, study=edited(tmp_path, **changes))
    if more is None:
        assert found["train"] == 6
        assert found["model"] == 1
        return
    assert found == {rule: count + more.get(rule, 0) for rule, count in DEFAULT.items()}


def test_one_more_benchmark_adds_one_benchmark_job_from_nothing(tmp_path: Path) -> None:
    data = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    data["benchmarks"]["more"] = {"sources": [{"kind": "toy", "n": 64, "split": "test", "seed": 1}]}
    data["suites"]["main"]["benchmarks"].append("more")
    found = planned(tmp_path, study=edited(tmp_path, **data))
    assert found == {**DEFAULT, "benchmark": 5}


def test_results_of_others_add_a_job_per_name_and_the_benchmarks_that_they_are_on(tmp_path: Path) -> None:
    data = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    data["benchmarks"]["more"] = {"sources": [{"kind": "toy", "n": 64, "split": "test", "seed": 1}]}
    (tmp_path / "theirs.jsonl").touch()
    data["imported"] = {name: {"files": {"more": str(tmp_path / "theirs.jsonl")}} for name in ("one", "other")}
    found = planned(tmp_path, study=edited(tmp_path, **data))
    assert found == {**DEFAULT, "benchmark": 5, "import": 2}


def test_a_single_cell_by_path(tmp_path: Path) -> None:
    target = "results/runs/toy-s/toy/seed2/sft@200/grpo@200/run.json"
    assert planned(tmp_path, target) == {"pool": 1, "subset": 1, "model": 1, "train": 2}


def test_a_wrong_target_names_the_valid_values(tmp_path: Path) -> None:
    result = snake(tmp_path, "-n", "results/runs/toy-s/toy/seed3/sft@200/run.json")
    assert result.returncode != 0
    assert "seeds: 1, 2" in result.stdout + result.stderr
    assert "did you mean results/runs/toy-s/toy/seed" in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [("name: x\nmodle: {}\n", "modle: unknown key"), ("name: x\nname: y\n", "line 2: duplicate key 'name'")],
)
def test_a_malformed_study_stops_the_parse_without_a_traceback(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    result = snake(tmp_path, "-n", study=file)
    assert result.returncode != 0
    assert expected in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_a_study_file_replaces_the_default_one(tmp_path: Path) -> None:
    # Snakemake would merge it into config.yaml: toy-s and the sizes of the default study would come back.
    found = planned(tmp_path, study=ROOT / "studies/tiny.yaml")
    assert found["model"] == 1


def test_config_overrides_a_key(tmp_path: Path) -> None:
    result = snake(tmp_path, "-n", "--quiet", "rules", "--config", "seeds=[1]")
    assert result.returncode == 0, result.stderr
    assert "train 12" in " ".join(result.stdout.split())


def test_the_parse_imports_nothing_heavy(root: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from reassess import cli, graph; from reassess.cluster import executor, head, placement;"
        "from reassess.graph import targets; targets.known(graph.load('config.yaml'));"
        "heavy = {'torch', 'transformers', 'trl', 'vllm', 'pandas', 'sympy', 'datasets', 'matplotlib',"
        "'pyarrow'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert result.stdout.strip() == "[]"


def test_a_stage_on_a_set_of_examples_trains_on_that_alone(tmp_path: Path) -> None:
    # YAML 1.1 takes a bare `on` for true, and so does Snakemake's own reader.
    text = (ROOT / "studies/tiny.yaml").read_text(encoding="utf-8")
    text = text.replace("stages:\n", "examples:\n  hard: {kind: where, on: toy, difficulty: [2]}\n\nstages:\n")
    text += "\nother_data: [sft, sft-grpo]\n"
    text = text.replace("  sft:\n    kind: sft\n", "  sft:\n    kind: sft\n    on: hard\n")
    file = tmp_path / "hard.yaml"
    file.write_text(text, encoding="utf-8")
    targets = ("results/runs/toy-xs/toy/seed1/sft@16/run.json", "results/runs/toy-xs/toy/seed1/grpo@32/run.json")
    assert planned(tmp_path, targets[0], study=file) == {
        "pool": 1, "examples": 1, "subset": 1, "model": 1, "train": 1
    }  # fmt: skip
    found = graph.load(file)
    assert found["train", "toy-xs/toy/seed1/sft@16"].inputs[-1] == "results/subsets/toy+hard/seed1/16.json"
    assert found["train", "toy-xs/toy/seed1/grpo@32"].inputs[-1] == "results/subsets/toy/seed1/32.json"
