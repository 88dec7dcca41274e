"""Every attempt at a cell, as a person reads it."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from reassess.cli import main
from reassess.work.turns import Interrupted, take

CELL = "toy-xs/toy/seed1/sft@16"
STUDY = ("--study", "study.yaml")


@pytest.fixture(autouse=True)
def _attempted(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(root / "studies/tiny.yaml", "study.yaml")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with suppress(Interrupted), take("train", CELL) as turn:
        turn.record.begin(0)
        turn.record.step = 5
        raise Interrupted("SIGTERM")
    with take("train", CELL) as turn:
        turn.record.begin(5)
        turn.record.step = 8
    with take("generate", f"{CELL}/main") as turn:
        turn.record.step = 32
    with pytest.raises(ValueError, match="lost"), take("score", f"{CELL}/main"):
        raise ValueError("a benchmark is lost")


def test_attempts_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", CELL, *STUDY]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["job", "attempt"]
    found = [(line[: header.index("attempt")].strip(), line[header.index("steps") :].split()) for line in lines]
    assert [name for name, _ in found] == ["train", "train", "generate main", "score main"]
    assert found[0][1][:3] == ["0", "to", "5"]
    assert "terminated: stopped by SIGTERM" in lines[0]
    assert found[1][1][:3] == ["5", "to", "8"]
    assert found[2][1][:3] == ["0", "to", "32"]
    assert lines[3].endswith("failed: a benchmark is lost")


def test_where_responses_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    record = Path("results/runs") / CELL / "run.json"
    assert main(["history", "--responses", CELL, *STUDY]) == 1
    error = capsys.readouterr().err
    assert f"no {record}: the cell has no finished checkpoint now" in error
    assert "reassess status" not in error
    assert main(["history", "--responses", "toy-xs/toy/seed1/sft@17", *STUDY]) == 1
    assert f"no cell of study tiny; did you mean {CELL}" in capsys.readouterr().err
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"fingerprint": "0123456789abcdef" * 4}))
    for given in (CELL, str(record)):
        assert main(["history", "--responses", given, *STUDY]) == 0
        assert capsys.readouterr().out == "results/responses/0123456789abcdef\n"


@pytest.mark.parametrize(
    "path",
    [
        "results/runs/{}",
        "results/runs/{}/run.json",
        "./results/runs/{}/",
        "results/evals/{}/main",
        "results/evals/{}/main/scores.parquet",
        "results/runs/{}/checkpoints/of@old/checkpoint-5",
    ],
)
def test_a_path_stands_for_its_cell(capsys: pytest.CaptureFixture[str], path: str) -> None:
    assert main(["history", CELL, *STUDY]) == 0
    expected = capsys.readouterr().out
    for given in (path.format(CELL), str(Path.cwd() / path.format(CELL))):
        assert main(["history", given, *STUDY]) == 0, given
        assert capsys.readouterr().out == expected


def test_a_slash_behind_a_cell_means_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", f"{CELL}/", *STUDY]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_a_path_of_a_base_model(capsys: pytest.CaptureFixture[str]) -> None:
    with take("model", "toy-xs"):
        pass
    with take("generate", "toy-xs/base-think/main"):
        pass
    for given in ("results/evals/toy-xs/base-think/main/responses.json", "toy-xs/base-think"):
        assert main(["history", given, *STUDY]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines[1:]] == ["model", "generate"]
    assert main(["history", "results/models/toy-xs/manifest.json", *STUDY]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("given", ["toy-xs/toy/seed2/sft@16", "results/runs/toy-xs/toy/seed2/sft@16/run.json"])
def test_an_unknown_cell(capsys: pytest.CaptureFixture[str], given: str) -> None:
    assert main(["history", given, *STUDY]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"reassess: {given!r}: no cell of study tiny; did you mean {CELL}")
    assert error.endswith("? `reassess status` lists its cells\n")
    assert len(error.splitlines()) == 1
    assert main(["history", "nothing like it", *STUDY]) == 1
    assert "did you mean" not in capsys.readouterr().err


def test_a_cell_at_which_nothing_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    other = "toy-xs/toy/seed1/grpo@32"
    assert main(["history", other, *STUDY]) == 1
    assert capsys.readouterr().err == f"reassess: {other!r}: nothing was attempted here yet\n"
