"""Official verdicts beside the judge's in scores, and the audit of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reassess import graph, paths
from reassess.cli import main
from reassess.console.audit import audit
from reassess.data.shards import SCHEMA
from reassess.evaluate.score import score
from reassess.example import DataError
from reassess.graph import Graph
from reassess.study.read import StudyError
from reassess.work import records

CELL = "toy-xs/base"
KEY = f"{CELL}/main"
STUDY: dict[str, Any] = {
    "name": "audited",
    "models": {"toy-xs": {"toy": {"size": "xs"}}},
    "pools": {"toy": {"sources": [{"kind": "toy", "n": 40}]}},
    "sizes": [10],
    "seeds": [1],
    "stages": {},
    "recipes": {"base": []},
    "suites": {"main": {"benchmarks": ["charts"]}},
}
# 4.9 for 5 is within the five percent of ChartQA's rule and wrong to the judge; "5 or 6" has the gold and is a hedge.
RESPONSES = {
    "a": "<think>about five</think><answer>4.9</answer>",
    "b": "<think>six</think><answer>6</answer>",
    "c": "<think>it depends</think><answer>5 or | <b>6</b></answer>",
}
GOLDS = {"a": "5", "b": "6", "c": "5"}


def rows(**changes: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": name,
            "image": None,
            "question": f"How many in {name}?",
            "options": [],
            "gold": gold,
            "kind": "numeric",
            "rationales": [],
            "source": "charts",
            "family": "",
            "difficulty": 0,
            "metadata": json.dumps({"type": "human_test"}),
            **changes,
        }
        for name, gold in GOLDS.items()
    ]


def study_with(rule: str | None, **more: Any) -> Graph:
    source = {"kind": "parquet", "path": "charts.parquet", "licence": "CC0"}
    benchmark = {"modality": "text", "sources": [source], "rule": rule, **more}
    return graph.parse({**STUDY, "benchmarks": {"charts": benchmark}}, "study.yaml")


def build(study: Graph) -> None:
    from reassess.data.pool import build_examples

    build_examples(study, study["benchmark", "charts"])
    root = Path(paths.evaluation(KEY))
    root.mkdir(parents=True, exist_ok=True)
    answered = [
        {
            "benchmark": "charts",
            "id": name,
            "sample": 0,
            "step": None,
            "response": text,
            "finish_reason": "stop",
            "n_tokens": 9,
            "seed": None,
            "prompt_tokens": 20,
        }
        for name, text in RESPONSES.items()
    ]
    pq.write_table(pa.Table.from_pylist(answered), root / "responses.parquet")
    records.write(root / "responses.json", {"cell": CELL, "benchmarks": {"charts": {"n": 3}}})


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.Table.from_pylist(rows(), schema=SCHEMA), "charts.parquet")


def test_official_verdicts_stand_beside_the_judges_and_decide_nothing() -> None:
    study = study_with("chartqa")
    build(study)
    score(study, study["score", KEY])
    root = Path(paths.evaluation(KEY))
    found = {row["id"]: row for row in pq.read_table(root / "scores.parquet").to_pylist()}
    assert {name: row["correct"] for name, row in found.items()} == {"a": False, "b": True, "c": False}
    assert {name: row["official"] for name, row in found.items()} == {"a": True, "b": True, "c": False}
    record = json.loads((root / "scores.json").read_text())
    assert record["scores"]["charts"]["accuracy"] == pytest.approx(1 / 3)
    official = record["official"]["charts"]
    assert official["accuracy"] == pytest.approx(2 / 3)
    assert (official["rule"], official["disagree"], official["undecided"]) == ("chartqa", 1, 0)


def test_without_a_rule_there_is_no_official_verdict() -> None:
    study = study_with(None)
    build(study)
    score(study, study["score", KEY])
    root = Path(paths.evaluation(KEY))
    assert pq.read_table(root / "scores.parquet")["official"].to_pylist() == [None] * 3
    assert json.loads((root / "scores.json").read_text())["official"] == {}


def test_the_audit_counts_differences_and_prints_cases_to_read() -> None:
    study = study_with("chartqa")
    build(study)
    score(study, study["score", KEY])
    text = audit(study)
    (row,) = (line for line in text.splitlines() if line.startswith("| charts"))
    entries = [entry.strip() for entry in row.strip("|").split("|")]
    assert entries[:5] == ["charts", "numeric", "charts", "3", "1 (33.3%)"]
    assert entries[7:] == ["1 (33.3%)", "2 (66.7%)", "0 (0.0%)", "1 (33.3%)", "0 (0.0%)"]
    assert "2 of 2 doubtful verdicts" in text
    # Nothing that a model wrote is read as Markdown or HTML.
    assert '`"<think>it depends</think><answer>5 or | <b>6</b></answer>"`' in text
    assert audit(study) == text
    assert "1 of 2 doubtful" in audit(study, sample=1)


def test_an_audit_of_nothing_says_so() -> None:
    with pytest.raises(StudyError, match="nothing of study audited is scored yet"):
        audit(study_with("chartqa"))
    with pytest.raises(StudyError, match="no cell 'toy-xs/bas'"):
        audit(study_with("chartqa"), cell="toy-xs/bas")


def test_a_rule_whose_columns_are_missing_stops_the_benchmark() -> None:
    pq.write_table(pa.Table.from_pylist(rows(metadata=None), schema=SCHEMA), "charts.parquet")
    with pytest.raises(DataError, match=r"metadata has no '.*', which rule 'mathvista' reads"):
        build(study_with("mathvista"))
    pq.write_table(pa.Table.from_pylist(rows(metadata="[1]"), schema=SCHEMA), "charts.parquet")
    with pytest.raises(DataError, match="metadata is no JSON object"):
        build(study_with("mathvista"))


def test_a_judge_model_decides_what_the_rule_leaves_open(capsys: pytest.CaptureFixture[str]) -> None:
    metadata = json.dumps({"question_type": "free_form", "answer_type": "integer", "precision": None})
    long = "<think>x</think>There are quite a few of them, namely one more than five."
    RESPONSES["b"], before = long, RESPONSES["b"]
    pq.write_table(pa.Table.from_pylist(rows(metadata=metadata), schema=SCHEMA), "charts.parquet")
    Path("study.yaml").write_text(
        json.dumps(json.loads(study_with("mathvista").study.model_dump_json(exclude_unset=True)))
    )
    try:
        study = study_with("mathvista")
        build(study)
        score(study, study["score", KEY])
        assert main(["audit", "study.yaml", "--requests", "requests.jsonl"]) == 0
        requests = [json.loads(line) for line in Path("requests.jsonl").read_text().splitlines()]
        asked = {request["key"].split(":")[0]: request for request in requests}
        assert asked["b"]["reply"] == "There are quite a few of them, namely one more than five."
        Path("answers.jsonl").write_text(json.dumps({"key": asked["b"]["key"], "answer": "6"}) + "\n")
        judged = study_with("mathvista", judge_model={"name": "some-model-2026", "answers": "answers.jsonl"})
        score(judged, judged["score", KEY])
        root = Path(paths.evaluation(KEY))
        official = dict(zip("abc", pq.read_table(root / "scores.parquet")["official"].to_pylist(), strict=True))
        assert official["b"] is True
        assert json.loads((root / "scores.json").read_text())["official"]["charts"]["judge_model"]["name"] == (
            "some-model-2026"
        )
    finally:
        RESPONSES["b"] = before
