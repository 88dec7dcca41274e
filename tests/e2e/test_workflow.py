"""The tiny study from nothing to its tables, for real, and what a changed, broken or repeated study runs again."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from attempted import attempted
from reassess import paths
from reassess.work.lock import Lock, is_held
from snake import ENVIRONMENT, ROOT, planned, snake, tables
from snake import command as command_line

TINY = ROOT / "studies/tiny.yaml"
CELL = "toy-xs/toy/seed1/grpo@32"


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy with its times and Snakemake's records, so that it counts as the same state."""
    folder = tmp_path / "work"
    subprocess.run(["cp", "-a", str(finished), str(folder)], check=True)
    return folder


def started(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A Snakemake on the tiny study that works while the test goes on."""
    line = command_line(folder, *arguments, study=TINY)
    return subprocess.Popen(line, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def edited(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    data = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    change(data)
    file = tmp_path / "edited.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return file


def weights(folder: Path, cell: str = CELL) -> str:
    data = (folder / f"results/runs/{cell}/model/model.safetensors").read_bytes()
    return hashlib.sha256(data).hexdigest()


def test_the_study_ends_with_tables_and_figures(finished: Path) -> None:
    names = {file.name for file in (finished / "results/tables").iterdir()}
    for table in ("capacity", "scale", "transfer", "families", "cost", "sampling", "reward"):
        assert {f"{table}.csv", f"{table}.md", f"{table}.tex"} <= names
    for figure in ("scale.svg", "scale.pdf", "reward.svg", "reward.pdf"):
        assert (finished / "results/figures" / figure).stat().st_size > 1000
    capacity = pd.read_csv(finished / "results/tables/capacity.csv")
    assert {"floor", "base", "base-think", "sft", "grpo", "sft-grpo"} <= set(capacity["method"])
    record = json.loads((finished / f"results/runs/{CELL}/run.json").read_text())
    assert record["steps_done"] == record["steps_planned"] > 0
    sampling = pd.read_csv(finished / "results/tables/sampling.csv").set_index("lineage")
    assert list(sampling.index) == ["grpo@32", "sft@32/grpo@32"]
    drawn = sampling.loc["grpo@32", ["steps_done", "prompts_drawn", "prompts_used", "prompts_thrown_away"]]
    assert drawn.tolist() == [record["steps_done"], 32, 32, 0]
    assert sampling[["reward", "accuracy_drawn", "accuracy", "seconds", "gpu_seconds"]].notna().all(axis=None)
    assert [point["step"] for point in record["trajectory"]][-1] == record["steps_done"]


def test_scores_come_from_vllm_where_it_is_installed(finished: Path) -> None:
    record = json.loads((finished / f"results/evals/{CELL}/main/responses.json").read_text())
    assert record["engine"]["name"] == "vllm"


def test_sft_and_rl_read_the_same_examples(finished: Path) -> None:
    cells = ["sft@32", "grpo@32", "sft@32/grpo@32"]
    records = [json.loads((finished / f"results/runs/toy-xs/toy/seed1/{cell}/run.json").read_text()) for cell in cells]
    assert len({record["trained_ids_sha256"] for record in records}) == 1
    assert len({record["prompt_sha256"] for record in records}) == 1
    small = json.loads((finished / "results/subsets/toy/seed1/16.json").read_text())
    large = json.loads((finished / "results/subsets/toy/seed1/32.json").read_text())
    assert large["ids"][:16] == small["ids"]


def test_a_second_run_has_nothing_to_do(copied: Path) -> None:
    result = snake(copied, study=TINY)
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout + result.stderr


def test_a_deleted_score_is_scored_again_and_nothing_else(copied: Path) -> None:
    before = tables(copied)
    (copied / f"results/evals/{CELL}/main/scores.parquet").unlink()
    assert planned(copied, study=TINY) == {"score": 1, "tables": 1, "figures": 1}
    result = snake(copied, study=TINY)
    assert result.returncode == 0, result.stdout + result.stderr
    assert tables(copied) == before


def test_a_changed_learning_rate_reruns_its_cells_alone(copied: Path, tmp_path: Path) -> None:
    study = edited(tmp_path, lambda data: data["stages"]["grpo"]["args"].update(learning_rate=1e-4))
    assert planned(copied, study=study) == {"train": 2, "generate": 4, "score": 4, "tables": 1, "figures": 1}


def test_a_changed_parent_reruns_its_children(copied: Path, tmp_path: Path) -> None:
    study = edited(tmp_path, lambda data: data["stages"]["sft"]["args"].update(learning_rate=1e-4))
    assert planned(copied, study=study)["train"] == 3


def test_gpus_logging_and_comments_rerun_nothing(copied: Path, tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        more = {"gpu": 1, "mem_mb": 64000, "runtime": 600}
        data["models"]["toy-xs"]["resources"] = {"sft": more, "grpo": more, "generate": more}
        data["stages"]["sft"]["args"].update(logging_steps=1, per_device_train_batch_size=4)
        # As `auto` was without a GPU.
        data["stages"]["grpo"]["rollouts"] = {"engine": "transformers"}

    study = edited(tmp_path, change)
    study.write_text("# a comment\n" + study.read_text())
    assert planned(copied, study=study) == {}


def test_another_engine_of_rollouts_trains_rl_again_and_nothing_else(copied: Path, tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["stages"]["grpo"]["rollouts"] = {"engine": "vllm"}

    expected = {"train": 2, "generate": 4, "score": 4, "tables": 1, "figures": 1}
    assert planned(copied, study=edited(tmp_path, change)) == expected


def test_a_renamed_study_reruns_only_its_tables(copied: Path, tmp_path: Path) -> None:
    found = planned(copied, study=edited(tmp_path, lambda data: data.update(name="renamed")))
    assert found == {"tables": 1, "figures": 1}


def test_mended_user_files_are_read_again(copied: Path, tmp_path: Path) -> None:
    """A pool of the user's own file: when the file changes, the pool and what follows from it are made again."""
    shards = next((copied / "results/pools/toy/shards").glob("*.arrow"))
    mine = tmp_path / "mine.parquet"
    pq.write_table(pa.ipc.open_file(shards).read_all(), mine)

    def change(data: dict[str, Any]) -> None:
        data["pools"] = {"toy": {"sources": [{"kind": "parquet", "path": str(mine), "licence": "MIT"}]}}

    study = edited(tmp_path, change)
    manifest = "results/pools/toy/manifest.json"
    assert snake(copied, manifest, study=study).returncode == 0
    assert planned(copied, manifest, study=study) == {}
    time.sleep(1.1)
    table = pd.read_parquet(mine)
    table.loc[0, "gold"] = "changed"
    table.to_parquet(mine)
    assert planned(copied, manifest, study=study) == {"pool": 1}


def test_one_more_benchmark_trains_nothing(copied: Path, tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["benchmarks"]["more"] = {"sources": [{"kind": "toy", "n": 8, "split": "test", "seed": 7}]}
        data["suites"]["main"]["benchmarks"].append("more")

    found = planned(copied, study=edited(tmp_path, change))
    assert found == {"benchmark": 1, "generate": 6, "score": 6, "tables": 1, "figures": 1}


def test_one_more_size_trains_that_size_alone(copied: Path, tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["sizes"] = [16, 24, 32]
        data["exclude"] = [{"size": [16, 24], "recipe": ["grpo", "sft-grpo"]}]

    found = planned(copied, study=edited(tmp_path, change))
    assert found == {"subset": 1, "train": 1, "generate": 1, "score": 1, "tables": 1, "figures": 1}


def test_tables_build_from_whatever_is_there(copied: Path) -> None:
    shutil.rmtree(copied / f"results/evals/{CELL}")
    result = snake(copied, "tables_partial", study=TINY)
    assert result.returncode == 0, result.stdout + result.stderr
    text = (copied / "results/tables_partial/capacity.md").read_text()
    assert f"missing {CELL}" in text
    assert "—" in text


@pytest.mark.parametrize("command", ["train", "generate"])
def test_kill_9_of_a_job_then_the_same_command(copied: Path, command: str) -> None:
    """A job of a running workflow is killed; the rerun's weights and tables equal those of an unbroken run."""
    before, before_weights = tables(copied), weights(copied)
    shutil.rmtree(copied / f"results/evals/{CELL}")
    if command == "train":
        shutil.rmtree(copied / f"results/runs/{CELL}")
    shutil.rmtree(copied / "results/responses")
    logs = copied / f"results/logs/generate/{CELL}"
    shutil.rmtree(logs)

    def worth_killing() -> bool:
        if command == "train":
            return any((copied / f"results/runs/{CELL}").glob("checkpoints/*/attempt-*/checkpoint-*/*"))
        # Soon after, all is answered: the test of a half-answered suite is among those of generation.
        return any("engine started" in file.read_text(encoding="utf-8") for file in logs.rglob("*.log"))

    process = started(copied, "--cores", "1")
    deadline = time.monotonic() + 300
    while not worth_killing():
        assert process.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed = 0
    for child in psutil.Process(process.pid).children(recursive=True):
        # The shell of a job may be gone by now.
        with suppress(psutil.NoSuchProcess):
            if "reassess" in " ".join(child.cmdline()) and command in child.cmdline():
                child.send_signal(signal.SIGKILL)
                killed += 1
    assert killed
    assert process.wait(timeout=300) != 0
    assert not (copied / f"results/evals/{CELL}/main/responses.parquet").exists()

    result = snake(copied, study=TINY)
    assert result.returncode == 0, result.stdout + result.stderr
    assert weights(copied) == before_weights
    assert tables(copied) == before


def test_status_and_show(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reassess(*arguments: str) -> str:
        command = [sys.executable, "-m", "reassess.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=copied, check=True).stdout

    assert "6 of 6 cells are done" in reassess("status", str(TINY))
    (copied / f"results/runs/{CELL}/run.json").unlink()
    monkeypatch.chdir(copied)
    attempted("train", CELL, "failed", "disk full", step=3)
    shutil.rmtree(copied / f"results/evals/{CELL}/main")
    text = reassess("status", str(TINY))
    assert "5 of 6 cells are done" in text
    assert f"{CELL}: train failed at step 3 (attempt 2): disk full" in text
    assert "1 of 2 chosen cells are done" in reassess("status", str(TINY), "--recipe", "grpo", "--recipe", "base-think")
    shown = reassess("show", str(TINY))
    assert "| sft-grpo" in shown
    assert "results/figures" in shown


def test_a_killed_snakemake_leaves_no_lock_and_a_living_one_is_left_alone(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = copied / f"results/evals/{CELL}/main/scores.parquet"
    scores.unlink()
    monkeypatch.chdir(copied)
    # The first Snakemake cannot come to its end before the second one has looked: its job waits for this.
    held = Lock(paths.lock("score", f"{CELL}/main"))
    assert held.acquire() is None
    try:
        process = started(copied)
        deadline = time.monotonic() + 120
        while not is_held(paths.lock("snakemake", "head")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        second = snake(copied, study=TINY)
        assert second.returncode != 0
        assert f"another Snakemake is at work in this directory (process {process.pid} on" in second.stderr
        assert "Traceback" not in second.stderr
        assert "common.smk" not in second.stderr
        process.kill()
        process.wait()
    finally:
        held.release()
    done = snake(copied, study=TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert scores.exists()


def test_the_jobs_of_a_killed_snakemake_are_taken_over(copied: Path) -> None:
    """What the first Snakemake's job finishes without it is not made again by the second's."""
    before, before_weights = tables(copied), weights(copied)
    shutil.rmtree(copied / f"results/runs/{CELL}")
    shutil.rmtree(copied / f"results/evals/{CELL}")
    process = started(copied)
    deadline = time.monotonic() + 120
    while not list((copied / f"results/runs/{CELL}").glob("checkpoints/*/attempt-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    result = snake(copied, study=TINY)
    assert result.returncode == 0, result.stdout + result.stderr
    assert weights(copied) == before_weights
    assert tables(copied) == before
    lines = (copied / f"results/attempts/train/{CELL}.jsonl").read_text().splitlines()
    starts = [line for line in map(json.loads, lines) if line["event"] == "step"]
    # Once in the session's study and once by the orphan; whoever came beside it has trained nothing.
    assert len(starts) == 2


def test_a_failed_cell_does_not_stop_the_others_and_is_named_at_the_end(copied: Path, tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["seeds"] = [2]
        data["stages"]["grpo"]["args"]["hub_strategy"] = "nonsense"

    result = snake(copied, study=edited(tmp_path, change))
    assert result.returncode != 0
    assert (copied / "results/runs/toy-xs/toy/seed2/sft@32/run.json").exists()
    said = result.stderr[result.stderr.index("jobs did not finish") :]
    assert re.search(r"toy-xs/toy/seed2/grpo@32: train failed.*: stages\.grpo\.args: .*nonsense.*; log results/", said)
    assert "Traceback" not in said
