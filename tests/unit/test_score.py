"""Scoring: a small evaluation whose sums are worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reassess import paths
from reassess.data import parquet as write_module
from reassess.data.parquet import read_parquet, write_parquet
from reassess.data.shards import read_columns, write_shards
from reassess.evaluate import score as score_module
from reassess.evaluate.official import Official
from reassess.evaluate.score import COLUMNS, ScoreError, judged, score, summaries
from reassess.example import Example
from reassess.graph import Graph
from reassess.judge import JUDGE_VERSION, batch
from reassess.work import records

RIGHT = "<think>1 + 2 = 3</think><answer>{}</answer>"
CELL = "toy-xs/base"
KEY = f"{CELL}/main"


def example(name: str, gold: str, kind: str = "numeric", options: tuple[str, ...] = ()) -> Example:
    return Example(name, (), "What?", options, gold, kind, (), "toy", "sum", 2)


def response(name: str, text: str, sample: int = 0, reason: str = "stop", step: int | None = None) -> dict[str, Any]:
    return {
        "benchmark": "tiny",
        "id": name,
        "sample": sample,
        "step": step,
        "response": text,
        "finish_reason": reason,
        "n_tokens": 0 if reason == "error" else 10 + sample,
        "seed": None,
        "prompt_tokens": 20,
    }


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Graph) -> Any:
    """Return a function that scores the given responses and returns scores.json and the rows of scores.parquet."""
    monkeypatch.chdir(tmp_path)
    examples = [example("a", "3"), example("b", "5"), example("c", "B", "mcq", ("red", "blue")), example("d", "7")]
    write_shards(Path(paths.benchmark("tiny")) / "shards", examples)

    def run(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        root = Path(paths.evaluation(KEY))
        root.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), root / "responses.parquet")
        records.write(
            root / "responses.json",
            {
                "cell": CELL,
                "benchmarks": {"tiny": {"n": 4}},
                "generated": len(rows),
                "seconds": 1.5,
                "cpu_seconds": 1.0,
            },
        )
        score(tiny, tiny["score", KEY])
        record = json.loads((root / "scores.json").read_text())
        return record, pq.read_table(root / "scores.parquet").to_pylist()

    return run


def test_responses_that_are_not_there_are_named_with_what_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Graph
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScoreError, match=rf"responses\.json: not there; make it first: reassess generate {KEY}$"):
        score(tiny, tiny["score", KEY])


def test_sums_by_hand(evaluate: Any, tiny: Graph) -> None:
    record, rows = evaluate(
        [
            response("a", RIGHT.format(3)),
            response("b", RIGHT.format(4)),
            response("c", "<think>no end", reason="length"),
            response("d", "", reason="error"),
        ]
    )
    assert record["scores"]["tiny"] == {
        "n": 4,
        "accuracy": pytest.approx(1 / 3),  # a right, b wrong, c unparsed; d failed and does not count
        "format": pytest.approx(2 / 3),
        "unscored": 0,
        "failed": 1,
        "unparsed": 1,
        "truncated": 1,
        "mean_tokens": 10.0,
    }
    assert [row["correct"] for row in rows] == [True, False, False, None]
    assert [row["answer"] for row in rows] == ["3", "4", None, None]
    assert [row["format_ok"] for row in rows] == [True, True, False, None]
    assert [row["truncated"] for row in rows] == [False, False, True, False]
    assert rows[2]["kind"] == "mcq"
    assert rows[2]["gold"] == "B"
    assert record["generated"] == 4
    assert not {"seconds", "cpu_seconds"} & set(record)
    assert record["judge_version"] == JUDGE_VERSION
    assert record["spec"] == json.loads(tiny["score", KEY].spec)


def test_accuracy_of_samples_is_the_mean_over_them(evaluate: Any) -> None:
    texts = {"a": (3, 3, 3, 4), "b": (5, 4, 4, 4)}
    rows = [response(name, RIGHT.format(x), i) for name, answers in texts.items() for i, x in enumerate(answers)]
    # One of b's samples failed: its three others weigh as much as a's four.
    rows[-1] |= {"finish_reason": "error", "response": "", "n_tokens": 0}
    record, _ = evaluate(rows)
    assert record["scores"]["tiny"]["accuracy"] == pytest.approx((3 / 4 + 1 / 3) / 2)


def test_steps_of_a_trajectory_are_summed_apart(evaluate: Any) -> None:
    record, rows = evaluate([response("a", RIGHT.format(x), step=step) for step, x in ((2, 4), (4, 3))])
    assert {name: found["accuracy"] for name, found in record["scores"].items()} == {"tiny@2": 0.0, "tiny@4": 1.0}
    assert [row["step"] for row in rows] == [2, 4]


def test_nothing_scored_is_not_zero(evaluate: Any) -> None:
    record, _ = evaluate([response("a", "", reason="error")])
    found = record["scores"]["tiny"]
    assert (found["accuracy"], found["format"], found["mean_tokens"], found["failed"]) == (None, None, None, 1)


def test_unscored_is_not_wrong() -> None:
    common = {
        "benchmark": "t",
        "id": "a",
        "sample": 0,
        "step": None,
        "format_ok": True,
        "truncated": False,
        "n_tokens": 1,
    }
    rows = [
        {**common, "correct": None, "answer": "x", "reason": "comparison timed out"},
        {**common, "id": "b", "correct": True, "answer": "y", "reason": "equal"},
    ]
    found = summaries(rows)["t"]
    assert (found["accuracy"], found["unscored"], found["unparsed"]) == (1.0, 1, 0)


def test_equal_responses_are_judged_once(evaluate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    judge = batch.judge
    monkeypatch.setattr(batch, "judge", lambda *question: (asked.append(question), judge(*question))[1])
    evaluate([response("a", RIGHT.format(3), i) for i in range(5)] + [response("b", RIGHT.format(3))])
    assert len(asked) == 2


def test_response_to_an_unknown_example_is_refused(evaluate: Any) -> None:
    with pytest.raises(ScoreError, match="'zzz': answered, but not in results/benchmarks/tiny"):
        evaluate([response("zzz", "x")])
    left = sorted(file.name for file in Path(paths.evaluation(KEY)).iterdir())
    assert left == ["responses.json", "responses.parquet"]


def test_scores_do_not_depend_on_how_many_are_judged_together(evaluate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [response("abcd"[i % 4], RIGHT.format(i % 5), i // 4, "error" if i == 6 else "stop") for i in range(40)]
    found = []
    for together in (1024, 3):
        monkeypatch.setattr(score_module, "BATCH", together)
        monkeypatch.setattr(write_module, "ROWS", together)
        record, scored = evaluate(rows)
        found.append((record["scores"], record["files"], scored))
    assert found[0] == found[1]


def test_responses_are_judged_as_they_are_read(evaluate: Any, tiny: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate([response("a", RIGHT.format(3))])
    monkeypatch.setattr(score_module, "BATCH", 2)
    taken = []
    asked = (taken.append(i) or response("a", RIGHT.format(i), i) for i in range(7))
    examples = {"tiny": read_columns(paths.benchmark("tiny"), COLUMNS)}
    rows = judged(asked, 7, examples, Official(tiny.study, examples), None, 1)
    assert [(next(rows)["sample"], len(taken)) for _ in range(7)] == [(i, min(i // 2 * 2 + 2, 7)) for i in range(7)]


def test_row_groups_end_where_texts_are_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_module, "ROWS", 4)
    monkeypatch.setattr(write_module, "GROUP_BYTES", 4 * 1000)
    monkeypatch.setattr(write_module, "GROUP_ROWS", 10)
    schema = pa.schema([("text", pa.string())])
    rows = [{"text": chr(ord("a") + i % 26) * (1000 if i < 8 else 1)} for i in range(30)]
    write_parquet(tmp_path / "rows", rows, schema)
    groups = pq.read_metadata(tmp_path / "rows")
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [4, 4, 10, 10, 2]
    assert list(read_parquet(tmp_path / "rows", ["text"])) == rows


def test_scoring_imports_no_engine() -> None:
    rooms = "reassess.evaluate.score, reassess.evaluate.imported, reassess.evaluate.export"
    code = f"import sys, {rooms}; print(sorted({{'torch', 'vllm', 'transformers'}} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
