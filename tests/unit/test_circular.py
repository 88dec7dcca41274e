"""Circular evaluation: every rotation of the options is asked, and all have to be right."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from reassess import graph, paths
from reassess.analyse.circular import by_question
from reassess.analyse.statistics import floor_hits
from reassess.data.asked import Questions
from reassess.data.circular import question_id, rotations
from reassess.data.pool import build_examples
from reassess.data.shards import Shards, stream, write_shards
from reassess.decoding import Decoding
from reassess.engines.base import EngineInfo
from reassess.evaluate import generate
from reassess.evaluate.score import FAILED, summaries
from reassess.example import DataError, Example
from reassess.models.reader import Reader
from reassess.prompts import Prompt
from reassess.study.data import Benchmark
from reassess.study.models import Model
from reassess.study.read import read_yaml
from reassess.study.study import Study

CHOICE = Example("q", (), "Which?", ("x", "y", "z"), "B", "mcq", ("because",), "mine", "", 0)


def test_the_right_option_stays_right_in_every_rotation() -> None:
    found = list(rotations(CHOICE))
    assert [(item.options, item.gold) for item in found] == [
        (("x", "y", "z"), "B"),
        (("y", "z", "x"), "A"),
        (("z", "x", "y"), "C"),
    ]
    assert {question_id(item.id) for item in found} == {"q"}
    assert len({item.id for item in found}) == 3


def test_images_go_with_the_options_that_show_them() -> None:
    item = replace(CHOICE, question="<image>Which?", options=("<image>", "y", "<image> or <image>"))
    found = list(rotations(replace(item, images=(b"q", b"x", b"z1", b"z2"))))
    assert [item.images for item in found] == [
        (b"q", b"x", b"z1", b"z2"),
        (b"q", b"z1", b"z2", b"x"),
        (b"q", b"z1", b"z2", b"x"),
    ]
    assert found[2].options == ("<image> or <image>", "<image>", "y")


@pytest.mark.parametrize(
    "item",
    [
        replace(CHOICE, kind="numeric", gold="3", options=()),
        replace(CHOICE, gold="A, B"),
        replace(CHOICE, options=("x", "y", "None of the above")),
        replace(CHOICE, options=("x", "y", "A and B")),
        replace(CHOICE, options=("x", "y", "(A), (B)")),
        replace(CHOICE, options=("A", "B", "C")),
    ],
)
def test_what_cannot_be_rotated_is_asked_as_it_is(item: Example) -> None:
    assert list(rotations(item)) == [item]


def test_a_benchmark_is_built_with_all_rotations(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": "a", "question": "?", "options": ["x", "y"], "gold": "1", "kind": "mcq", "source": "mine"},
        {"id": "b", "question": "?", "gold": "1", "kind": "numeric", "source": "mine"},
        # Of an id that stands twice no rotation is asked, not even one that the first row has not.
        {"id": "a", "question": "?", "options": ["x", "y", "z"], "gold": "1", "kind": "mcq", "source": "mine"},
    ]
    Path("mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = read_yaml(root / "studies/tiny.yaml")
    source = {"kind": "jsonl", "path": "mine.jsonl", "licence": "CC0"}
    name = next(iter(data["benchmarks"]))
    data["benchmarks"][name] = {"sources": [source], "modality": "text", "circular": True}
    study = graph.parse(data, "test")
    assert json.loads(study["benchmark", name].spec)["circular"] is True
    with pytest.raises(DataError, match="1 of 3 rows cannot be used"):
        build_examples(study, study["benchmark", name])
    data["benchmarks"][name]["max_put_aside"] = 0.5
    study = graph.parse(data, "test")
    build_examples(study, study["benchmark", name])
    found = stream(paths.benchmark(name))
    assert [(item.id, item.options, item.gold) for item in found] == [
        ("a~rotated0", ("x", "y"), "B"),
        ("a~rotated1", ("y", "x"), "A"),
        ("b", (), "1"),
    ]


def test_a_question_is_asked_in_all_rotations_or_in_none(
    family: Callable[[str], Path], tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    broken = list(rotations(replace(CHOICE, id="broken")))
    broken[1] = replace(broken[1], images=(b"no picture",))
    write_shards(paths.benchmark("c", "shards"), [*broken, *rotations(CHOICE)])
    spec = next(iter(tiny_study.benchmarks.values())).model_copy(update={"circular": True})
    study = tiny_study.model_copy(update={"benchmarks": {"c": spec}})
    info = EngineInfo("transformers", "5", "float32", "cpu")
    asking = generate._Asking(study, info, Decoding(), [generate.Checkpoint(None, "model", "print")])
    reader = Reader.of(family("idefics3"), Model(path=".", max_prompt_length=2048), Prompt())
    asked = generate._read(asking, reader, {"c": Questions(Shards(paths.benchmark("c")))}, think=False)
    assert [item.id for item in asked.put_aside] == [f"broken~rotated{i}" for i in range(3)]
    assert [row.request.origin.place for row in asked.rows] == [3, 4, 5]


def test_no_rule_is_applied_to_rotations() -> None:
    known = {"of": "mathvista", "revision": "0" * 40}
    assert Benchmark.model_validate(known).rule == "mathvista"
    assert Benchmark.model_validate({**known, "circular": True}).rule is None
    with pytest.raises(ValidationError, match="rule: it is written for questions that are asked once"):
        Benchmark.model_validate({**known, "circular": True, "rule": "mathvista"})


def response(id_: str, correct: bool | None, sample: int = 0, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"benchmark": "c", "id": id_, "sample": sample, "step": None, "correct": correct}
    fields |= {"answer": "A", "reason": "same option", "format_ok": True, "truncated": False, "n_tokens": 10}
    return {**fields, **changes}


ROWS = [
    response("a~rotated0", True),
    response("a~rotated1", True, n_tokens=20, truncated=True),
    response("b~rotated0", True),
    response("b~rotated1", False, format_ok=False),
    response("c~rotated0", True),
    response("c~rotated1", None),
    response("d~rotated0", None),
    response("d~rotated1", False),
    response("e", True),
]


def test_a_question_is_right_where_all_rotations_are() -> None:
    assert summaries(ROWS, {"c"})["c"]["accuracy"] == 2 / 4
    assert summaries(ROWS)["c"]["accuracy"] == 5 / 7, "as responses, one by one"


def test_a_rotation_whose_generation_failed_is_not_taken_for_right() -> None:
    rows = [*ROWS, response("f~rotated0", True), response("f~rotated1", None, reason=FAILED, answer=None)]
    assert summaries(rows, {"c"})["c"]["accuracy"] == 2 / 4
    assert summaries(rows, {"c"})["c"]["failed"] == 1


def test_tables_have_one_row_per_question() -> None:
    frame = pd.DataFrame(ROWS).assign(cell="m/base", suite="main", family="f", gold="B", difficulty=1)
    frame = frame.drop(columns=["answer", "reason"]).astype(
        dict.fromkeys(("cell", "suite", "benchmark", "id", "family", "gold"), "category")
        | {"correct": "boolean", "format_ok": "boolean", "truncated": "boolean", "n_tokens": "Int32", "step": "Int32"}
    )
    other = frame.assign(benchmark=pd.Categorical(["other"] * len(frame)))
    found = by_question(pd.concat([frame, other], ignore_index=True), {"c"})
    assert len(found[found["benchmark"] == "other"]) == len(ROWS)
    part = found[found["benchmark"] == "c"].set_index("id")
    assert part["correct"].dropna().to_dict() == {"a": True, "b": False, "d": False, "e": True}
    assert part.loc["a", ["n_tokens", "truncated", "format_ok"]].tolist() == [15, True, True]
    assert not part.loc["b", "format_ok"]
    questions = part.reset_index()
    hits = floor_hits(questions)
    assert questions["id"][hits == 1].tolist() == ["e"], "no letter is right in all rotations of the others"
    assert by_question(frame, ()) is frame
