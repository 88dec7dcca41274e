"""A table of cells that differ in more than the method is refused, naming cell or file, and field."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from synthetic import edit_json, make_study, write, write_results

from reassess import paths
from reassess.analyse.collect import collect
from reassess.analyse.parity import ParityError, check_parity
from reassess.work.records import RecordError

SFT = "m1/pool/seed1/sft@10"
GRPO = "m1/pool/seed1/sft@10/grpo@10"
MODEL = paths.model("m1", "manifest.json")


@pytest.fixture(autouse=True)
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_results(make_study(), n=8)


def scores(cell: str, suite: str = "main") -> str:
    return paths.evaluation(f"{cell}/{suite}", "scores.json")


def responses(cell: str, suite: str = "main") -> str:
    return paths.evaluation(f"{cell}/{suite}", "responses.json")


def run(cell: str) -> str:
    return paths.run(cell, "run.json")


def refusal() -> str:
    with pytest.raises(ParityError) as error:
        check_parity(collect(make_study()))
    return str(error.value)


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
        (scores(SFT), "engine__version", "9", "engine.version", SFT),
        (run(SFT), "prompt_sha256", "other", "prompt_sha256", SFT),
        (run(SFT), "pixels__max", 7, "pixels", SFT),
        (run(GRPO), "judge_version", 2, "judge_version", GRPO),
        (run(GRPO), "subset__ids_sha256", "other", "subset.ids_sha256", GRPO),
        (run(GRPO), "subset__content_sha256", "other", "subset.content_sha256", GRPO),
        (run(GRPO), "trained_ids_sha256", "other", "trained_ids_sha256", GRPO),
    ],
)
def test_a_difference_names_cell_and_field(file: str, key: str, value: Any, field: str, cell: str) -> None:
    edit_json(file, **{key: value})
    message = refusal()
    assert f"{field} is" in message
    assert f"{cell} (" in message


@pytest.mark.parametrize(
    ("file", "key", "value", "message"),
    [
        (run(GRPO), "parents__0__fingerprint", "x", f"parents[0].fingerprint (of {run(SFT)}) is x, expected fp {SFT}"),
        (run(SFT), "parents__0__fingerprint", "x", f"parents[0].fingerprint (of {MODEL}) is x, expected base-m1"),
        (run(SFT), "spec__batch_size", 4, "spec.batch_size is 4, expected 2"),
        (responses(SFT), "checkpoints__0__fingerprint", "other", f"checkpoints (of {run(SFT)}).final is other"),
        (responses("m1/base"), "checkpoints__0__fingerprint", "other", f"checkpoints (of {MODEL}).final is other"),
        (
            responses(GRPO, "held-out"),
            "checkpoints__1__fingerprint",
            "x",
            f"checkpoints (of {run(GRPO)}).step 20 is x, expected fp {GRPO} 20",
        ),
        (responses(SFT), "spec__decoding", {"temperature": 1.0}, "spec.decoding.temperature is 1.0, expected None"),
        (scores(SFT), "files__responses.parquet", "x", f"files.responses.parquet is x, expected responses {SFT}"),
        (scores(SFT), "spec__version", 1, "spec.version is 1, expected 2"),
        (MODEL, "spec__version", 0, "spec.version is 0, expected 1"),
    ],
)  # fmt: skip
def test_what_the_study_does_not_ask_for_names_file_and_field(file: str, key: str, value: Any, message: str) -> None:
    edit_json(file, **{key: value})
    assert refusal().startswith(f"{file}: {message}")


def test_retraining_makes_responses_stale() -> None:
    edit_json(run(GRPO), fingerprint="new")
    assert f"{responses(GRPO)}: checkpoints (of {run(GRPO)}).final is fp {GRPO}, expected new" in refusal()


def test_scores_of_another_checkpoint_are_known_without_its_responses() -> None:
    Path(responses(SFT)).unlink()
    check_parity(collect(make_study()))
    edit_json(scores(SFT), checkpoints__0__fingerprint="other")
    assert refusal().startswith(f"{scores(SFT)}: checkpoints (of {run(SFT)}).final is other, expected fp {SFT}")


def test_a_pool_that_is_another_now() -> None:
    graph = make_study()
    write(graph["pool", "pool"], {"content_sha256": "new"})
    write(graph["subset", "pool/seed1/10"], {"ids_sha256": "ids 1 10", "pool_content_sha256": "content 1 10"})
    assert refusal().startswith(f"{paths.subset('pool/seed1/10')}: pool_content_sha256 is content 1 10, expected new")


def test_a_broken_record_is_named() -> None:
    Path(MODEL).write_text('{"fingerprint": "base-m1"}')
    with pytest.raises(RecordError, match=f"{MODEL}: has no `spec`"):
        check_parity(collect(make_study()))


def test_what_may_differ() -> None:
    graph = make_study()
    edit_json(run(SFT), judge_version="older")  # no part of an SFT run
    for job in graph.of("score"):
        if job.at.model == "m2":
            edit_json(job.record, pixels={"min": 9, "max": 9})  # a model has its own
        if job.at.suite == "held-out":
            edit_json(job.record, decoding={"temperature": 0.7})  # a suite has its own
    for job in graph.of("train"):
        if job.at.model == "m2":
            edit_json(job.record, pixels={"min": 9, "max": 9}, trained_ids_sha256="m2")
    check_parity(collect(graph))


def test_missing_cells_are_no_difference() -> None:
    shutil.rmtree(paths.evaluation(f"{SFT}/main"))
    Path(run("m2/pool/seed2/sft@20")).unlink()
    check_parity(collect(make_study()))
