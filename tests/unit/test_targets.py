"""What is wrong with a target, said before Snakemake looks for a rule that makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reassess.graph import Graph, targets
from reassess.study.read import StudyError
from reassess.study.recipes import Recipe

SFT = "toy-xs/toy/seed1/sft@16"


@pytest.mark.parametrize(
    ("arguments", "paths"),
    [
        (["--", SFT], [f"results/runs/{SFT}/run.json", f"results/evals/{SFT}/main/scores.json"]),
        (["-R", f"{SFT}/"], [f"results/runs/{SFT}/run.json"]),
        (["toy-xs/base"], ["results/models/toy-xs/manifest.json", "results/evals/toy-xs/base/main/scores.json"]),
        # Trained on the way to a cell, and none itself in a study of GRPO alone.
        (["--", "toy-xs/toy/seed1/sft@32"], ["results/runs/toy-xs/toy/seed1/sft@32/run.json"]),
    ],
)
def test_a_cell_as_target_is_told_its_paths(tiny: Graph, arguments: list[str], paths: list[str]) -> None:
    chained = tiny.study.model_copy(update={"recipes": {"sft-grpo": Recipe.model_validate(["sft", "grpo"])}})
    study = tiny if SFT in arguments[-1] else Graph(chained)
    with pytest.raises(StudyError, match="is the name of a cell; targets are paths:") as raised:
        targets.check(study, arguments)
    lines = str(raised.value).splitlines()
    assert len(lines) > 1
    assert set(paths) <= {line.strip() for line in lines[1:]}
    # The paths that it names are accepted.
    targets.check(study, [line.strip() for line in lines[1:]])


@pytest.mark.parametrize("path", ["results/runs/x/run.json", "./results/runs/x/run.json", "results//runs/x/run.json"])
def test_a_path_that_is_none_of_the_study_is_refused_however_it_is_spelt(tiny: Graph, path: str) -> None:
    with pytest.raises(StudyError, match=r"^results/runs/x/run.json is no path of study tiny"):
        targets.check(tiny, ["--", path])
    targets.check(tiny, ["--", f"./results/runs/{SFT}/run.json"])


def test_what_is_no_cell_is_left_to_snakemake(tiny: Graph) -> None:
    targets.check(tiny, ["--cores", "2", "toy-xs", "toy-xs/toy/seed9/sft@16", "tables", "-n"])


def test_a_hole_is_what_is_missing_behind_a_result(
    tiny: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert targets.holes(tiny) == []
    files = [Path(file) for job in tiny.jobs.values() for file in job.outputs]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert targets.holes(tiny) == []
    scores, run = tiny["score", "toy-xs/base/main"], tiny["train", "toy-xs/toy/seed1/sft@32"]
    for file in (scores.outputs[1], run.record):
        Path(file).unlink()
    assert set(targets.holes(tiny)) == {scores.outputs[1], run.record}
    # What is missing at the end of a chain is missed by Snakemake itself.
    Path(tiny["figures", "all"].record).unlink()
    assert set(targets.holes(tiny)) == {scores.outputs[1], run.record}
