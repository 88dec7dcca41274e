"""The main paper's study, cut down, from nothing to its tables: every job by its own command, in one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from once import once
from reassess import graph
from snake import ENVIRONMENT, ROOT

STUDY = ROOT / "studies/reassessing.yaml"
MODEL, TEACHERS = "idefics3-xs", ("idefics3-teacher", "qwen-teacher")
# The commands of all jobs, which would each take five seconds to import what they need.
RUN = """
import sys
from reassess import cli, graph
for job in graph.load(sys.argv[1]).jobs.values():
    key = [] if job.rule in ("tables", "figures") else [job.key]
    assert cli.main([job.rule, *key, "--study", sys.argv[1]]) == 0, job.name
"""


def small() -> dict[str, Any]:
    """The study on one model with both teachers, hardly trained; without DAPO, which needs vLLM."""
    data: dict[str, Any] = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    data["models"] = {MODEL: data["models"][MODEL]}
    data["models"][MODEL]["toy"]["steps"] = 30
    for name in TEACHERS:
        data["teachers"][name]["toy"].update(size="xs", steps=100)
    data["pools"]["toy"]["sources"][0]["n"] = 64
    data["sizes"] = [2, 8]
    data["suites"]["held-out"]["sizes"] = [8]
    data["stages"]["sft"].update(batch_size=2)
    data["stages"]["grpo"].update(batch_size=8)
    for name in ("dapo", "sft-qwen-grpo"):
        del data["recipes"][name]
    data["exclude"] = [{"size": 2, "recipe": ["sft-qwen", "sft-reference", "sft-idefics3-grpo", "grpo"]}]
    data["contrasts"] = {
        "headline": {"a": {"recipe": "sft-idefics3", "size": 2}, "b": {"recipe": "grpo", "size": 8}},
        "cold-start": {"a": {"recipe": "sft-idefics3-grpo"}, "b": {"recipe": "grpo", "size": 8}},
    }
    for benchmark in data["benchmarks"].values():
        benchmark["sources"][0]["n"] = 24
    data["report"]["resamples"] = 100
    return data


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study from nothing to its tables; do not write here."""

    def make(folder: Path) -> None:
        (folder / "study.yaml").write_text(yaml.safe_dump(small(), sort_keys=False), encoding="utf-8")
        line = [sys.executable, "-c", RUN, "study.yaml"]
        done = subprocess.run(line, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]

    return once(tmp_path_factory, "reassessing", make)


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"results/tables/{name}.csv")


def test_the_study_is_whole() -> None:
    found = graph.load(STUDY)
    # Two families of two sizes, each with SFT on traces of its own family, GRPO, DAPO and a cold start.
    assert len(found.study.models) == 4
    for name, pairs in found.contrasts.items():
        assert len(pairs) == (2 if name.startswith("sft-") else 4)


def test_all_arms_train_on_the_same_questions_that_both_teachers_solved(made: Path) -> None:
    found = graph.load(made / "study.yaml")
    subsets = [yaml.safe_load((made / job.record).read_text()) for job in found.of("subset")]
    assert len({tuple(item["ids"]) for item in subsets if item["n"] == 8}) == 1
    assert all(set(item["only_with"]) <= {"by-idefics3", "by-qwen"} for item in subsets)


def test_every_question_of_the_paper_has_its_table(made: Path) -> None:
    capacity = table(made, "capacity")
    arms = {"SFT on Idefics3 traces", "SFT on Qwen traces", "SFT on reference traces", "GRPO"}
    cold = "SFT on Idefics3 traces then GRPO"
    assert set(capacity["method"]) == {"floor", "base", "base-think", *arms, cold}
    assert set(table(made, "scale")["size"].dropna()) == {2, 8}
    assert {"visual mean", "text mean"} <= set(table(made, "transfer")["column"])
    contrasts = table(made, "contrasts")
    assert set(contrasts["contrast"]) == {"headline", "cold-start"}
    differences = contrasts[contrasts["measure"] == "a - b"]
    assert differences[["mean", "lo", "hi"]].notna().all(axis=None)
    assert (differences["lo"] <= differences["mean"]).all()
    # Reward against accuracy, with and without a cold start.
    reward = table(made, "reward")
    assert set(reward["recipe"]) == {"grpo", "sft-idefics3-grpo"}
    assert reward["mean"].notna().all()


def test_sources_and_examples_tell_of_the_traces(made: Path) -> None:
    sources = table(made, "sources")
    facts = sources[sources["measure"] == "facts"].set_index("method")
    assert facts["written_by"].to_dict() == {
        "SFT on Idefics3 traces": "idefics3-teacher",
        "SFT on Qwen traces": "qwen-teacher",
        "SFT on reference traces": "their source",
    }
    assert facts["words"].between(1, 48).all()
    assert set(sources["column"]) == {"traces", "In distribution", "Out of distribution", "Text"}
    examples = table(made, "examples").set_index(["set", "group"])
    for name in ("by-idefics3", "by-qwen"):
        whole = examples.loc[(name, "all")]
        assert whole["asked"] == 64
        assert 8 <= whole["kept"] <= whole["solved"] <= 64
        assert whole["samples"] == 4 * 64
        families = examples.loc[name].drop("all")
        assert families["kept"].sum() == whole["kept"]
    # Figures are drawn of it too.
    assert (made / "results/figures/scale.svg").stat().st_size > 1000
