"""A known benchmark's own rows, from the file to the verdict of its rule, and what a study may say of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from reassess import graph, paths
from reassess.benchmarks import KNOWN, chartqa, has_rows, module, rules
from reassess.data.pool import build_examples
from reassess.data.shards import read_columns, stream
from reassess.evaluate import official
from reassess.example import DataError
from reassess.graph import Graph
from reassess.judge import judge
from reassess.study.read import StudyError, dump, read_yaml

STUDY: dict[str, Any] = {
    "name": "charts",
    "models": {"toy-xs": {"toy": {"size": "xs"}}},
    "pools": {"toy": {"sources": [{"kind": "toy", "n": 40}]}},
    "sizes": [10],
    "seeds": [1],
    "stages": {},
    "recipes": {"base": []},
}
# The columns as `datasets` writes the published data set.
PUBLISHED = pa.schema(
    [
        ("type", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ]
)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(buffer, format="PNG")
    return buffer.getvalue()


def row(answer: Any, **changes: Any) -> dict[str, Any]:
    fields = {"type": "human_test", "question": "How many?", "image": {"bytes": png(), "path": "chart.png"}}
    return {**fields, "answer": answer, **changes}


def write(rows: list[dict[str, Any]], file: str = "rows/test-00000-of-00001.parquet", answer: Any = None) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    schema = PUBLISHED.set(2, pa.field("answer", answer)) if answer else PUBLISHED
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)


def parsed(name: str = "chartqa", **benchmark: Any) -> Graph:
    suites = {"main": {"benchmarks": [name]}}
    return graph.parse({**STUDY, "benchmarks": {name: benchmark}, "suites": suites}, "study.yaml")


def built(found: Graph, name: str = "chartqa") -> dict[str, Any]:
    build_examples(found, found["benchmark", name])
    manifest: dict[str, Any] = json.loads(Path(paths.benchmark(name, "manifest.json")).read_text())
    return manifest


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_copy_of_the_published_rows_is_a_benchmark() -> None:
    write([row("14"), row("Yes", type="augmented_test")])
    write([row("52%")], "rows/test-00001-of-00002.parquet")
    found = parsed(path="rows")
    assert found["benchmark", "chartqa"].inputs == (
        "rows/test-00000-of-00001.parquet",
        "rows/test-00001-of-00002.parquet",
    )
    manifest = built(found)
    assert (manifest["n"], manifest["modality"], manifest["put_aside"]) == (3, "visual", {})
    assert manifest["licences"] == {"chartqa": "GPL-3.0"}
    assert manifest["counts"]["family"] == {"augmented_test": 1, "human_test": 2}
    examples = list(stream(paths.benchmark("chartqa")))
    assert [item.id for item in examples] == ["chartqa-00000", "chartqa-00001", "chartqa-00002"]
    assert [(item.gold, item.kind) for item in examples] == [("14", "numeric"), ("Yes", "text"), ("52%", "numeric")]
    assert examples[0].images == (png(),)
    columns = ["id", "gold", "options", "metadata"]
    rows = list(read_columns(paths.benchmark("chartqa"), columns).values())
    responses = ["<think>14.5</think><answer>14.5</answer>", "<answer>yes</answer>", "<answer>0.52</answer>"]
    verdicts = [rules.apply("chartqa", *pair, {}).correct for pair in zip(rows, responses, strict=True)]
    assert verdicts == [True, True, True]
    judged = [judge(said, item.gold, item.kind).correct for said, item in zip(responses, examples, strict=True)]
    assert judged == [False, True, True], "the judge has no tolerance of five per cent"
    scores: list[dict[str, Any]] = [
        {"benchmark": "chartqa", "id": item.id, "sample": 0, "step": None, "correct": correct}
        for item, correct in zip(examples, judged, strict=True)
    ]
    by_id = {"chartqa": {row["id"]: row for row in rows}}
    own = official.Official(found.study, by_id)
    for score, said in zip(scores, responses, strict=True):
        own.judge(score, said)
    summary = own.summaries()["chartqa"]
    assert (summary["rule"], summary["accuracy"], summary["disagree"]) == ("chartqa", 1.0, 1)
    assert set(summary["summary"]) == {"relaxed_overall", "relaxed_human_split", "relaxed_augmented_split"}


def test_rows_that_cannot_be_used_are_put_aside_with_a_reason() -> None:
    usable = [row(["3"]), row([None, "4"])]
    rows = [
        row(None),
        row([]),
        row(["5", "6"]),
        row(["7"], question=None),
        row(["8"], image=None),
        row(["9"], image={"bytes": None, "path": None}),
        row(["10"], image={"bytes": b"no picture", "path": None}),
    ]
    write([*usable, *rows], answer=pa.list_(pa.string()))
    manifest = built(parsed(path="rows", max_put_aside=1.0))
    assert [item.gold for item in stream(paths.benchmark("chartqa"))] == ["3", "4"]
    assert manifest["put_aside"] == {
        "gold is empty": 2,
        "more than one answer": 1,
        "question is empty": 1,
        "modality is not visual": 2,
        "image cannot be decoded": 1,
    }
    lines = Path(paths.benchmark("chartqa", "put_aside.jsonl")).read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"chartqa-{i:05d}" for i in range(2, 9)]
    with pytest.raises(DataError, match="7 of 9 rows cannot be used"):
        built(parsed(path="rows"))


def test_an_unknown_type_is_of_the_augmented_split() -> None:
    write([row("1", type=None)])
    built(parsed(path="rows"))
    (found,) = read_columns(paths.benchmark("chartqa"), ["id", "metadata"]).values()
    assert json.loads(found["metadata"])["type"] == ""


def test_a_file_without_the_columns_is_not_that_benchmark() -> None:
    file = Path("rows/test.parquet")
    file.parent.mkdir()
    pq.write_table(pa.table({"query": ["?"]}), file)
    with pytest.raises(DataError, match=r"rows/test\.parquet: row 0: no column 'type'; the columns are query"):
        built(parsed(path="rows"))
    file.write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"rows/test\.parquet: not a readable Parquet file"):
        built(parsed(path="rows/test.parquet"))
    file.unlink()
    with pytest.raises(DataError, match=r"rows: no data files"):
        built(parsed(path="rows"))


def test_an_odd_value_puts_its_row_aside() -> None:
    """Other rows are not touched by it; where all have it, none can be used."""
    write([row("1"), row("2", image={"bytes": None, "path": "x.png"})])
    manifest = built(parsed(path="rows", max_put_aside=1.0))
    assert (manifest["n"], manifest["put_aside"]) == (1, {"no such image file": 1})
    (line,) = Path(paths.benchmark("chartqa", "put_aside.jsonl")).read_text().splitlines()
    assert (json.loads(line)["id"], json.loads(line)["column"]) == ("chartqa-00001", "image")
    for table, expected in (
        (pa.Table.from_pylist([{**row("1"), "answer": 1}]), "1 x expected text, got int"),
        (
            pa.Table.from_pylist([{**row("1"), "image": "x.png"}]),
            r"1 x expected an image \(`bytes` and `path`\), got str",
        ),
    ):
        pq.write_table(table, "rows/test-00000-of-00001.parquet")
        with pytest.raises(DataError, match=expected):
            built(parsed(path="rows"))


def test_modality_and_rule_follow_unless_given() -> None:
    Path("rows").mkdir()
    spec = parsed(path="rows").study.benchmarks["chartqa"]
    assert (spec.of, spec.modality, spec.rule) == ("chartqa", "visual", "chartqa")
    spec = parsed("charts", of="chartqa", path="rows", licence="CC0", rule=None).study.benchmarks["charts"]
    assert (spec.modality, spec.rule) == ("visual", None)
    assert spec.own is not None
    assert spec.own.licence == "CC0"
    spec = parsed(sources=[{"kind": "toy", "n": 8, "split": "test"}]).study.benchmarks["chartqa"]
    assert (spec.modality, spec.rule, spec.own) == ("visual", "chartqa", None)
    spec = parsed(of=None, sources=[{"kind": "toy", "n": 8, "split": "test"}]).study.benchmarks["chartqa"]
    assert spec.rule is None, "one's own benchmark may be called like a known one"
    name = "logicvista_vlmevalkit"
    spec = parsed(name, sources=[{"kind": "toy", "n": 8, "split": "test"}]).study.benchmarks[name]
    assert spec.rule is None, "its rows are not known here"


def test_every_benchmark_whose_rows_are_known_is_named_in_one_line() -> None:
    names = [name for name in KNOWN if has_rows(name)]
    blank = [name for name in names if module(name).SOURCE.revision is None]
    benchmarks = {name: {"revision": "0" * 40} if name in blank else {} for name in names}
    found = graph.parse({**STUDY, "benchmarks": benchmarks, "suites": {"main": {"benchmarks": names}}}, "study.yaml")
    for name in names:
        spec = found.study.benchmarks[name]
        assert (spec.of, spec.rule, spec.modality) == (name, name, module(name).MODALITY)
        assert found["benchmark", name].inputs == ()
    for name in blank:
        with pytest.raises(StudyError, match="revision: required, because none is known of"):
            parsed(name)


def test_jobs_read_the_study_as_it_was_written() -> None:
    Path("rows").mkdir()
    found = parsed("charts", of="chartqa", path="rows", rule=None)
    dump(found.study, "study.json")
    again = graph.parse(read_yaml("study.json"), "study.json")
    assert again.study == found.study
    assert again["benchmark", "charts"].spec == found["benchmark", "charts"].spec


def test_golden_identity() -> None:
    Path("rows").mkdir()
    golden = '{"modality":"visual","own":{"of":"chartqa","path":"rows","version":1},"sources":[],"version":4}'
    assert parsed(path="rows")["benchmark", "chartqa"].spec == golden
    assert parsed(path="rows", licence="CC0")["benchmark", "chartqa"].spec == golden


def test_what_decides_which_rows_there_are_is_in_the_identity() -> None:
    Path("rows").mkdir()

    def spec(**options: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(parsed("other", **options)["benchmark", "other"].spec)
        return found

    assert spec(of="mathvista", path="rows") == spec(of="mathvista", path="rows", rule=None)
    assert spec(of="mathvista", path="rows", image_root="rows")["own"]["image_root"] == "rows"
    own = {"sources": [{"kind": "toy", "n": 8, "split": "test"}]}
    assert spec(**own) == spec(**own, rule="ai2d"), "which reads no metadata"
    needed = ["answer_type", "precision", "question_type"]
    assert spec(**own, rule="mathvista") == {**spec(**own), "metadata": needed}
    assert spec(of="chartqa", path="rows", rule="mathvista")["metadata"] == needed


MISTAKES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("charts", {}, ["benchmarks.charts: sources: required, but missing"]),
    ("charts", {"path": "."}, ["benchmarks.charts: path: of whose rows? say `of`, one of", "chartqa"]),
    ("charts", {"path": ".", "of": "chartqua"}, ["charts.of: unknown benchmark 'chartqua'; did you mean chartqa?"]),
    ("charts", {"path": ".", "of": "logicvista_vlmevalkit"}, ["of 'logicvista_vlmevalkit' the rule alone is known"]),
    ("charts", {"path": ".", "of": 5}, ["benchmarks.charts.of: 5: input should be a valid string"]),
    ("chartqa", {"path": "nowhere"}, ["benchmarks.chartqa.path: no such file or directory: 'nowhere'"]),
    (
        "chartqa",
        {"path": ".", "sources": [{"kind": "toy", "n": 8, "split": "test"}]},
        ["benchmarks.chartqa: path: that of a known benchmark's own rows; each of `sources` has its own"],
    ),
    (
        "charts",
        {"licence": "CC0", "sources": [{"kind": "toy", "n": 8, "split": "test"}]},
        ["licence: that of a known benchmark's own rows; each of `sources` has its own"],
    ),
    (
        "charts",
        {"rule": "math-vista", "sources": [{"kind": "toy", "n": 8, "split": "test"}]},
        ["benchmarks.charts.rule: unknown benchmark 'math-vista'; did you mean mathvista? known: ai2d,"],
    ),
]


@pytest.mark.parametrize(("name", "benchmark", "expected"), MISTAKES)
def test_mistakes_are_named(name: str, benchmark: dict[str, Any], expected: list[str]) -> None:
    with pytest.raises(StudyError) as caught:
        parsed(name, **benchmark)
    (line,) = str(caught.value).splitlines()
    for text in expected:
        assert text in line


def test_the_hub_is_where_rows_are_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    revision = "9e63b7df1592a1c2158e735cc1725454aef0d6d9"
    job = parsed()["benchmark", "chartqa"]
    assert job.inputs == ()
    assert json.loads(job.spec)["own"] == {"of": "chartqa", "revision": revision, "version": 1}
    monkeypatch.setattr(chartqa, "SOURCE", chartqa.SOURCE._replace(licence=None, revision=None))
    with pytest.raises(StudyError, match=r"revision: required, because none is known of lmms-lab/ChartQA \(split test"):
        parsed()
    own = parsed(revision=revision).study.benchmarks["chartqa"].own
    assert own is not None
    assert (own.location.revision, own.licence) == (revision, "not declared")
