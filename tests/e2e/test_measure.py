"""Measures taken of real checkpoints: what SFT's loss is, on every kind of examples, resumed, told, and in a table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from families import FAMILIES
from families.rows import text, visual
from reassess import cli, engines, paths
from reassess.analyse.parity import ParityError
from reassess.analyse.write import tables
from reassess.console.audit import audit
from reassess.console.plan import overview
from reassess.console.status import matrix
from reassess.console.verify import VerifyError, verify
from reassess.data.examples import build_set
from reassess.data.pool import build_examples
from reassess.data.shards import Shards, write_shards
from reassess.engines.base import EngineInfo, Given, Origin, Setting
from reassess.evaluate import nll
from reassess.evaluate.generate import Checkpoint, EvaluationError
from reassess.evaluate.measure import Task, measure
from reassess.example import Example
from reassess.graph import Graph, parse
from reassess.graph.state import States
from reassess.measures.nll import Nll
from reassess.models.reader import Reader
from reassess.prompts import Prompt
from reassess.study import read
from reassess.study.models import Model
from reassess.work import turns
from sft_loss import sft_losses
from snake import ROOT, planned

BASE = "toy-xs/base"
LOSS = {"kind": "nll", "on": "toy"}


def study_of(measures: dict[str, Any], **changes: Any) -> Graph:
    """The tiny study with measures, by transformers."""
    data = read.read_yaml(ROOT / "studies/tiny.yaml")
    evaluation = {"engine": "transformers", "batch_size": 8}
    return parse({**data, "evaluation": evaluation, **changes, "measures": measures}, "test")


def taken(graph: Graph, key: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Take a measure, and return its record and its rows."""
    job = graph["measure", key]
    measure(graph, job)
    rows: list[dict[str, Any]] = pq.read_table(job.outputs[1]).to_pylist()
    return json.loads(Path(job.record).read_text()), rows


def check_sft(graph: Graph, rows: list[dict[str, Any]], examples: Shards) -> None:
    """Compare rows with transformers' own loss on what SFT would learn."""
    directory = Path(paths.model("toy-xs", "model"))
    losses = sft_losses(directory, Reader.of(directory, graph.study.models["toy-xs"], graph.study.prompt), examples)
    assert [row["id"] for row in rows] == list(losses)
    for row in rows:
        loss, tokens = losses[row["id"]]
        assert row["tokens"] == tokens
        assert row["nll"] == pytest.approx(loss, abs=1e-5)
        assert row["sum"] == pytest.approx(loss * tokens, abs=1e-4)


# In some, images are patches of every size; one reads what tokens are of pictures, one marks positions in three
# dimensions, one has layers with a state, and one has no images.
@pytest.mark.parametrize("name", ["qwen2.5-vl", "gemma3", "qwen3.5-think", "internvl3", "llama3.2"])
def test_likelihoods_are_the_loss_of_sft_in_every_family(
    name: str, family: Callable[[str], Path], stored: Callable[..., Shards]
) -> None:
    directory = family(name)
    reader = Reader.of(directory, Model(path=".", max_pixels=20_000, max_prompt_length=4096), Prompt())
    shown = visual("v", 3, ("jpeg", "tiny", "grey")) if FAMILIES[name].modality == "visual" else []
    examples = stored([*shown, *text("t", 4)])
    losses = sft_losses(directory, reader, examples)
    given = [
        Given(item.id, Origin(examples, i, False, reader.read(item).length, bool(item.images)), losses[item.id][1])
        for i, item in enumerate(examples)
    ]
    setting = Setting(reader, 5000, 0, 0, 3, {})
    engine = engines.start(EngineInfo("transformers", "", "float32", "cpu"), str(directory), setting)
    found = {key: said for batch in engine.nll(given) for key, said in batch.items()}
    assert found.keys() == losses.keys()
    for key, (loss, tokens) in losses.items():
        assert found[key].tokens == tokens
        assert found[key].nll / tokens == pytest.approx(loss, abs=1e-5)


