"""`reassess check` opens the data: it shows what is in it and refuses what a job would refuse hours later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reassess import cli, graph
from reassess.console import rows
from reassess.graph import Graph
from reassess.study.read import read_yaml


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, lines: list[dict[str, Any]]) -> dict[str, str]:
    fields = {"gold": "3", "kind": "numeric", "source": "mine", "question": "1 + 2?", "rationales": ["I add."]}
    texts = [json.dumps({**fields, "id": f"r{i}", **line}) for i, line in enumerate(lines)]
    Path(name).write_text("\n".join(texts))
    return {"kind": "jsonl", "path": name, "licence": "CC0"}


def parsed(root: Path, pool: list[dict[str, Any]], **options: Any) -> Graph:
    data = read_yaml(root / "studies/tiny.yaml")
    data["pools"] = {"mine": {"sources": [write("pool.jsonl", pool)], "modality": "text", **options}}
    return graph.parse(data, "test")


def test_what_a_model_would_be_asked_is_shown_with_the_judges_word(root: Path) -> None:
    choice = {"options": ["x", "y"], "gold": "1", "kind": "mcq", "question": "Which?\n\x1b[2J"}
    found = rows.overview(parsed(root, [choice, *[{} for _ in range(40)]]))
    assert found.problems == []
    text = "\n".join(line.strip() for line in found.lines)
    assert "41 usable: 40 numeric, 1 mcq; images: 41 with 0; 41 with a rationale" in text
    assert "noted: 1 x gold rewritten" in text
    assert "(A) x\n(B) y\nThink, then answer.\ntarget:  <think>I add.</think><answer>B</answer>\n" in text
    assert "gold 'B' (mcq): the judge calls the target right (same option)" in text
    assert "\x1b" not in text, "what stands in data moves no cursor"


def test_what_is_put_aside_has_column_reason_and_the_first_row(root: Path) -> None:
    odd = [{"gold": ""}, {"gold": " "}, {"id": "r9"}, {"kind": "essay"}, {"gold": 3}]
    found = rows.overview(parsed(root, [*odd, *[{} for _ in range(40)]], max_put_aside=0.2))
    text = "\n".join(found.lines)
    assert "put aside: 2 x gold is empty (gold, the first is 'r0')" in text
    assert "put aside: 1 x id stands twice (id, the first is 'r9')" in text
    assert "put aside: 1 x kind is not one of math, numeric, mcq, text (kind, the first is 'r3')" in text
    assert found.problems == []
    found = rows.overview(parsed(root, [*odd, *[{} for _ in range(40)]]))
    assert found.problems == [
        "pools.mine: 5 of 45 rows cannot be used, more than max_put_aside 0.01; mend the source, or raise it"
    ]


def test_what_jobs_would_refuse_is_refused(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows.overview(parsed(root, [{"rationales": []}, *[{} for _ in range(40)]]))
    assert found.problems == [
        "pools.mine: 1 of 41 examples have no rationale, which stage 'sft' imitates; give every example one, or leave "
        "SFT out of the recipes"
    ]
    data = parsed(root, [{"rationales": []} for _ in range(40)]).study.model_dump(mode="json")
    data |= {"recipes": {"base": []}, "exclude": [], "measures": {"loss": {"kind": "nll", "on": "mine"}}}
    data["suites"].pop("held-out")
    assert rows.overview(graph.parse(data, "test")).problems == [
        "pools.mine: not one of 40 examples has a rationale, which measures.loss reads"
    ]
    study = parsed(root, [{} for _ in range(20)])
    for every in (False, True):
        assert rows.overview(study, every).problems == ["pools.mine: 20 examples can be used, fewer than sizes: 32"]
    found = rows.overview(parsed(root, [{"question": ""} for _ in range(40)], max_put_aside=1.0))
    assert found.problems[0] == "pools.mine: not one of 40 rows can be used; question is empty"
    (tmp_path / "study.yaml").write_text(json.dumps(study.study.model_dump(mode="json")))
    assert cli.main(["check", "--data", "study.yaml"]) == 1
    printed = capsys.readouterr()
    assert "fewer than sizes: 32" in printed.err
    assert "Traceback" not in printed.err


def test_only_the_first_rows_are_read_unless_all_are_asked_for(root: Path) -> None:
    pool = [*[{} for _ in range(rows.SAMPLE)], {"gold": ""}]
    assert "put aside" not in "\n".join(rows.overview(parsed(root, pool)).lines)
    assert "1 x gold is empty" in "\n".join(rows.overview(parsed(root, pool), every=True).lines)


def test_a_source_that_cannot_be_read_is_one_problem_of_several(root: Path) -> None:
    study = parsed(root, [{} for _ in range(20)])
    Path("pool.jsonl").write_text('{"asked": "1 + 2?", "answer": 3}\n')
    found = rows.overview(study, every=True)
    assert [problem.partition(":")[0] for problem in found.problems] == ["pools.mine"]
    assert any("benchmarks." in line for line in found.lines)


def test_the_shape_of_a_file_is_said(root: Path) -> None:
    study = parsed(root, [{} for _ in range(40)])
    assert "      example records" in rows.overview(study).lines
    turns = [{"from": "human", "value": "1 + 2?"}, {"from": "gpt", "value": "<think>I add.</think><answer>3</answer>"}]
    Path("pool.jsonl").write_text((json.dumps({"conversations": turns}) + "\n") * 40)
    found = rows.overview(study)
    assert "      ShareGPT: question and answer from `conversations`" in found.lines
    assert found.problems == []
    Path("pool.jsonl").write_text('{"conversation": [], "asked": "1 + 2?"}\n{"asked": "1 + 2?"}\n')
    assert "ShareGPT: question and answer from `conversation`" in "\n".join(rows.overview(study).lines)
    Path("pool.jsonl").write_text('{"asked": "1 + 2?", "answer": 3}\n')
    (problem,) = rows.overview(study).problems
    assert problem.startswith(
        "pools.mine: pool.jsonl:1: no column is known to hold the question; the columns are asked"
    )
