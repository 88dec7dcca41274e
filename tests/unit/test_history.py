"""Every attempt at a cell, as a person reads it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from reassess.cli import main
from reassess.turns import Interrupted, take

CELL = "m/p/seed1/sft@8"


@pytest.fixture(autouse=True)
def _attempted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
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
    assert main(["history", CELL]) == 0
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
    assert main(["history", "--responses", CELL]) == 1
    assert f"no {record}" in capsys.readouterr().err
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"fingerprint": "0123456789abcdef" * 4}))
    assert main(["history", "--responses", CELL]) == 0
    assert capsys.readouterr().out == "results/responses/0123456789abcdef\n"


def test_an_unknown_cell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "m/p/seed2/sft@8"]) == 1
    assert "nothing was attempted here; cells are the first column" in capsys.readouterr().err