def test_a_pool_a_set_and_what_a_pool_holds_out_are_measured(tiny_results: Path) -> None:
    data = read.read_yaml(ROOT / "studies/tiny.yaml")
    pools = {"toy": {**data["pools"]["toy"], "held_out": 8}}
    graph = study_of(
        {"pool": LOSS, "set": {**LOSS, "on": "hard"}, "held": {**LOSS, "on": "held-out"}},
        pools=pools,
        benchmarks={**data["benchmarks"], "held-out": {"pool": "toy"}},
        examples={"hard": {"kind": "where", "on": "toy", "difficulty": [2]}},
    )
    build_examples(graph, graph["pool", "toy"])
    build_examples(graph, graph["benchmark", "held-out"])
    build_set(graph, graph["examples", "hard"])
    found = {name: taken(graph, f"{BASE}/{name}") for name in graph.study.measures}
    # Of a pool its training examples; held-out rows keep their rationales.
    assert {row["id"] for row in found["held"][1]} | {row["id"] for row in found["pool"][1]} == set(
        Shards(paths.pool("toy")).column("id")
    )
    assert [len(rows) for _, rows in found.values()] == [56, len(Shards(paths.examples("hard"))), 8]
    check_sft(graph, found["held"][1], Shards(paths.benchmark("held-out")))
    check_sft(graph, found["set"][1], Shards(paths.examples("hard")))
    record, rows = found["pool"]
    assert record["read"]["toy"]["held_out"]["n"] == 8
    assert (record["engine"]["name"], record["put_aside"]) == ("transformers", {})
    values, frame = record["values"], pd.DataFrame(rows)
    assert values["n"] == 56
    assert values["nll"] == pytest.approx(frame["nll"].mean())
    assert values["nll_over_tokens"] == pytest.approx(frame["sum"].sum() / frame["tokens"].sum())
    assert values["tokens"] == pytest.approx(frame["tokens"].mean())
    assert record["by_source"] == {"toy": values}
    assert set(frame.columns) == {"id", "source", "family", "difficulty", "nll", "tokens", "sum"}
    states = States(graph)
    assert [states.of(graph["measure", f"{BASE}/{name}"]) for name in found] == ["done"] * 3
    # Other examples make values outdated, and nothing else does.
    more = study_of(
        {"pool": LOSS, "held": {**LOSS, "on": "held-out"}},
        pools={"toy": {**pools["toy"], "held_out": 9}},
        benchmarks={**data["benchmarks"], "held-out": {"pool": "toy"}},
    )
    build_examples(more, more["pool", "toy"])
    assert [str(item).partition(" is ")[0] for item in States(more).wrong(more["measure", f"{BASE}/pool"])] == [
        "read.toy.held_out.ids_sha256",
        "read.toy.held_out.n",
    ]


def rewrite(examples: list[Example]) -> None:
    """Put examples in place of the benchmark toy-id."""
    folder = Path(paths.benchmark("toy-id"))
    shutil.rmtree(folder / "shards")
    write_shards(folder / "shards", examples)
    manifest = json.loads((folder / "manifest.json").read_text())
    told = {"n": len(examples), "content_sha256": f"of {', '.join(item.id for item in examples)}"}
    (folder / "manifest.json").write_text(json.dumps({**manifest, **told}))


def test_what_a_model_cannot_read_is_put_aside_with_the_reason(tiny_results: Path, stored: Any) -> None:
    graph = study_of({"loss": {**LOSS, "on": "toy-id"}})
    good = list(Shards(paths.benchmark("toy-id")))[:6]
    first = good[0]
    reader = Reader.of(paths.model("toy-xs", "model"), graph.study.models["toy-xs"], graph.study.prompt)
    end = reader.tokenizer.eos_token
    wrong = [
        replace(first, id="silent", rationales=()),
        replace(first, id="ended", rationales=(f"so{end}",)),
        replace(first, id="broken", images=(b"no picture",)),
        replace(first, id="prompt", question=first.question * 40),
        replace(first, id="response", rationales=(first.rationales[0] * 400,)),
    ]
    rewrite([*wrong[:3], *good, *wrong[3:]])
    record, rows = taken(graph, f"{BASE}/loss")
    check_sft(graph, rows, stored(good))
    aside = {item["id"]: item["reason"] for item in map(json.loads, _lines("put_aside.jsonl"))}
    assert aside == {
        "silent": "no rationale",
        "ended": f"the text has the model's special token {end}",
        "broken": "image cannot be decoded",
        "prompt": "prompt longer than max_prompt_length",
        "response": "prompt and response longer than the model takes (max_position_embeddings)",
    }
    assert record["put_aside"] == dict.fromkeys(aside.values(), 1)
    rewrite(wrong[:2])
    with pytest.raises(EvaluationError, match=r"measures\.loss: not one of 2 examples has a value \(1 x no rationale"):
        taken(graph, f"{BASE}/loss")


def _lines(name: str) -> list[str]:
    return Path(paths.measure(f"{BASE}/loss", name)).read_text().splitlines()


def test_a_template_that_ends_no_response_is_one_error(toy_checkpoint: Path, tiny: Graph, stored: Any) -> None:
    reader = Reader.of(toy_checkpoint, tiny.study.models["toy-xs"], tiny.study.prompt)
    reader.stops = []
    spec, checkpoint = Nll(kind="nll", on="toy"), Checkpoint(None, str(toy_checkpoint), "")
    task = Task(spec, checkpoint, reader, [], [], lambda longest: pytest.fail("an engine was started"))
    with pytest.raises(EvaluationError, match=r"model: the chat template ends .* as models\.<name>\.chat_template"):
        list(nll.run(task))


