"""Kinds of stages: what all of them have."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import Any

import pytest

from reassess import graph
from reassess.graph import Graph
from reassess.judge import JUDGE_VERSION
from reassess.stages import KINDS
from reassess.stages.base import AnyStage, Needs, Parents
from reassess.study.read import StudyError

# Options, the identity that they have, and an option that is refused with the message about it.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "sft": (
        {"batch_size": 8, "args": {"learning_rate": 1e-4, "save_steps": 2, "weight_decay": 0.0}},
        {"batch_size": 8, "args": {"learning_rate": 1e-4}},
        {"batch_size": 0},
        "stages.stage.batch_size: 0",
    ),
    "grpo": (
        {
            "batch_size": 8,
            "trajectory": 2,
            "rewards": {"accuracy": 1, "overlong": {"weight": 0.5, "buffer": 8}},
            "args": {"num_generations": 4, "max_completion_length": 24},
        },
        {
            "batch_size": 8,
            "trajectory": 2,
            "rewards": {
                "accuracy": {"version": 1, "weight": 1.0},
                "overlong": {"version": 1, "weight": 0.5, "buffer": 8},
            },
            "judge": JUDGE_VERSION,
            "args": {"num_generations": 4, "max_completion_length": 24},
        },
        {"args": {"num_generations": 3}},
        "stages.stage: args.num_generations: 3 must be at least 2 and divide batch_size 8",
    ),
    "merge": (
        {"method": "ties", "weights": [1, 0.5], "density": 0.2},
        {"method": "ties", "weights": [1.0, 0.5], "density": 0.2},
        {"density": None},
        "stages.stage: density: required with `ties`",
    ),
    "select": (
        {"take": "min", "suite": "held-out"},
        {"take": "min", "suite": "held-out"},
        {"suite": None},
        "stages.stage: suite: required with `take: min`",
    ),
}
# What a stage that starts from other stages needs before it.
SFT = {"kind": "sft", "batch_size": 8}
GRPO = {"kind": "grpo", "batch_size": 8, "rewards": {"accuracy": 1}, "trajectory": 2, "args": {"num_generations": 4}}
BEFORE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "merge": ({"sft": SFT}, {"sft": ["sft"], "recipe": {"start": ["base", "sft"], "steps": ["stage"]}}),
    "select": ({"grpo": GRPO}, {"recipe": ["grpo", "stage"]}),
}


def with_stage(tiny: Graph, kind: str, options: dict[str, Any]) -> Graph:
    raw = tiny.study.model_dump(mode="json")
    stages, recipes = BEFORE.get(kind, ({}, {"recipe": ["stage"]}))
    if "trajectory" not in options and "suite" not in options:
        # It asks kept checkpoints.
        del raw["suites"]["held-out"]
    else:
        raw["benchmarks"]["held-out"] = {**raw["benchmarks"]["toy-id"]}
        raw["suites"]["held-out"]["benchmarks"] = ["held-out"]
    raw.update(stages={**stages, "stage": {"kind": kind, **options}}, recipes=recipes, exclude=[])
    return graph.parse(raw, "study")


def test_every_kind_is_checked() -> None:
    assert set(CASES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_what_it_takes(kind: str) -> None:
    stage = KINDS[kind]
    assert stage.__doc__
    assert stage.__doc__ not in (AnyStage.__doc__, *(base.__doc__ for base in stage.__bases__))
    assert isinstance(stage.VERSION, int)
    assert isinstance(stage.NEEDS, Needs)
    assert isinstance(stage.PARENTS, Parents)
    assert stage.PARENTS.most is None or 1 <= stage.PARENTS.fewest <= stage.PARENTS.most
    module, _, function = stage.RUN.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("kind", KINDS)
def test_the_identity_of_a_kind(kind: str, tiny: Graph) -> None:
    options, identity, _, _ = CASES[kind]
    found = with_stage(tiny, kind, options)
    spec = json.loads(found.of("train")[-1].spec)
    expected = {"kind": kind, "version": KINDS[kind].VERSION, **identity}
    assert {name: value for name, value in spec.items() if name not in ("prompt", "model")} == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_that_is_refused(kind: str, tiny: Graph) -> None:
    options, _, refused, message = CASES[kind]
    with pytest.raises(StudyError) as error:
        with_stage(tiny, kind, {**options, **refused})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_imported_without_torch(kind: str) -> None:
    code = f"import sys; import {KINDS[kind].__module__}; print('torch' in sys.modules, 'trl' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False False"
