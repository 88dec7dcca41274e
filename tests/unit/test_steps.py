"""Sets of examples that are made from pools and from other sets."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from reassess import graph, paths
from reassess.data.examples import build_set
from reassess.data.pool import build_examples
from reassess.data.shards import stream
from reassess.example import DataError, Example, PutAside
from reassess.graph import Graph
from reassess.steps import Step
from reassess.steps.where import Where
from reassess.study.read import StudyError, read_yaml
from reassess.work.records import RecordError

# One alone is no union.
KINDS = get_args(get_args(Step)[0]) if get_args(Step) else (Step,)
REFUSED = {"where": {"kind": "where", "on": "toy"}}


def example(i: int, family: str, difficulty: int) -> Example:
    return Example(f"e{i}", (), "?", (), "1", "numeric", (), "mine", family, difficulty)


def study_of(root: Path, examples: dict[str, Any], **on: str) -> Graph:
    """The tiny study with sets of examples, and the stages that train on one."""
    data = read_yaml(root / "studies/tiny.yaml")
    for stage, name in on.items():
        data["stages"][stage]["on"] = name
    return graph.parse({**data, "examples": examples}, "test")


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_step_has(kind: type[Any]) -> None:
    (name,) = get_args(kind.model_fields["kind"].annotation)
    assert inspect.getdoc(kind)
    assert kind.VERSION >= 1
    assert kind.ASKS in (True, False)
    with pytest.raises(ValidationError):
        kind.model_validate(REFUSED[name])


def test_naming_steps_loads_nothing_heavy() -> None:
    code = "import sys, reassess.steps; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"numpy", "pyarrow", "PIL", "torch"} & set(loaded)


def test_what_is_not_wanted_is_put_aside() -> None:
    rows = [example(0, "bars", 1), example(1, "bars", 2), example(2, "sum", 2), example(3, "locate", 3)]
    step = Where(kind="where", on="toy", difficulty=(2, 3), family=("bars", "sum"))
    assert list(step.make({"toy": iter(rows)})) == [
        PutAside("e0", "mine", "difficulty 1 is not wanted"),
        rows[1],
        rows[2],
        PutAside("e3", "mine", "family locate is not wanted"),
    ]
    assert step.INPUTS == ("toy",)


def test_identity_is_what_is_wanted_in_any_order() -> None:
    one = Where(kind="where", on="toy", difficulty=(3, 2, 2))
    assert one.identity() == {"difficulty": [2, 3]}
    assert Where(kind="where", on="toy", family=("sum", "bars")).identity() == {"family": ["bars", "sum"]}


def test_a_set_is_made_of_a_pool_and_a_set_of_a_set(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    examples = {
        "bars": {"kind": "where", "on": "hard", "family": ["bars"]},
        "hard": {"kind": "where", "on": "toy", "difficulty": [2]},
        "none": {"kind": "where", "on": "hard", "difficulty": [7]},
    }
    study = study_of(root, examples, sft="bars", grpo="none")
    with pytest.raises(RecordError, match=r"results/pools/toy/manifest\.json: is not there"):
        build_set(study, study["examples", "hard"])
    build_examples(study, study["pool", "toy"])
    for name in ("hard", "bars"):
        build_set(study, study["examples", name])
    pool, hard, bars = (
        list(stream(path)) for path in (paths.pool("toy"), paths.examples("hard"), paths.examples("bars"))
    )
    assert hard == [item for item in pool if item.difficulty == 2]
    assert bars == [item for item in hard if item.family == "bars"]
    record = json.loads(Path(paths.examples("bars", "manifest.json")).read_text())
    of_hard = json.loads(Path(paths.examples("hard", "manifest.json")).read_text())
    of_pool = json.loads(Path(paths.pool("toy", "manifest.json")).read_text())
    assert (record["name"], record["n"], record["spec"]["family"]) == ("bars", 8, ["bars"])
    assert record["read"] == {"hard": {"n": 32, "content_sha256": of_hard["content_sha256"]}}
    assert record["dropped"] == {f"family {name} is not wanted": 8 for name in ("locate", "sum", "tallest")}
    assert record["counts"] == {
        "source": {"toy": 8},
        "family": {"bars": 8},
        "difficulty": {"2": 8},
        "kind": {"numeric": 8},
    }
    assert record["licences"] == of_pool["licences"]
    assert len({record["content_sha256"], of_hard["content_sha256"], of_pool["content_sha256"]}) == 3
    dropped = Path(paths.examples("hard", "dropped.jsonl")).read_text().splitlines()
    assert json.loads(dropped[0]) == {
        "id": "toy-train-0-000000",
        "source": "toy",
        "reason": "difficulty 1 is not wanted",
        "column": "",
    }
    with pytest.raises(DataError, match=r"no example of hard is kept \(32 x difficulty 2 is not wanted\)"):
        build_set(study, study["examples", "none"])
    assert not Path(paths.examples("none", "manifest.json")).exists()


@pytest.mark.parametrize(
    ("examples", "said"),
    [
        (
            {"hard": {"kind": "where", "on": "tyo", "difficulty": [2]}},
            ["examples.hard: no pool or set is called 'tyo'; did you mean toy? known: toy, hard"],
        ),
        ({"toy": {"kind": "where", "on": "toy", "difficulty": [2]}}, ["examples.toy: the name of a pool"]),
        (
            {"a": {"kind": "where", "on": "b", "family": ["x"]}, "b": {"kind": "where", "on": "a", "family": ["x"]}},
            ["made from itself: ", "b -> a"],
        ),
        ({"a": {"kind": "where", "on": "a", "family": ["x"]}}, ["examples.a: made from itself: a -> a"]),
        ({"a": {"kind": "where", "on": "toy"}}, ["examples.a: give `difficulty`, `family` or both"]),
        ({"a": {"kind": "where", "on": "toy", "family": []}}, ["examples.a.family", "at least 1 item"]),
        (
            {"a": {"kind": "where", "on": "toy", "families": ["x"]}},
            ["examples.a.families: unknown key; did you mean"],
        ),
        ({"a": {"kind": "were", "on": "toy", "family": ["x"]}}, ["examples.a.kind", "'were'", "'where'"]),
    ],
)
def test_a_mistake_in_a_set_is_one_error(root: Path, examples: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(StudyError) as error:
        study_of(root, examples)
    assert len(str(error.value).splitlines()) == 1
    for part in said:
        assert part in str(error.value)
