"""A table of cells that differ in more than the method is refused, naming cell and field."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from synthetic import edit_json, make_study, write_results

from reassess import paths
from reassess.analyse.collect import collect
from reassess.analyse.parity import ParityError, check_parity
from reassess.graph import grid

SFT = "m1/pool/seed1/sft@10"
GRPO = "m1/pool/seed1/sft@10/grpo@10"


@pytest.fixture(autouse=True)
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_results(make_study(), n=8)


def scores(cell: str, suite: str = "main") -> str:
    return f"{paths.evaluation(cell, suite)}/scores.json"


def run(cell: str) -> str:
    return f"{paths.run(cell)}/run.json"


def test_equal_cells_pass() -> None:
    check_parity(collect(make_study()))


@pytest.mark.parametrize(
    ("file", "key", "value", "field", "cell"),
    [
        (scores(SFT), "benchmarks__vis-a__content_sha256", "other", "benchmarks.vis-a.content_sha256", SFT),
        (scores(SFT), "prompt_sha256", "other", "prompt_sha256", SFT),
        (scores(SFT), "pixels", {"min": 1, "max": 2}, "pixels", SFT),
        (scores("m2/base-think"), "judge_version", 2, "judge_version", "m2/base-think"),
        (scores(SFT), "decoding__temperature", 1.0, "decoding", SFT),
        (run(SFT), "prompt_sha256", "other", "prompt_sha256", SFT),
        (run(SFT), "pixels__max", 7, "pixels", SFT),
        (run(GRPO), "judge_version", 2, "judge_version", GRPO),
        (run(GRPO), "subset__ids_sha256", "other", "subset.ids_sha256", GRPO),
        (run(GRPO), "subset__content_sha256", "other", "subset.content_sha256", GRPO),
        (run(GRPO), "trained_ids_sha256", "other", "trained_ids_sha256", GRPO),
        (run(GRPO), "parent__fingerprint", "other", "parent.fingerprint", GRPO),
        (run(SFT), "parent__fingerprint", "other", "parent.fingerprint", SFT),
        (scores(SFT), "checkpoints__0__fingerprint", "other", "fingerprint", SFT),
        (scores("m1/base"), "checkpoints__0__fingerprint", "other", "fingerprint", "m1/base"),
        (scores(GRPO, "held-out"), "checkpoints__1__fingerprint", "other", "fingerprint of step 20", GRPO),
    ],
)
def test_a_difference_names_cell_and_field(file: str, key: str, value: Any, field: str, cell: str) -> None:
    edit_json(file, **{key: value})
    with pytest.raises(ParityError) as error:
        check_parity(collect(make_study()))
    assert f"{field} is" in str(error.value)
    assert f"{cell} (" in str(error.value)


def test_retraining_makes_scores_stale() -> None:
    edit_json(run(GRPO), fingerprint="new")
    with pytest.raises(ParityError, match="scores are of another checkpoint"):
        check_parity(collect(make_study()))


def test_what_may_differ() -> None:
    study = make_study()
    edit_json(run(SFT), judge_version="older")  # no part of an SFT run
    for key, suite in grid.evaluations(study):
        if key.startswith("m2/"):
            edit_json(scores(key, suite), pixels={"min": 9, "max": 9})  # a model has its own
        if suite == "held-out":
            edit_json(scores(key, suite), decoding={"temperature": 0.7})  # a suite has its own
    for cell in grid.runs(study):
        if cell.model == "m2":
            edit_json(run(cell.cell), pixels={"min": 9, "max": 9}, trained_ids_sha256="m2")
    check_parity(collect(study))


def test_missing_cells_are_no_difference() -> None:
    shutil.rmtree(paths.evaluation(SFT, "main"))
    Path(run("m2/pool/seed2/sft@20")).unlink()
    check_parity(collect(make_study()))
