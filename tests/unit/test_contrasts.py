"""Which cells the contrasts of a study compare, and mistakes in them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from reassess import graph
from reassess.graph import Graph
from reassess.study.read import StudyError
from snake import ROOT


def study(a: dict[str, Any], b: dict[str, Any], **changes: Any) -> Graph:
    data = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    return graph.parse({**data, "contrasts": {"c": {"a": a, "b": b}}, **changes}, "s.yaml")


def compared(found: Graph) -> list[tuple[str, list[str], list[str]]]:
    return [(pair.model, [c.key for c in pair.a], [c.key for c in pair.b]) for pair in found.contrasts["c"]]


def test_a_pair_on_each_model_with_all_of_its_seeds() -> None:
    found = compared(study({"recipe": "sft", "size": 200}, {"recipe": "grpo", "size": 2000}))
    assert [model for model, _, _ in found] == ["toy-xs", "toy-s"]
    assert found[0][1:] == (
        ["toy-xs/toy/seed1/sft@200", "toy-xs/toy/seed2/sft@200"],
        ["toy-xs/toy/seed1/grpo@2000", "toy-xs/toy/seed2/grpo@2000"],
    )


def test_a_control_may_be_a_side_and_a_filter_takes_a_model_out() -> None:
    found = compared(
        study(
            {"recipe": "sft", "size": 200},
            {"recipe": "base-think"},
            exclude=[{"model": "toy-xs", "recipe": "sft", "size": 200}],
        )
    )
    assert found == [("toy-s", ["toy-s/toy/seed1/sft@200", "toy-s/toy/seed2/sft@200"], ["toy-s/base-think"])]


def test_two_models_are_compared_where_each_side_has_one() -> None:
    found = compared(
        study({"recipe": "sft", "size": 200, "model": "toy-xs"}, {"recipe": "grpo", "size": 200, "model": "toy-s"})
    )
    assert [model for model, _, _ in found] == ["toy-xs, toy-s"]


def test_recipes_of_which_each_model_has_one_are_one_side() -> None:
    left_out = [{"model": "toy-xs", "recipe": "sft"}, {"model": "toy-s", "recipe": "sft-grpo"}]
    found = compared(study({"recipe": ["sft", "sft-grpo"], "size": 200}, {"recipe": "base"}, exclude=left_out))
    assert [(model, a[0]) for model, a, _ in found] == [
        ("toy-xs", "toy-xs/toy/seed1/sft@200/grpo@200"),
        ("toy-s", "toy-s/toy/seed1/sft@200"),
    ]


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ({"recipe": "sft"}, {"recipe": "base"}, r"contrasts\.c\.a: of toy-xs, sft at 200 and sft at 2000 are meant"),
        ({"recipe": "stf"}, {"recipe": "base"}, r"contrasts\.c\.a\.recipe: 'stf' is not in the study; did you mean"),
        ({"recipe": "sft", "size": 300}, {"recipe": "base"}, r"contrasts\.c\.a\.size: 300 is not in the study"),
        ({"recipe": "base"}, {"recipe": "sft", "seed": 1}, r"contrasts\.c\.b\.seed: unknown key"),
        ({"recipe": "base"}, {"recipe": "base-think", "size": 200}, r"contrasts\.c: no model has both sides"),
    ],
)
def test_a_mistake_is_named(a: dict[str, Any], b: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        study(a, b)


def test_what_is_like_the_training_data_has_to_be_asked() -> None:
    with pytest.raises(StudyError, match=r"report\.in_distribution: no suite of finished models asks 'toy-held-out'"):
        study({"recipe": "base"}, {"recipe": "base-think"}, report={"in_distribution": ["toy-held-out"]})


def test_tables_depend_on_what_is_compared_and_nothing_else_does() -> None:
    one = study({"recipe": "base"}, {"recipe": "base-think"})
    other = study({"recipe": "base-think"}, {"recipe": "base"})
    without = graph.load(ROOT / "config.yaml")
    assert one["tables", "all"].spec != other["tables", "all"].spec != without["tables", "all"].spec
    assert {job.name for job in one.jobs.values() if job.spec != other.jobs[job.name].spec} == {
        "tables all",
        "figures all",
    }
