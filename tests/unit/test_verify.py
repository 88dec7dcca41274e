"""Verify: a finished study passes; a byte, a row, an id or a parent that is not what it was is named."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reassess import cli, graph, paths
from reassess.analyse.collect import collect
from reassess.analyse.parity import check_parity
from reassess.console.verify import VerifyError, verify
from reassess.data.subset import ids_sha256
from reassess.graph import Graph

SFT, CHILD = "toy-xs/toy/seed1/sft@32", "toy-xs/toy/seed1/sft@32/grpo@32"
MODEL, RUN, CHILD_RUN = paths.model("toy-xs", "manifest.json"), paths.run(SFT, "run.json"), paths.run(CHILD, "run.json")
POOL = paths.pool("toy", "manifest.json")
SUBSET = paths.subset("toy/seed1/16")
RESPONSES = paths.evaluation(f"{SFT}/main", "responses.json")
SCORES = paths.evaluation(f"{SFT}/main", "scores.json")


@pytest.fixture(scope="module")
def shared(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy for all tests of this file: each puts back what it changes."""
    folder = tmp_path_factory.mktemp("verify") / "work"
    subprocess.run(["cp", "-a", str(finished), str(folder)], check=True)
    return folder


@pytest.fixture
def work(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(shared)
    return shared


def said(study: Graph) -> list[str]:
    """What verify prints, the number of mismatching records last."""
    lines: list[str] = []
    try:
        verify(study, lines.append)
    except VerifyError as error:
        lines.append(str(error))
    return lines


@contextmanager
def kept(*files: str) -> Iterator[None]:
    """Put files back as they were, their times included; inside, times stay what they were too."""
    before = {file: (Path(file).read_bytes(), Path(file).stat()) for file in files}
    try:
        yield
    finally:
        for file, (data, times) in before.items():
            Path(file).write_bytes(data)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def edited(file: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a record and not its time: tables would be older than it."""
    times = Path(file).stat()
    record = json.loads(Path(file).read_text())
    change(record)
    Path(file).write_text(json.dumps(record))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def edited_rows(file: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change rows of a shard (Arrow) or of an evaluation (Parquet)."""
    parquet = file.endswith(".parquet")
    table = pq.read_table(file) if parquet else pa.ipc.open_file(file).read_all()
    rows = table.to_pylist()
    change(rows)
    changed = pa.Table.from_pylist(rows, schema=table.schema)
    if parquet:
        pq.write_table(changed, file)
        return
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(changed)


def flipped(file: str) -> None:
    data = bytearray(Path(file).read_bytes())
    data[len(data) // 2] ^= 1
    Path(file).write_bytes(bytes(data))


def trajectory() -> str:
    """A kept checkpoint in the middle of a run."""
    return str(json.loads(Path(CHILD_RUN).read_text())["trajectory"][0]["path"])


def test_a_finished_study_passes(work: Path, tiny: Graph, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", str(root / "studies/tiny.yaml")]) == 0
    # 3 of data, 2 subsets, a model, 4 runs, 8 evaluations with 2 records each, tables and figures.
    assert capsys.readouterr().out == "study tiny: 28 records checked, 0 do not match\n"


def swapped(record: dict[str, Any]) -> None:
    record["ids"][3], record["ids"][4] = record["ids"][4], record["ids"][3]


def swapped_with_its_hash(record: dict[str, Any]) -> None:
    swapped(record)
    record["ids_sha256"] = ids_sha256(record["ids"])


@pytest.mark.parametrize(
    ("file", "change", "record", "what"),
    [
        (
            lambda: paths.model("toy-xs", "model/model.safetensors"),
            flipped,
            MODEL,
            "fingerprint of results/models/toy-xs",
        ),
        (lambda: paths.run(SFT, "model/config.json"), flipped, RUN, f"fingerprint of {paths.run(SFT, 'model')} is"),
        (lambda: f"{trajectory()}/model.safetensors", flipped, CHILD_RUN, "trajectory/step-8 is"),
        (
            lambda: next(Path(paths.pool("toy")).glob("shards/*.arrow")).as_posix(),
            lambda file: edited_rows(file, lambda rows: rows[5].update(gold="0")),
            paths.pool("toy", "manifest.json"),
            "content_sha256 of the shards is",
        ),
        (
            lambda: next(Path(paths.benchmark("toy-id")).glob("shards/*.arrow")).as_posix(),
            lambda file: edited_rows(file, list.pop),
            paths.benchmark("toy-id", "manifest.json"),
            "n is 32, expected 31",
        ),
        (
            lambda: next(Path(paths.benchmark("toy-id")).glob("shards/*.arrow")).as_posix(),
            lambda file: Path(file).write_bytes(b"ARROW1"),
            paths.benchmark("toy-id", "manifest.json"),
            "not readable",
        ),
        (lambda: SUBSET, lambda file: edited(file, swapped), SUBSET, "ids_sha256 is"),
        (lambda: SUBSET, lambda file: edited(file, swapped), SUBSET, "ids[3] is"),
        (lambda: SUBSET, lambda file: edited(file, swapped_with_its_hash), SUBSET, "ids[3] is"),
        (
            lambda: SUBSET,
            lambda file: edited(file, swapped_with_its_hash),
            paths.run("toy-xs/toy/seed1/sft@16", "run.json"),
            "subset.ids_sha256 is",
        ),
        (
            lambda: CHILD_RUN,
            lambda file: edited(file, lambda record: record["parents"][0].update(fingerprint="f" * 64)),
            CHILD_RUN,
            "parents[0].fingerprint (of results/runs/toy-xs/toy/seed1/sft@32/run.json) is ffffffffffffffff",
        ),
        (
            lambda: RUN,
            lambda file: edited(file, lambda record: record.update(fingerprint="f" * 64)),
            RESPONSES,
            f"checkpoints (of {RUN}).final is",
        ),
        (
            lambda: RUN,
            lambda file: edited(file, lambda record: record.update(trained_ids_sha256="f" * 64)),
            RUN,
            "trained_ids_sha256",
        ),
        (
            lambda: RUN,
            lambda file: edited(file, lambda record: record["spec"]["args"].update(learning_rate=0.1)),
            RUN,
            "spec.args.learning_rate is 0.1, expected 0.001",
        ),
        (
            lambda: RESPONSES.replace(".json", ".parquet"),
            lambda file: edited_rows(file, lambda rows: rows[0].update(response="<answer>1</answer>")),
            RESPONSES,
            "sha256 of responses.parquet is",
        ),
        (
            lambda: RESPONSES,
            lambda file: edited(file, lambda record: record.update(prompt_sha256="f" * 64)),
            RESPONSES,
            "prompt_sha256 is ffffffffffffffff",
        ),
        (
            lambda: RESPONSES,
            lambda file: edited(file, lambda record: record["decoding"].update(max_tokens=64)),
            SCORES,
            "decoding.max_tokens is 32, expected 64",
        ),
        (
            lambda: SCORES.replace(".json", ".parquet"),
            lambda file: edited_rows(file, lambda rows: rows[0].update(correct=not rows[0]["correct"])),
            SCORES,
            "sha256 of scores.parquet is",
        ),
        (
            lambda: SCORES,
            lambda file: edited(file, lambda record: record["scores"]["toy-id"].update(accuracy=0.99)),
            SCORES,
            "scores (summed up again).toy-id.accuracy is 0.99",
        ),
        (
            lambda: SCORES,
            lambda file: edited(file, lambda record: record.update(judge_version="1")),
            SCORES,
            "judge_version is 1, expected",
        ),
        (lambda: SCORES, lambda file: edited(file, lambda record: record.pop("scores")), SCORES, "KeyError: 'scores'"),
        (lambda: MODEL, lambda file: Path(file).write_text("{"), MODEL, "cannot be read (Expecting"),
    ],
)
def test_what_is_not_what_it_was_is_named(
    work: Path, tiny: Graph, file: Callable[[], str], change: Callable[[str], object], record: str, what: str
) -> None:
    target = file()
    times = Path(target).stat()
    with kept(target):
        change(target)
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
        lines = said(tiny)
    found = [line for line in lines if line.startswith(f"{record}: ") and what in line]
    assert len(found) == 1, lines
    assert "; " in found[0], "says what to do"
    assert len({line.split(": ")[0] for line in lines[:-1]}) == int(lines[-1].split(" checked, ")[1].split()[0])


def test_a_flipped_byte_of_a_parent_is_a_mismatch_of_its_record_alone(work: Path, tiny: Graph) -> None:
    weights = paths.run(SFT, "model/model.safetensors")
    with kept(weights):
        flipped(weights)
        lines = said(tiny)
    assert [line.split(":")[0] for line in lines[:-1]] == [RUN]
    assert lines[-1] == "study tiny: 28 records checked, 1 do not match"


def test_tables_of_other_results(work: Path, tiny: Graph, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with kept(SCORES):
        record = json.loads(Path(SCORES).read_text())
        Path(SCORES).write_text(json.dumps({**record, "cell": SFT}))
        assert cli.main(["verify", str(root / "studies/tiny.yaml")]) == 1
    said_ = capsys.readouterr()
    assert f"results/tables.json: made_from.{SCORES} is " in said_.out
    assert f"results/figures.json: made_from.{SCORES} is " in said_.out
    assert said_.out.count("; make it again: snakemake --workflow-profile profiles/local ") == 2
    assert said_.err == "reassess: study tiny: 28 records checked, 2 do not match\n"


def test_what_was_made_again_and_came_out_the_same_is_current(work: Path, tiny: Graph) -> None:
    with kept(SCORES, RUN):
        os.utime(SCORES)
        os.utime(RUN)
        assert said(tiny) == ["study tiny: 28 records checked, 0 do not match"]


def test_a_number_in_a_table(work: Path, tiny: Graph) -> None:
    table = paths.table("capacity", "csv")
    with kept(table):
        text = Path(table).read_text()
        Path(table).write_text(text.replace("0.5", "0.6", 1))
        assert Path(table).read_text() != text
        line, end = said(tiny)
    assert line.startswith(f"results/tables.json: sha256 of {table} is ")
    assert end == "study tiny: 28 records checked, 1 do not match"


def test_metrics_that_were_cut(work: Path, tiny: Graph) -> None:
    metrics = paths.run(SFT, "metrics.jsonl")
    with kept(metrics):
        Path(metrics).write_bytes(Path(metrics).read_bytes()[:-20])
        line, _ = said(tiny)
    assert line.startswith(f"{RUN}: sha256 of metrics.jsonl is ")


def test_evaluations_that_changed_places(work: Path, tiny: Graph) -> None:
    """The control that is forced to think is of the same checkpoint as the base model."""
    base, think = (Path(paths.evaluation(f"toy-xs/{name}/main")) for name in ("base", "base-think"))
    files = [path / name for path in (base, think) for name in ("responses.json", "responses.parquet")]
    with kept(*map(str, files)):
        contents = [file.read_bytes() for file in files]
        for file, content in zip(files, contents[2:] + contents[:2], strict=True):
            file.write_bytes(content)
        lines = said(tiny)
    assert f"{base}/responses.json: cell is toy-xs/base-think, expected toy-xs/base; make it again: " in "\n".join(
        lines
    )
    assert f"{think}/responses.json: think is False, expected True; make it again: " in "\n".join(lines)


def test_examples_and_responses_of_other_options(work: Path, tiny: Graph) -> None:
    raw = tiny.study.model_dump(mode="json")
    raw["seed"] = 5
    raw["pools"]["toy"]["sources"][0]["n"] = 65
    lines = said(graph.parse(raw, "edited"))
    assert f"{POOL}: spec.sources is " in "\n".join(lines)
    again = f"make it again: snakemake --workflow-profile profiles/local --configfile edited -R {RESPONSES}"
    assert f"{RESPONSES}: spec.seed is 0, expected 5; {again}" in lines


@pytest.mark.parametrize("file", [RUN, POOL, SUBSET, MODEL, RESPONSES, SCORES])
@pytest.mark.parametrize("content", ["{}", "[]", "", "nulls"])
def test_a_record_that_is_none_is_noted_and_the_others_are_checked(
    work: Path, tiny: Graph, root: Path, file: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with kept(file):
        if content == "nulls":
            content = json.dumps(dict.fromkeys(json.loads(Path(file).read_text())))
        times = Path(file).stat()
        Path(file).write_text(content)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        *lines, end = said(tiny)
        study = str(root / "studies/tiny.yaml")
        for command in ("status", "plan"):
            assert cli.main([command, study]) in (0, 1)
        generate = ["generate", f"{SFT}/main", "--study", study]
        for command in (["history", "--responses", SFT, "--study", study], *([generate] if file == RUN else [])):
            assert cli.main(command) == (file == RUN)
    assert any(line.startswith(f"{file}: ") for line in lines)
    assert end.startswith("study tiny: 28 records checked, ")


def test_where_results_come_from_is_recorded_and_compared_by_nobody(work: Path, tiny: Graph) -> None:
    responses, scores = (json.loads(Path(file).read_text()) for file in (RESPONSES, SCORES))
    assert responses["costs"]["attempts"] == 1
    assert responses["costs"]["seconds"] >= responses["seconds"]
    assert set(responses["files"]) == {"responses.parquet", "put_aside.jsonl"}
    assert {"costs", "seconds", "cpu_seconds"}.isdisjoint(scores)
    assert scores["files"]["responses.parquet"] == responses["files"]["responses.parquet"]
    for record in (responses, scores, *(json.loads(Path(file).read_text()) for file in (MODEL, POOL))):
        assert record["provenance"]["versions"]["torch"]
    everything = (MODEL, POOL, RUN, RESPONSES, SCORES)
    with kept(*everything):
        for file in everything:
            edited(file, lambda record: record.update(provenance={"host": "another"}, costs={"attempts": 9}))
        lines = said(tiny)
        check_parity(collect(tiny))
    assert lines == ["study tiny: 28 records checked, 0 do not match"]


def test_what_is_not_there_is_no_success(tmp_path: Path, tiny: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert said(tiny) == [
        "results/pools/toy/manifest.json: not there; run the study to its end (`reassess status` has the rest)",
        "study tiny: 0 records checked, 0 do not match, 28 are not there",
    ]