def test_a_stopped_measure_goes_on_where_it_was(
    tiny_results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = study_of({"loss": LOSS})
    job = graph["measure", f"{BASE}/loss"]
    with turns.take("measure", job.key) as turn:
        # At its reading, and at four batches.
        asked = iter([None] * 4 + ["terminated"])
        monkeypatch.setattr(turn.stop, "requested", lambda: next(asked))
        with pytest.raises(turns.Interrupted):
            measure(graph, job, turn=turn)
        assert turn.record.step == 32
    assert not Path(job.record).exists()
    assert len(_lines("values.jsonl")) == 33
    capsys.readouterr()
    record, rows = taken(graph, job.key)
    assert "32 have values, 32 are measured with transformers" in capsys.readouterr().out
    assert not Path(job.record).with_name("values.jsonl").exists()
    assert taken(graph, job.key)[1] == rows
    assert record["values"]["n"] == len(rows) == 64


def test_a_study_is_measured_reported_and_verified(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "work"
    shutil.copytree(finished, folder, symlinks=True)
    monkeypatch.chdir(folder)
    graph = study_of({"loss": {**LOSS, "on": "toy-id"}, "text": {**LOSS, "on": "toy-text", "recipes": ["base"]}})
    # Answers stay what they were: of vLLM's, or of whoever gave them.
    graph = parse({**graph.study.model_dump(mode="json"), "evaluation": {}}, "test")
    file = folder / "study.json"
    read.dump(graph.study, file)
    assert planned(folder, study=file) == {"measure": 6, "tables": 1, "figures": 1}
    monkeypatch.setattr(engines, "choose", _transformers)
    for job in graph.of("measure"):
        assert States(graph).of(job) == "missing"
        assert cli.main(["measure", job.key, "--study", str(file)]) == 0
    assert States(graph).of(graph["tables", "all"]) in ("missing", "outdated")
    assert planned(folder, study=file) == {"tables": 1, "figures": 1}
    assert cli.main(["tables", "--study", str(file)]) == cli.main(["figures", "--study", str(file)]) == 0
    capsys.readouterr()
    verify(graph)
    assert audit(graph)
    assert "nothing to do" in overview(graph)
    header, base, *_ = matrix(graph).splitlines()
    assert header.split() == ["cell", "checkpoint", "main", "held-out", "loss", "text"]
    assert base.split() == [BASE, "done", "done", "done", "done"]
    assert cli.main(["history", BASE, "--study", str(file)]) == 0
    assert "measure loss" in capsys.readouterr().out

    shown = pd.read_csv(paths.table("measures", "csv")).set_index(["method", "size", "column", "measure"])["mean"]
    rows = pd.read_parquet(paths.measure("toy-xs/toy/seed1/sft@32/loss", "values.parquet"))
    assert shown["sft", 32, "loss", "nll"] == pytest.approx(rows["nll"].mean())
    assert shown["sft", 32, "loss", "tokens"] == pytest.approx(rows["tokens"].mean())
    text_rows = Path(paths.table("measures", "md")).read_text()
    assert "base-think" not in text_rows
    assert "loss: nll on toy-id, nats per token, mean over 32 examples." in text_rows
    assert len(set(shown.xs(("loss", "nll"), level=("column", "measure")))) == 5
    _check_what_does_not_fit(graph)


def _transformers(study: Any, model: str, gpus: int) -> EngineInfo:
    """On a machine without vLLM it is what `auto` takes."""
    return EngineInfo("transformers", engines.version("transformers"), "float32", "cpu")


def _check_what_does_not_fit(graph: Graph) -> None:
    """Look at results of which something is changed or missing."""
    job, file = graph["measure", f"{BASE}/loss"], Path(graph["measure", f"{BASE}/loss"].record)
    before = file.read_text()
    record = json.loads(before)
    said: list[str] = []
    file.write_text(json.dumps({**record, "values": {**record["values"], "nll": 0.5}}))
    with pytest.raises(VerifyError):
        verify(graph, said.append)
    assert any("measure.json: summed up again.values.nll is 0.5, expected" in line for line in said)
    file.write_text(json.dumps({**record, "checkpoint": {**record["checkpoint"], "fingerprint": "0" * 64}}))
    states = States(graph)
    assert states.of(job) == states.of(graph["tables", "all"]) == "outdated"
    with pytest.raises(ParityError, match=r"checkpoint\.fingerprint .*\n.*\n.*measured on a model that was made again"):
        tables(graph)
    tables(graph, partial=True)
    assert f"missing loss of {BASE}" in Path(paths.table("measures", "md", partial=True)).read_text()
    file.write_text(before)
    sft = Path(graph["measure", "toy-xs/toy/seed1/sft@32/loss"].record)
    other = json.loads(sft.read_text())
    sft.write_text(json.dumps({**other, "engine": {**other["engine"], "name": "vllm"}}))
    with pytest.raises(ParityError, match=r"engine\.name is '?vllm"):
        tables(graph)
    sft.write_text(json.dumps(other))
