"""Status: which cells are chosen, what the last attempts say of them, and the summary of failures of a workflow."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from attempted import attempted
from reassess import cli, graph, paths
from reassess.console.failures import failures
from reassess.console.status import matrix
from reassess.graph import Graph
from reassess.graph.state import States
from reassess.study.study import Filter
from reassess.work import slurm
from reassess.work.lock import Lock

SFT, GRPO = "toy-xs/toy/seed1/sft@16", "toy-xs/toy/seed1/sft@32/grpo@32"


def states(study: Graph, cell: str, *arguments: Any) -> list[str]:
    """The columns of one cell."""
    rows = [line.split("  ") for line in matrix(study, *arguments).splitlines()]
    return next([text.strip() for text in row[1:] if text.strip()] for row in rows if row[0] == cell)


def logged(cell: str, step: int) -> None:
    folder = Path(paths.run(cell), "checkpoints/0badcafe/attempt-1")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text(f'{{"step": 1}}\n{{"step": {step}}}\n{{"ste')


def test_a_failed_cell_has_its_reason_and_its_log_in_one_line(tiny_results: Path, tiny: Graph) -> None:
    attempted("train", SFT, "time_limit", step=3)
    log = tiny_results / paths.attempts("train", SFT) / "2.log"
    log.parent.mkdir()
    log.write_text("...")
    attempted("train", SFT, "failed", "the disk\nis full", step=7, log=log.relative_to(tiny_results).as_posix())
    assert states(tiny, SFT) == ["failed", "missing"]
    (line,) = (line for line in matrix(tiny).splitlines() if line.startswith(f"{SFT}:"))
    assert (
        line == f"{SFT}: train failed at step 7 (attempt 2): the disk is full; log {paths.attempts('train', SFT)}/2.log"
    )


def test_what_was_stopped_runs_or_waits_is_told_apart(
    tiny_results: Path, tiny: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempted("train", SFT, "preempted", step=4)
    logged(SFT, 5)
    # It has said where it stands; what it logged later is not saved.
    assert states(tiny, SFT)[0] == "stopped (step 4)"
    assert f"{SFT}: train was preempted at step 4" in matrix(tiny)
    attempted("train", SFT, None)
    assert f"{SFT}: train was killed at step 5 (attempt 2)" in matrix(tiny)
    lock = Lock(paths.lock("train", SFT))
    assert lock.acquire() is None
    assert states(tiny, SFT)[0] == "running (step 5)"
    lock.release()
    attempted("train", SFT, "preempted", step=5, job="77")
    monkeypatch.setattr(slurm, "is_over", lambda job: False)
    assert states(tiny, SFT)[0] == "waiting"
    assert f"{SFT}:" not in matrix(tiny)
    monkeypatch.setattr(slurm, "is_over", lambda job: True)
    assert states(tiny, SFT)[0] == "stopped (step 5)"


def test_what_is_in_the_queue_waits(tiny_results: Path, tiny: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        slurm.QueuedJob("5", "PENDING", "rule_train_wildcards_toy-xs_toy_seed1_sft@16"),
        slurm.QueuedJob("6", "RUNNING", "rule_train_wildcards_toy-xs_toy_seed1_sft@32_grpo@32"),
        slurm.QueuedJob("7", "PENDING", "rule_generate_wildcards_toy-xs_base_main"),
    ]
    monkeypatch.setattr(slurm, "queue", lambda: found)
    attempted("train", SFT, "killed", step=4)
    assert states(tiny, SFT)[0] == "waiting"
    # It is with Slurm, and its command has not begun.
    assert states(tiny, GRPO)[0] == "running"
    assert states(tiny, "toy-xs/base") == ["done", "waiting"]
    assert "\nwaiting: for its turn" in matrix(tiny)
    assert "\nstopped: " not in matrix(tiny), "no cell of the table is in that state"


def test_failures_of_every_command_are_shown(tiny_results: Path, tiny: Graph) -> None:
    assert states(tiny, "toy-xs/base") == ["done", "missing"]
    attempted("generate", "toy-xs/base/main", "out_of_memory", "needs 90 GB", step=120)
    assert states(tiny, "toy-xs/base") == ["done", "failed"]
    Path(paths.model("toy-xs", "manifest.json")).unlink()
    attempted("model", "toy-xs", "failed", "no such revision")
    attempted("train", SFT, "failed", "its parent is not there")
    Path(paths.benchmark("toy-id", "manifest.json")).unlink()
    attempted("benchmark", "toy-id", "failed", "no such file")
    text = matrix(tiny)
    assert states(tiny, "toy-xs/base")[0] == "failed"
    for line in (
        "toy-xs/base/main: generate ran out of memory after 120 responses: needs 90 GB",
        "toy-xs: model failed: no such revision",
        f"{SFT}: train failed: its parent is not there",
        "toy-id: benchmark failed: no such file",
    ):
        assert text.splitlines().count(line) == 1


def test_a_finished_attempt_whose_result_is_gone_is_no_failure(tiny_results: Path, tiny: Graph) -> None:
    attempted("train", SFT, "finished", step=4)
    assert states(tiny, SFT)[0] == "missing"
    assert SFT + ":" not in matrix(tiny)


def test_cells_are_chosen_by_axis_and_by_state(
    tiny_results: Path, tiny: Graph, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attempted("train", SFT, "failed", "disk full")
    assert [line.split()[0] for line in matrix(tiny, Filter(size=(16,))).splitlines()[:2]] == ["cell", SFT]
    chosen = matrix(tiny, Filter(recipe=("grpo", "base"), seed=(1,)))
    assert "toy-xs/toy/seed1/grpo@32 " in chosen
    assert "toy-xs/base" not in chosen, "the base model has no seed"
    assert "0 of 1 chosen cells are done" in chosen
    failed = matrix(tiny, states=["failed"])
    assert [line.split()[0] for line in failed.splitlines()[:3] if line] == ["cell", SFT]
    assert "0 of 6 cells are done; 1 failed" in failed
    study = str(root / "studies/tiny.yaml")
    assert cli.main(["status", study, "--model", "toy-xs", "--size", "16", "--size", "32", "--state", "failed"]) == 0
    assert "0 of 4 chosen cells are done; 1 failed" in capsys.readouterr().out
    for arguments, said in (
        (["--recipe", "sft-grop"], "the study has no recipe 'sft-grop'; did you mean sft-grpo?"),
        (["--size", "64"], "the study has no size '64'; known: 16, 32"),
        (["--state", "faild"], "--state 'faild': did you mean failed? known: done, outdated"),
    ):
        assert cli.main(["status", study, *arguments]) == 1
        error = capsys.readouterr().err
        assert said in error
        assert len(error.splitlines()) == 1


def test_responses_of_another_benchmark_or_decoding_are_outdated(
    finished: Path, tmp_path: Path, tiny: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    assert states(tiny, GRPO) == ["done", "done", "done"]
    suites = tiny.study.suites
    longer = suites["main"].decoding.model_copy(update={"max_tokens": 64})
    suites = {**suites, "main": suites["main"].model_copy(update={"decoding": longer})}
    assert states(Graph(tiny.study.model_copy(update={"suites": suites})), GRPO) == ["done", "outdated", "done"]
    manifest = Path(paths.benchmark("toy-text", "manifest.json"))
    record = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**record, "content_sha256": "0" * 64}))
    assert states(tiny, GRPO) == ["done", "outdated", "done"]
    Path(paths.evaluation(f"{GRPO}/held-out", "scores.parquet")).unlink()
    assert states(tiny, GRPO) == ["done", "outdated", "answered"]


def test_what_was_trained_on_another_pool_is_outdated(
    finished: Path, tmp_path: Path, tiny: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    manifest = Path(paths.pool("toy", "manifest.json"))
    record = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**record, "content_sha256": "0" * 64}))
    found = States(tiny)
    assert found.of(tiny["pool", "toy"]) == "done"
    subset = tiny["subset", "toy/seed1/32"]
    assert found.of(subset) == "outdated"
    (difference,) = found.differences(subset)
    assert str(difference) == f"pool_content_sha256 is {record['content_sha256'][:16]}, expected {'0' * 16}"
    # Of what they were made from: the run's own subset is still the one that it has read.
    assert found.differences(tiny["train", GRPO]) == []
    assert states(tiny, GRPO) == ["outdated", "outdated", "outdated"]
    assert states(tiny, "toy-xs/base") == ["done", "done"]
    raw = tiny.study.model_dump(mode="json")
    raw["pools"]["toy"]["sources"][0]["n"] = 96
    manifest.write_text(json.dumps(record))
    edited = graph.parse(raw, "edited")
    assert States(edited).of(edited["pool", "toy"]) == "outdated"
    assert states(edited, SFT) == ["outdated", "outdated"]
    assert {States(edited).of(job) for job in edited.of("subset")} == {"outdated"}


@pytest.mark.parametrize(
    ("file", "field", "value"),
    [
        (paths.run(SFT, "run.json"), "parents", 1),
        (paths.run(SFT, "run.json"), "parents", ["x"]),
        (paths.run(SFT, "run.json"), "subset", []),
        (paths.run(GRPO, "run.json"), "trajectory", [1]),
        (paths.evaluation(f"{SFT}/main", "responses.json"), "benchmarks", {"toy-id": 1}),
        (paths.evaluation(f"{SFT}/main", "responses.json"), "checkpoints", {"step": 1}),
        (paths.evaluation(f"{SFT}/main", "responses.json"), "files", "x"),
    ],
)
def test_a_record_with_a_broken_field_is_named(
    tiny_results: Path, tiny: Graph, root: Path, file: str, field: str, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for job in tiny.jobs.values():
        for output in map(Path, job.outputs):
            output.parent.mkdir(parents=True, exist_ok=True)
            output.touch()
        empty = {"spec": json.loads(job.spec), "fingerprint": "0"}
        Path(job.record).write_text(json.dumps(empty | ({field: value} if job.record == file else {})))
    assert cli.main(["status", str(root / "studies/tiny.yaml")]) == 1
    assert (
        capsys.readouterr().err == f"reassess: {file}: `{field}` is broken; delete the file and run the study again\n"
    )


def test_the_summary_of_a_workflow_has_what_failed_in_it(tiny_results: Path, tiny: Graph) -> None:
    stopped = "no job has failed; the same command goes on with what was stopped"
    before = time.time() - 7200
    assert failures(tiny, before, [], "head.log") == stopped
    attempted("train", SFT, "failed", "disk full", step=2)
    attempted("train", SFT, "failed", "disk full again", step=2)
    attempted("score", f"{SFT}/main", "killed")
    attempted("train", "toy-xs/toy/seed1/sft@32", "finished")
    attempted("train", "toy-xs/toy/seed1/other@32", "failed", "of no cell of the study")
    log = Path(f"results/logs/score/{SFT}/main.log")
    log.parent.mkdir(parents=True)
    log.write_text("")
    # Snakemake names what its own attempts at a job have made, and jobs that never came so far.
    unsaid = ["results/pools/toy/manifest.json", "results/pools/toy/shards", f"results/runs/{SFT}/run.json"]
    assert failures(tiny, before, unsaid, "head.log").splitlines() == [
        "3 jobs did not finish:",
        "  toy: pool failed outside of its own command; log head.log",
        f"  {SFT}: train failed at step 2 (attempt 2): disk full again",
        f"  {SFT}/main: score was killed; log {log}",
    ]
    assert failures(tiny, time.time(), [], "head.log") == stopped
