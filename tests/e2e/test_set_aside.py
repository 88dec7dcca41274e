"""An edited study: what is finished is set aside and taken back, and what is outdated stands in no table."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from reassess import paths
from reassess.work import attempts
from snake import ENVIRONMENT, ROOT, command, snake

TINY = ROOT / "studies/tiny.yaml"
CELL = "toy-xs/toy/seed1/sft@16"
RUN = paths.run(CELL, "run.json")


@pytest.fixture
def work(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished study, and the current directory."""
    folder = tmp_path / "work"
    subprocess.run(["cp", "-a", str(finished), str(folder)], check=True)
    monkeypatch.chdir(folder)
    return folder


def edited(name: str, **changes: Any) -> Path:
    """The tiny study with values at key paths (`stages__sft__args__learning_rate`)."""
    data = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    for key, value in changes.items():
        *above, last = key.split("__")
        place = data
        for part in above:
            place = place[part]
        place[last] = value
    file = Path(f"{name}.yaml").resolve()
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return file


def run(work: Path, *arguments: str, study: Path = TINY) -> str:
    result = snake(work, *arguments, study=study)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def said(*arguments: str) -> str:
    line = [sys.executable, "-m", "reassess.cli", *arguments]
    return subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout


def _checkpoints() -> set[Path]:
    """The directories of the identities of the run."""
    return set(Path(paths.run(CELL, "checkpoints")).iterdir())


def weights() -> bytes:
    return Path(paths.run(CELL, "model/model.safetensors")).read_bytes()


def test_a_change_that_is_taken_back_trains_nothing(work: Path) -> None:
    first, before = weights(), len(attempts.read("train", CELL))
    other = edited("other", stages__sft__args__learning_rate=3.0e-3)
    status = said("status", str(other))
    assert "outdated: sft learning_rate 0.001 -> 0.003 (2 cells)" in status
    assert "to be made again: 3 finished runs, which took" in status
    # The workflow says it before it starts.
    assert "to be made again: 3 finished runs" in run(work, "--", RUN, study=other)
    second = weights()
    assert second != first
    assert "to be taken back: 1 finished run" in said("status", str(TINY))
    run(work, "--", RUN)
    assert weights() == first
    assert "nothing to train" in Path(paths.log("train", CELL)).read_text()
    # `-R` is about what is shown: the other one is taken back too, and trained by a further one.
    run(work, "-R", RUN, "--", RUN, study=other)
    assert weights() == second
    assert len(_checkpoints()) == 2
    run(work, "--", RUN)
    assert weights() == first
    assert len(attempts.read("train", CELL)) == before + 4


def test_what_was_forced_or_killed_in_between_is_taken_back_too(work: Path) -> None:
    first = weights()
    run(work, "-F", "--", RUN, study=edited("forced", stages__sft__args__learning_rate=2.0e-3))
    assert weights() != first
    other = edited("killed", stages__sft__args__learning_rate=4.0e-3)
    line = command(work, "--", RUN, study=other)
    known = _checkpoints()
    process = subprocess.Popen(line, env=ENVIRONMENT, start_new_session=True, stdout=subprocess.DEVNULL)
    while not any(list(path.glob("checkpoint-*")) for path in _checkpoints() - known):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not Path(RUN).exists()
    run(work, "--", RUN)
    assert weights() == first
    # What was never finished is not kept.
    assert len(_checkpoints()) == 2


@pytest.mark.parametrize(
    "how",
    [
        "mtime",
        pytest.param("touch", marks=pytest.mark.slow),
        pytest.param("metadata", marks=pytest.mark.slow),
        "lost",
    ],
)
def test_tables_refuse_what_the_study_does_not_ask_for(work: Path, how: str) -> None:
    other = edited("other", suites__main__decoding={"max_tokens": 30})
    options: list[str] = []
    if how == "mtime":
        options = ["--rerun-triggers", "mtime"]
    elif how == "touch":
        snake(work, "--touch", study=other)
    elif how == "metadata":
        records = [str(path.relative_to(work)) for path in work.glob("results/evals/**/responses.*")]
        run(work, "--cleanup-metadata", *records, study=other)
    else:
        shutil.rmtree(".snakemake")
    result = snake(work, *options, study=other)
    assert result.returncode != 0
    log = Path(paths.log("tables", "all")).read_text()
    assert "main generate decoding.max_tokens 32 -> 30" in log
    assert "snakemake --workflow-profile profiles/local" in log
    assert "-R results/evals/toy-xs/base/main/responses.json" in log
    assert not Path("results/tables/capacity.md").exists()
    shown = said("show", str(other))
    assert "outdated: main generate decoding.max_tokens 32 -> 30 (6 cells)" in shown


def test_a_new_benchmark_is_answered_and_nothing_else(work: Path) -> None:
    data = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    extra = {"sources": [{"kind": "toy", "n": 8, "split": "test", "seed": 2}]}
    benchmarks = {**data["benchmarks"], "toy-extra": extra}
    more = edited("more", benchmarks=benchmarks, suites__main__benchmarks=["toy-id", "toy-text", "toy-extra"])
    status = said("status", str(more))
    assert "answered 2 of 3" in status
    assert "outdated" not in status
    key = "toy-xs/base/main"
    run(work, "--", paths.evaluation(key, "scores.json"), study=more)
    made = json.loads(Path(paths.evaluation(key, "responses.json")).read_text())
    assert (made["generated"], made["reused"]) == (8, 64)
