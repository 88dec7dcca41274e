"""Export to lm-eval's files: their layout, the same bytes again, and the same verdicts when they are read back."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from conftest import ROOT
from reassess import cli, paths
from reassess.data.collection import described
from reassess.data.pool import build_examples
from reassess.evaluate.export import ExportError, export
from reassess.evaluate.generate import RESPONSES
from reassess.evaluate.imported import import_results
from reassess.evaluate.score import score
from reassess.graph import Graph, parse
from reassess.work import records

KEY = "toy-xs/base/main"
# Two questions have the same words, and one row is put aside in front of them.
QUESTIONS = [
    {"id": "q1", "question": "How many legs has a spider?", "gold": "8", "kind": "numeric"},
    {"id": "q2", "question": "Which is a colour?", "gold": "B", "kind": "mcq", "options": ["seven", "red"]},
    {"id": "q3", "question": "", "gold": "1", "kind": "numeric"},
    {"id": "q4", "question": "What is it?", "gold": "3", "kind": "numeric"},
    {"id": "q5", "question": "What is it?", "gold": "4", "kind": "numeric"},
]
# By question: responses and how they ended.
SAID: dict[str, list[tuple[str, str]]] = {
    "q1": [("<think>two by four</think> <answer>8</answer>", "stop"), ("<answer>9</answer>", "stop")],
    "q2": [("It is (B), die Farbe \u201erot\u201c\n", "stop"), ("I do not know, because", "length")],
    "q4": [("", "error"), ("<answer>3</answer>", "stop")],
    "q5": [("", "stop"), ("<answer>3</answer>", "stop")],
}


def make(circular: bool = False, **more: Any) -> Graph:
    data = yaml.safe_load((ROOT / "studies" / "tiny.yaml").read_text(encoding="utf-8"))
    source = {"kind": "jsonl", "path": "quiz.jsonl", "licence": "none"}
    data["benchmarks"]["quiz"] = {"modality": "text", "sources": [source], "max_put_aside": 0.5, "circular": circular}
    data["suites"]["main"] = {"benchmarks": ["quiz"], "decoding": {"temperature": 0.6, "n": 2, "stop": ["</answer>"]}}
    return parse(data | more, "mine.yaml")


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """The tiny study with responses of the base model to a quiz, written by hand and judged."""
    monkeypatch.chdir(tmp_path)
    return answered(SAID)


def answered(by_id: dict[str, list[tuple[str, str]]], **options: Any) -> Graph:
    Path("quiz.jsonl").write_text("".join(json.dumps({**row, "source": "quiz"}) + "\n" for row in QUESTIONS))
    graph = make(**options)
    build_examples(graph, graph["benchmark", "quiz"])
    said = [
        {
            **dict.fromkeys(RESPONSES.names),
            **{"benchmark": "quiz", "id": id_, "sample": sample, "response": text, "finish_reason": reason},
            **{"n_tokens": len(text.split()), "seed": sample, "prompt_tokens": 20},
        }
        for id_, samples in by_id.items()
        for sample, (text, reason) in enumerate(samples)
    ]
    root = Path(paths.evaluation(KEY))
    root.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(said, schema=RESPONSES), root / "responses.parquet")
    decoding = graph.study.suites["main"].decoding.recorded()
    engine = {"name": "transformers", "version": "5"}
    benchmarks = {"quiz": described(paths.benchmark("quiz"))}
    records.write(root / "responses.json", {"benchmarks": benchmarks, "decoding": decoding, "engine": engine})
    score(graph, graph["score", KEY])
    return graph


def test_the_files_have_the_layout_of_lm_eval(scored: Graph) -> None:
    os.utime(paths.evaluation(KEY, "scores.json"), (1_767_225_600.5, 1_767_225_600.5))
    results, samples = export(scored, scored["score", KEY], Path("theirs"))
    date = "2026-01-01T00-00-00.500000"
    assert [results.name, samples.name] == [f"results_{date}.json", f"samples_quiz_{date}.jsonl"]
    found = json.loads(results.read_text())
    # lm_eval/evaluator.py and loggers/evaluation_tracker.py.
    assert {"results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples"} < set(found)
    assert {"config", "git_hash", "date", "task_hashes", "model_name", "model_name_sanitized"} < set(found)
    # q1: 1/2, q2: 1/2 (the second names no option), q4: 1 of one that did not fail, q5: 0.
    assert found["results"]["quiz"]["acc,none"] == pytest.approx((1 / 2 + 1 / 2 + 1 + 0) / 4)
    assert found["results"]["quiz"]["acc_stderr,none"] == pytest.approx(0.2041241, abs=1e-6)
    assert found["n-samples"]["quiz"] == {"original": 4, "effective": 4}
    config = found["configs"]["quiz"]
    assert (config["output_type"], config["repeats"]) == ("generate_until", 2)
    assert config["generation_kwargs"]["until"] == ["</answer>"]
    assert re.fullmatch(r"[\w.-]+", found["model_name_sanitized"])
    logged = [json.loads(line) for line in samples.read_text().splitlines()]
    first = logged[0]
    assert [row["doc_id"] for row in logged] == [0, 1, 2, 3]
    assert first["target"] == "8"
    assert first["resps"] == [[text for text, _ in SAID["q1"]]]
    assert first["arguments"]["gen_args_0"]["arg_0"].startswith("How many legs has a spider?")
    assert first["arguments"]["gen_args_0"]["arg_1"]["do_sample"] is True
    assert {len(first[name]) for name in ("doc_hash", "prompt_hash", "target_hash")} == {64}
    assert [row["acc"] for row in logged] == [0.5, 0.5, 1.0, 0.0]


def test_of_a_question_that_was_asked_in_rotations_all_have_to_be_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rotated = {"q2~rotated0": [("B", "stop"), ("B", "stop")], "q2~rotated1": [("A", "stop"), ("B", "stop")]}
    graph = answered({name: SAID[name] for name in ("q1", "q4", "q5")} | rotated, circular=True)
    results, _ = export(graph, graph["score", KEY], Path("theirs"))
    found = json.loads(results.read_text())["results"]["quiz"]
    assert found["acc,none"] == pytest.approx((1 / 2 + 1 / 2 + 1 + 0) / 4)
    assert found["acc_stderr,none"] == "N/A"


def test_the_same_results_give_the_same_files(scored: Graph) -> None:
    once, again = (export(scored, scored["score", KEY], Path(folder)) for folder in ("once", "again"))
    assert [file.name for file in once] == [file.name for file in again]
    assert [file.read_bytes() for file in once] == [file.read_bytes() for file in again]


def test_what_was_exported_is_read_back_with_the_same_verdicts(
    scored: Graph, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.json").write_text(scored.study.model_dump_json())
    assert cli.main(["export", KEY, "--study", "mine.json", "--to", "theirs"]) == 0
    samples = capsys.readouterr().out.splitlines()[-1]
    graph = make(imported={"again": {"files": {"quiz": samples}, "by": "this study"}})
    import_results(graph, graph["import", "again"])
    ours, theirs = (
        pq.read_table(file, columns=["id", "sample", "correct", "answer", "reason", "truncated"]).to_pylist()
        for file in (paths.evaluation(KEY, "scores.parquet"), paths.imported("again", "scores.parquet"))
    )
    assert theirs == ours
    assert [row["correct"] for row in ours].count(True) == 3
    facts = records.read(paths.imported("again", "scores.json"), imported=dict)
    assert facts is not None
    # Row numbers alone would not tell the two questions with the same words: a row was put aside.
    assert facts["imported"]["quiz"]["matched_by"] == "id (id)"
    assert (facts["imported"]["quiz"]["matched"], facts["imported"]["quiz"]["put_aside"]) == (4, {})
    assert facts["imported"]["quiz"]["own"]["acc,none"] == pytest.approx(0.5)


def test_what_cannot_be_exported_is_said(scored: Graph) -> None:
    with pytest.raises(ExportError, match=r"toy-xs/base-think/main/scores\.json: not there; make it first"):
        export(scored, scored["score", "toy-xs/base-think/main"], Path("theirs"))
    job = next(job for job in scored.of("score") if job.at.suite == "held-out")
    with pytest.raises(ExportError, match="a suite of checkpoints on the way"):
        export(scored, job, Path("theirs"))
    Path(paths.evaluation(KEY, "responses.parquet")).unlink()
    with pytest.raises(ExportError, match=r"responses\.parquet: not there"):
        export(scored, scored["score", KEY], Path("theirs"))
    assert not Path("theirs").exists()
