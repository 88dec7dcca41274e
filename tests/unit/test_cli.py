"""The command line: help, one-line errors, and what `check` says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from reassess import cli
from reassess.graph import RULES


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for command in ("check", "plan", "status", "history", "show", "audit", "verify", *RULES):
        assert f"\n    {command}" in text


def test_check_prints_cells_and_jobs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(root / "studies/tiny.yaml")]) == 0
    text = capsys.readouterr().out
    assert "study tiny: valid" in text
    assert "6 cells:" in text
    assert "sft-grpo" in text
    assert "29 jobs" not in text  # `all` collects, it is no job
    assert "28 jobs from nothing" in text


def test_the_reference_of_data_sets_is_printed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reference", "--data"]) == 0
    assert capsys.readouterr().out == (root / "docs/data.md").read_text(encoding="utf-8")


def test_a_mistake_is_one_line_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("name: a\nname: b\n")
    assert cli.main(["check", str(file)]) == 1
    error = capsys.readouterr().err
    assert error == f"reassess: {file}: line 2: duplicate key 'name'\n"
    assert cli.main(["check", str(tmp_path / "none.yaml")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_a_job_records_what_it_cost(tiny_results: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for times in (tiny_results / "results").glob("times/*"):
        times.unlink()
    data = yaml.safe_load((root / "studies/tiny.yaml").read_text(encoding="utf-8"))
    # How many examples a file has is seen only when it is read.
    Path("mine.jsonl").write_text("")
    data["pools"]["toy"]["sources"] = [{"kind": "jsonl", "path": "mine.jsonl", "licence": "MIT"}]
    data.update(seeds=[5], sizes=[8, 9999], exclude=[])
    Path("study.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    assert cli.main(["subset", "toy/seed5/8", "--study", "study.yaml"]) == 0
    assert cli.main(["subset", "toy/seed5/9999", "--study", "study.yaml"]) == 1
    assert "9999 is larger than 'toy' (results/pools/toy)" in capsys.readouterr().err
    (file,) = (tiny_results / "results").glob("times/*.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(record["rule"], record["key"], record["at"]["size"], record["ok"]) for record in records] == [
        ("subset", "toy/seed5/8", 8, True),
        ("subset", "toy/seed5/9999", 9999, False),
    ]
    assert all(record["cpu_seconds"] > 0 for record in records)


def test_training_without_its_inputs_says_what_is_missing(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    study = ["--study", str(root / "studies/tiny.yaml")]
    assert cli.main(["train", "toy-xs/toy/seed1/stf@16", *study]) == 1
    error = capsys.readouterr().err
    assert "study tiny: no job of rule train has the key 'toy-xs/toy/seed1/stf@16'; did you mean" in error
    assert "toy-xs/toy/seed1/sft@16" in error
    assert len(error.splitlines()) == 1
    assert cli.main(["train", "toy-xs/toy/seed1/sft", *study]) == 1
    assert "no job of rule train has the key 'toy-xs/toy/seed1/sft'; did you mean" in capsys.readouterr().err
    assert not Path("results").exists()
    assert cli.main(["train", "toy-xs/toy/seed1/sft@16", *study]) == 1
    error = capsys.readouterr().err
    assert "toy-xs/toy/seed1/sft@16" in error
    assert "results/models/toy-xs/manifest.json" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("cell", ["../../elsewhere", "/tmp/elsewhere"])
def test_a_name_that_leads_out_of_results_is_refused(
    cell: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["score", f"{cell}/main", "--study", str(root / "studies/tiny.yaml")]) == 1
    assert f"no job of rule score has the key '{cell}/main'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
