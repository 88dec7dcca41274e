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
from reassess.stages.sft import SftStage
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
    "rloo": (
        {
            "batch_size": 8,
            "rewards": {"format": 1},
            "args": {"num_generations": 4, "beta": 0.05, "reward_clip_range": [0, 1], "save_steps": 2},
        },
        {
            "batch_size": 8,
            "rewards": {"format": {"version": 1, "weight": 1.0}},
            "judge": JUDGE_VERSION,
            "args": {"num_generations": 4, "reward_clip_range": [0, 1]},
        },
        {"rollouts": {"engine": "vllm"}},
        "stages.stage: rollouts: TRL's RLOOTrainer takes completions from the trained model alone",
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


SFT_WITH = [
    ({"lora": {}}, {"lora": {}}),
    # PEFT's defaults, and the order of names, say nothing.
    (
        {"lora": {"r": 8, "lora_alpha": "16", "target_modules": ["v_proj", "q_proj"]}},
        {"lora": {"lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}},
    ),
    ({"lora": {"target_modules": "all-linear"}, "freeze": ["vision_tower"]},) * 2,
    ({"freeze": ["vision_tower", "projector"]}, {"freeze": ["projector", "vision_tower"]}),
    ({"lora": None, "freeze": []}, {}),
]


@pytest.mark.parametrize(("options", "identity"), SFT_WITH)
def test_the_identity_of_what_is_trained(options: dict[str, Any], identity: dict[str, Any], tiny: Graph) -> None:
    spec = json.loads(with_stage(tiny, "sft", {"batch_size": 8, **options}).of("train")[-1].spec)
    assert {name: value for name, value in spec.items() if name in ("lora", "freeze")} == identity


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lora": {"alpha": 16}}, "lora.alpha: peft"),
        ({"lora": {"alpha": 16}}, "LoraConfig has no such option; did you mean lora_alpha?"),
        ({"lora": {"r": 0}}, "lora.r: 0 is not at least 1"),
        ({"lora": {"r": "eight"}}, "lora.r: 'eight' is not valid"),
        ({"lora": {"lora_dropout": 1}}, "lora.lora_dropout: 1.0 is not between 0 and 1"),
        ({"lora": {"task_type": "CAUSAL_LM"}}, "lora.task_type cannot be set in a study: the study sets it"),
        ({"lora": {"bias": "all"}}, "lora.bias cannot be set in a study: biases would be trained in place"),
        ({"lora": {"init_lora_weights": "pissa"}}, "training would not start from the parent's weights"),
        ({"lora": {"init_lora_weights": False}}, "lora.init_lora_weights: with False training would not start"),
        ({"lora": {"rank_pattern": {"q_proj": "x"}}}, "lora.rank_pattern.q_proj: 'x' is not a whole number"),
        ({"lora": {"target_modules": []}}, "lora.target_modules: names nothing; leave it out"),
        ({"lora": {"target_modules": 3}}, "lora.target_modules: 3 is not valid"),
        ({"args": {"use_peft": True}}, "args.use_peft: low-rank adapters are the stage's own option `lora`"),
        ({"args": {"lora_r": 8}}, "args.lora_r: low-rank adapters are the stage's own option `lora`"),
        ({"freeze": ["vision_tower", "vision_tower"]}, "freeze: 'vision_tower' stands twice"),
        ({"freeze": ["vision_tower", "projector", "language_model"]}, "freeze: nothing is left to train"),
        ({"freeze": ["visual"]}, "stages.stage.freeze.0: 'visual': input should be 'vision_tower'"),
        ({"lora": {}, "freeze": ["language_model"]}, "freeze: without `lora.target_modules` adapters are in the"),
    ],
)
def test_what_cannot_be_trained(options: dict[str, Any], message: str, tiny: Graph) -> None:
    with pytest.raises(StudyError) as error:
        with_stage(tiny, "sft", {"batch_size": 8, **options})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_frozen_can_be_varied(tiny: Graph) -> None:
    varied = {"batch_size": 8, "vary": {"freeze": [["vision_tower"], ["projector"]]}}
    keys = {job.key for job in with_stage(tiny, "sft", varied).of("train")}
    assert {key.rpartition("/")[2] for key in keys} >= {"stage.freezevision_tower@16", "stage.freezeprojector@16"}


def test_text_has_nothing_to_train_in_a_frozen_language_model() -> None:
    free, frozen = (SftStage(kind="sft", batch_size=8, freeze=parts) for parts in (["projector"], ["language_model"]))
    assert free.misfit_of_mixed("ddp", 0) is None
    assert "`freeze`" in str(frozen.misfit_of_mixed("ddp", 0))
