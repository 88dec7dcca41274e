"""Mistakes in recipes, variants, merges and choices: each one is one clear line."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from reassess import cli, graph
from reassess.study.read import StudyError
from snake import snake

ARGS = {"num_train_epochs": 1, "save_steps": 2}
SFT = {"kind": "sft", "batch_size": 8}
NAME_OR_SIZE = "expected a name, or a name and a number of examples, as in sft@2000"
NAME_OR_KEYS = "expected a name, or a mapping with the keys by, on, size"
TAKE = "expected max, min, first, last, or a step from 1 on, as {step: 40}"
PRINTABLE = "expected one line of printable characters"


@pytest.fixture
def data(root: Path) -> dict[str, Any]:
    """`studies/graph.yaml`, to be spoilt."""
    loaded: dict[str, Any] = yaml.safe_load((root / "studies/graph.yaml").read_text(encoding="utf-8"))
    return loaded


def merged(into: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return what is there with changes to some keys of it; a mapping of kind or steps replaces what is there."""
    found = copy.deepcopy(into)
    for key, value in changes.items():
        whole = not isinstance(value, dict) or not isinstance(found.get(key), dict) or {"kind", "steps"} & set(value)
        found[key] = value if whole else merged(found[key], value)
    return found


def says(data: dict[str, Any], changes: dict[str, Any]) -> str:
    with pytest.raises(StudyError) as error:
        graph.parse(merged(data, changes), "my.yaml")
    message = str(error.value)
    assert message.startswith("my.yaml: ")
    assert len(message.splitlines()) == 1, message
    assert "; my.yaml" not in message
    assert len(message) < 600
    return message.removeprefix("my.yaml: ")


# A recipe `x`, and what the message says.
RECIPES: list[tuple[Any, str]] = [
    ("sft", "recipes.x: 'sft': expected a list, or a mapping with the keys start, steps, evaluate, label"),
    (3, "recipes.x: 3: expected a list"),
    (None, "recipes.x: None: expected a list"),
    ({}, "recipes.x.steps: required, but missing"),
    ([], "recipes.x: `base` is the name of the empty list of stages, and of no other"),
    ({"steps": []}, "recipes.x: `base` is the name of the empty list of stages, and of no other"),
    ([[]], f"recipes.x.steps.0: []: {NAME_OR_KEYS}"),
    ([["sft"]], f"recipes.x.steps.0: ['sft']: {NAME_OR_KEYS}"),
    ([None], f"recipes.x.steps.0: None: {NAME_OR_KEYS}"),
    ([3], f"recipes.x.steps.0: 3: {NAME_OR_KEYS}"),
    ([True], f"recipes.x.steps.0: True: {NAME_OR_KEYS}"),
    ([""], f"recipes.x.steps.0: '': {NAME_OR_SIZE}"),
    (["sft@"], f"recipes.x.steps.0: 'sft@': {NAME_OR_SIZE}"),
    (["sft@0"], "recipes.x.steps.0.size: 0: input should be greater than or equal to 1"),
    (["sft@-5"], f"recipes.x.steps.0: 'sft@-5': {NAME_OR_SIZE}"),
    (["sft@2e3"], f"recipes.x.steps.0: 'sft@2e3': {NAME_OR_SIZE}"),
    (["sft@1_0"], f"recipes.x.steps.0: 'sft@1_0': {NAME_OR_SIZE}"),
    (["@200"], f"recipes.x.steps.0: '@200': {NAME_OR_SIZE}"),
    (["sft@٣"], f"recipes.x.steps.0: 'sft@٣': {NAME_OR_SIZE}"),
    (["sft@16@16"], f"recipes.x.steps.0: 'sft@16@16': {NAME_OR_SIZE}"),
    (["sft@" + "9" * 5000], f"...': {NAME_OR_SIZE}"),
    (["sft @16"], "recipes.x.steps.0.by: 'sft ' does not match ^[a-z0-9]"),
    (["SFT"], "recipes.x.steps.0.by: 'SFT' does not match ^[a-z0-9]"),
    (["s" * 65], "string should have at most 64 characters"),
    (["sft@100"], "recipes.x.steps.0: 100 is larger than pools.toy, which has 64 examples"),
    ([{"by": 3}], "recipes.x.steps.0.by: 3: input should be a valid string"),
    ([{"by": "sft@20"}], "recipes.x.steps.0.by: 'sft@20' does not match ^[a-z0-9]"),
    ([{"size": 3}], "recipes.x.steps.0.by: required, but missing"),
    ([{"by": "sft", "sizes": 3}], "recipes.x.steps.0.sizes: unknown key; did you mean size? valid keys: by, on, size"),
    ([{"by": "sft", "size": 2.5}], "recipes.x.steps.0.size: 2.5: input should be a valid integer"),
    ([{"by": "sft", "size": True}], "recipes.x.steps.0.size: True: input should be a valid integer"),
    ([{"by": "sft", "size": "20"}], "recipes.x.steps.0.size: '20': input should be a valid integer"),
    ([{"by": "sft", "on": "hards"}], "recipes.x.steps.0.on: no set of examples is called 'hards'; did you mean hard?"),
    ([{"by": "sft", "on": "toy"}], "recipes.x.steps.0.on: 'toy' is a pool, which a stage reads without `on`"),
    ([{"by": "sft", True: "hard", "on": "hard"}], "duplicate key 'on', with quotes and without"),
    (["sftt"], "recipes.x: unknown stage 'sftt'; did you mean sft? known stages: sft, sft-long,"),
    (["sft-long.lr0.001"], "recipes.x: unknown stage 'sft-long.lr0.001'; did you mean sft-long?"),
    (["grpo", "best@16"], "recipes.x.steps.1: best@16: a stage of kind select reads no examples; leave `size` out"),
    ({"steps": "sft"}, "recipes.x.steps: 'sft': input should be a list"),
    ({"steps": {"by": "sft"}}, "recipes.x.steps: {'by': 'sft'}: input should be a list"),
    ({"steps": None}, "recipes.x.steps: None: input should be a list"),
    ({"start": "grpo", "steps": ["sft"]}, "recipes.x.start: 'grpo': input should be a list"),
    ({"start": None, "steps": ["sft"]}, "recipes.x.start: None: input should be a list"),
    ({"start": [3], "steps": ["sft"]}, "recipes.x.start.0: 3: expected a name, or a mapping with the keys recipe, "),
    ({"start": ["grpo@"], "steps": ["sft"]}, f"recipes.x.start.0: 'grpo@': {NAME_OR_SIZE}"),
    ({"start": ["grpo@0"], "steps": ["sft"]}, "recipes.x.start.0.size: 0: input should be greater than"),
    ({"start": ["grpo@100"], "steps": ["sft"]}, "recipes.x.start.0: 100 is larger than pools.toy"),
    ({"start": ["sft16@16"], "steps": ["grpo"]}, "recipes.x.start: sft16@16: no stage of sft16 follows the cell's"),
    ({"start": ["base@16"], "steps": ["sft"]}, "recipes.x.start: base@16: no stage of base follows the cell's size"),
    ({"start": ["grop"], "steps": ["sft"]}, "recipes.x.start: unknown recipe 'grop'; did you mean grpo? known: base,"),
    ({"start": ["grpo"], "steps": []}, "recipes.x.steps: empty; a recipe that starts from grpo has stages of its own"),
    ({"start": ["x"], "steps": ["sft"]}, "recipes.x.start: starts from itself: x -> x"),
    ({"start": ["grpo", "grpo"], "steps": ["half"]}, "recipes.x.start.1: grpo stands twice"),
    ({"start": ["base"], "steps": ["grpo"]}, "recipes.x: makes the same models as recipes.grpo; leave one of them out"),
    ({"start": ["merged", "grpo"], "steps": ["sft"]}, "recipes.x.steps.0: sft starts from 1 model, and here from 2"),
    ({"start": ["grpo"], "steps": ["half"]}, "recipes.x.steps.0: half starts from 2 or more models, and here from 1"),
    (["grpo", "half", "sft"], "recipes.x.steps.1: half starts from 2 or more models, and here from 1"),
    (
        {"start": ["grpo", "merged", "sft16"], "steps": ["half"]},
        "recipes.x.steps.0: half has 2 weights, and here starts from 3 models",
    ),
    (["best"], "recipes.x.steps.0: best chooses among checkpoints that the stage before keeps, and the base model"),
    (["sft", "best"], "recipes.x.steps.1: best chooses among checkpoints that the stage before keeps, and stages.sft "),
    ({"start": ["base"], "steps": ["best"]}, "that the stage before keeps, and the base model has none"),
    ({"start": ["merged"], "steps": ["best"]}, "that the stage before keeps, and stages.half has no `trajectory`"),
    ({"start": ["chosen"], "steps": ["best"]}, "that the stage before keeps, and stages.best has no `trajectory`"),
    ({"steps": ["sft"], "evaluate": "maybe"}, "recipes.x.evaluate: 'maybe': input should be a valid boolean"),
    ({"steps": ["sft"], "evaluat": False}, "recipes.x.evaluat: unknown key; did you mean evaluate?"),
    ({"steps": ["sft"], "label": 3}, "recipes.x.label: 3: input should be a valid string"),
    ({"steps": ["sft"], "label": ""}, "recipes.x.label: '': string should have at least 1 character"),
    ({"steps": ["sft"], "label": "a\nb"}, f"recipes.x.label: 'a\\nb': {PRINTABLE}"),
    ({"steps": ["sft"], "label": "a\u2028b"}, f"recipes.x.label: 'a\\u2028b': {PRINTABLE}"),
    ({"steps": ["sft"], "label": " "}, f"recipes.x.label: ' ': {PRINTABLE}"),
    ({"steps": ["sft"], "label": "grpo"}, "recipes.x.label: 'grpo' is what recipes.grpo is called already"),
    ({"steps": ["sft"], "label": "floor"}, "recipes.x.label: 'floor' is what the control floor is called already"),
    ({"steps": ["sft"], "label": "SFT + GRPO merged"}, "merged' is what recipes.merged is called already"),
    ({"steps": ["sft"], "label": "sft-long.lr0.003"}, "'sft-long.lr0.003' is what recipes.sft-long is called already"),
    (["sft"] * 300, "a path of 2099 characters with a directory of 6; at most 1000 and 200: give shorter names"),
]  # fmt: skip


@pytest.mark.parametrize(("recipe", "expected"), RECIPES, ids=[str(case[0])[:60] for case in RECIPES])
def test_a_mistake_in_a_recipe(data: dict[str, Any], recipe: Any, expected: str) -> None:
    assert expected in says(data, {"recipes": {"x": recipe}})


def merge(**options: Any) -> dict[str, Any]:
    return {"stages": {"half": {"kind": "merge", **options}}}


def select(**options: Any) -> dict[str, Any]:
    return {"stages": {"best": {"kind": "select", **options}}}


def vary(varied: Any, **options: Any) -> dict[str, Any]:
    return {"stages": {"sft-long": {**SFT, "args": ARGS, "vary": varied, **options}}}


BOTH = [0.5, 0.5]
TWICE = {"weights": BOTH, "density": 0.5}
NAN = float("nan")
STAGES: list[tuple[dict[str, Any], str]] = [
    (merge(), "stages.half.weights: required, but missing"),
    (merge(weights=0.5), "stages.half.weights: 0.5: input should be a list"),
    (merge(weights=[1]), "stages.half.weights: [1]: list should have at least 2 items"),
    (merge(weights=[0.3, 0.3, 0.4]), "recipes.merged.steps.0: half has 3 weights, and here starts from 2 models"),
    (merge(weights=[0.5, 0.4]), "stages.half: weights: [0.5, 0.4] sum to 0.9; `linear` needs a sum of 1"),
    (merge(weights=[0.5, NAN]), "stages.half.weights.1: nan: input should be a finite number"),
    (merge(weights=[0.5, float("inf")]), "stages.half.weights.1: inf: input should be a finite number"),
    (merge(weights=[0, 0], method="ties", density=1), "stages.half: weights: all are 0"),
    (merge(**TWICE), "stages.half: density: `linear` takes all of every model; leave it out"),
    (merge(method="ties", weights=BOTH), "stages.half: density: required with `ties`"),
    (merge(method="dare", weights=BOTH, density=0), "stages.half.density: 0: input should be greater than 0"),
    (merge(method="dare", weights=BOTH, density=2), "stages.half.density: 2: input should be less than or equal to 1"),
    (merge(method="tie", weights=BOTH), "stages.half.method: 'tie': input should be 'linear', 'ties' or 'dare'"),
    (merge(weights=BOTH, batch_size=8), "stages.half.batch_size: unknown key; valid keys: kind, vary, method,"),
    (merge(vary={"weights": [BOTH, [0.3, 0.8]]}), "stages.half.vary: weights: [0.3, 0.8] sum to 1.1"),
    (merge(vary={"weights": [BOTH, [0.3, 0.3, 0.4]]}), "recipes.merged.steps.0: half has 3 weights"),
    (merge(weights=BOTH, vary={"method": ["linear", "ties"]}), "stages.half.vary: density: required with `ties`"),
    (select(), "stages.best.take: required, but missing"),
    (select(take="best"), f"stages.best.take: 'best': {TAKE}"),
    (select(take="maxx", suite="held-out"), f"stages.best.take: 'maxx': did you mean max? {TAKE}"),
    (select(take={"step": 0}), f"stages.best.take: {{'step': 0}}: {TAKE}"),
    (select(take={"step": True}), f"stages.best.take: {{'step': True}}: {TAKE}"),
    (select(take={"step": "4"}), f"stages.best.take: {{'step': '4'}}: {TAKE}"),
    (select(take={"steps": 4}), f"stages.best.take: {{'steps': 4}}: {TAKE}"),
    (select(take=["max"]), f"stages.best.take: ['max']: {TAKE}"),
    (select(take=None), f"stages.best.take: None: {TAKE}"),
    (select(take="max"), "stages.best: suite: required with `take: max`"),
    (select(take="first", suite="held-out"), "stages.best: suite: only `max` and `min` look at scores"),
    (select(take="max", suite="held-ou"), "stages.best.suite: unknown suite 'held-ou'; did you mean held-out?"),
    (select(take="max", suite="main"), "stages.best.suite: 'main' asks finished models; choosing needs a suite with"),
    (
        select(take="max", vary={"suite": ["held-out", "nope"]}),
        "stages.best.suite: unknown suite 'nope'; known: main, held-out",
    ),
    (select(take="max", vary={"suite": ["held-out", "main"]}), "stages.best.suite: 'main' asks finished models"),
    (select(vary={"take": [{"step": 2}]}), "stages.best.vary: take: {'step': 2} cannot be part of a name"),
    (select(suite="held-out", vary={"take": ["max", "mx"]}), f"stages.best.vary: take: 'mx': did you mean max? {TAKE}"),
    ({"suites": {"held-out": {"sizes": [32]}}}, "suites.held-out.sizes: leave it out; it is asked where stages.best"),
    ({"suites": {"main": {"benchmarks": ["toy-held-out"]}}}, "suites.main.benchmarks: toy-held-out is reported here"),
    (vary(["learning_rate"]), "stages.sft-long.vary: ['learning_rate']: input should be a mapping"),
    (vary(None), "stages.sft-long.vary: None: input should be a mapping"),
    (vary({"learning_rate": 1e-3}), "stages.sft-long.vary.learning_rate: 0.001: input should be a list"),
    (vary({"learning_rate": []}), "stages.sft-long.vary.learning_rate: []: list should have at least 1 item"),
    (vary({"learning_rate": [1, 1.0]}), "stages.sft-long: vary.learning_rate: 1.0 stands twice"),
    (vary({"weight_decay": [0, 0]}), "stages.sft-long: vary.weight_decay: 0 stands twice"),
    (vary({"learning_rate": ["1e-3", 0.001]}), "stages.sft-long.vary: two variants are called 'lr0.001'"),
    (vary({"learning_rate": ["fast", 1e-3]}), "stages.sft-long: args.learning_rate: 'fast' is not valid"),
    (vary({"learning_rate": [1e-3, "fast"]}), "stages.sft-long.vary: args.learning_rate: 'fast' is not valid"),
    (vary({"learning_rate": [1e-3, NAN]}), "stages.sft-long.vary.learning_rate.1: nan is not a finite number"),
    (vary({"learning_rat": [1]}), "stages.sft-long: vary.learning_rat: the stage has no such option; did you mean l"),
    (vary({1: [2]}), "stages.sft-long.vary.1: 1: input should be a valid string"),
    (vary({"kind": ["sft"]}), "stages.sft-long: vary.kind: the stage has no such option; its own: on, batch_size"),
    (vary({"vary": [1]}), "stages.sft-long: vary.vary: the stage has no such option"),
    (vary({"args": [{}]}), "stages.sft-long: vary.args: the stage has no such option"),
    (vary({"seed": [1, 2]}), "stages.sft-long: args.seed cannot be set in a study:"),
    (vary({"num_train_epochs": [1, 2]}), "stages.sft-long: vary.num_train_epochs: has a value of its own too, 1"),
    (vary({"batch_size": [8, 16]}), "stages.sft-long: vary.batch_size: has a value of its own too, 8"),
    (vary({"learning_rate": [1e-3]}, args=[1]), "stages.sft-long.args: [1]: input should be a mapping"),
    (vary({"learning_rate": [1e-3]}, args=None), "stages.sft-long.args: None: input should be a mapping"),
    (vary({"trajectory": [2, -1]}), "stages.sft-long.vary: trajectory: -1: input should be greater than or equal to 0"),
    (
        vary({"on": ["hard", "har"]}) | {"other_data": ["staged", "sft-long"]},
        "stages.sft-long.vary.on: no set of examples is called 'har'; did you mean hard?",
    ),
    (
        vary({"lr_scheduler_kwargs": [{"num_cycles": {}}, {}]}, args={**ARGS, "lr_scheduler_type": "cosine"}),
        "stages.sft-long.vary: lr_scheduler_kwargs: {'num_cycles': {}} cannot be",
    ),
    (
        vary({"on": ["hard", None]}) | {"recipes": {"x": [{"by": "sft-long", "on": "hard"}]}},
        "recipes.x.steps.0.on: stages.sft-long varies it; leave it out",
    ),
    (
        {"stages": {"g": {**SFT, "vary": {"trajectory": [2, 0]}}}, "recipes": {"x": ["g", "best"]}},
        "that the stage before keeps, and stages.g.kept0 has no `trajectory`",
    ),
    ({"stages": {"sft-long.lr0.001": SFT}}, "stages.sft-long.vary: a variant is called sft-long.lr0.001, and so is"),
    ({"stages": {"model": {"kind": "select", "take": "first"}}}, "stages.model: every model has a directory"),
    ({"stages": {"checkpoints": {"kind": "merge", "weights": BOTH}}}, "stages.checkpoints: every model has a"),
    (
        {
            "models": {"toy-xs": {"resources": {"sft": {"processes": 3}}}},
            "stages": {"a.b": {"kind": "sft", "vary": {"batch_size": [6, 8]}}},
            "recipes": {"base": [], "x": ["a.b"], "sft-long": ["grpo@4"], "merged": ["grpo@5"], "sft16": ["grpo@6"],
                        "sft16-grpo": ["grpo@7"], "staged": ["grpo@8"], "ties": ["grpo@9"]},
            "other_data": [],
        },
        "models.toy-xs.resources.sft: stages.a.b.b8.batch_size: 8 cannot be split evenly over 3",
    ),
    ({"recipes": ["sft"]}, "recipes: ['sft']: input should be a mapping"),
    ({"recipes": {"base": {"steps": [], "evaluate": False}}}, "recipes.base.evaluate: the base model stands beside"),
    ({"recipes": {"sft-long.lr0.001": ["sft"]}}, "recipes.sft-long.lr0.001: 'sft-long.lr0.001' is what recipes.sft-lo"),
    ({"exclude": [{"learning_rat": 1}]}, "exclude[0].learning_rat: unknown key; did you mean learning_rate?"),
    ({"exclude": [{"learning_rate": 5}]}, "exclude[0].learning_rate: 5 is not in the study; valid: 0.001, 0.003"),
    ({"exclude": [{"learning_rate": {"a": 1}}]}, "exclude[0].learning_rate: {'a': 1} is not in the study"),
    ({"exclude": [{"learning_rate": []}]}, "exclude[0].learning_rate: empty, so that it matches nothing"),
    ({"only": [{"recipe": "merge"}]}, "only[0].recipe: 'merge' is not in the study; did you mean merged?"),
    ({"only": [{"recipe": []}]}, "only[0].recipe: empty, so that it matches nothing"),
    ({"exclude": {"recipe": "grpo"}}, "exclude: {'recipe': 'grpo'}: input should be a list"),
    ({"exclude": ["grpo"]}, "exclude.0: 'grpo': expected a mapping with the keys model, pool, size, seed, recipe"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), STAGES, ids=[str(case[0])[:80] for case in STAGES])
def test_a_mistake_in_a_stage_or_a_filter(data: dict[str, Any], changes: dict[str, Any], expected: str) -> None:
    assert expected in says(data, changes)


def test_recipes_that_start_from_each_other(data: dict[str, Any]) -> None:
    recipes = {"x": {"start": ["y", "grpo"], "steps": ["half"]}, "y": {"start": ["x"], "steps": ["grpo"]}}
    assert says(data, {"recipes": recipes}) == "recipes.x.start: starts from itself: x -> y -> x"


def test_two_models_with_one_path(data: dict[str, Any]) -> None:
    # `sft` at 16 is also what `[sft@16]` makes; at 32 it would be alone.
    recipes = {"sft": {"start": ["grpo", "sft16"], "steps": ["half"]}}
    expected = "recipes.sft: two models have the path sft@16: half of toy-xs/toy/seed1/grpo@16 and toy-xs/toy/seed1/s"
    message = says(data, {"sizes": [16, 32], "recipes": recipes})
    assert message.startswith(expected)
    assert message.endswith(", and sft of toy-xs/base; rename the recipe")
    # Also on the way of one recipe alone, which would start from itself.
    stage = {"m": {**SFT}}
    recipes = {"m": {"start": ["y@16", "sft16"], "steps": ["half"]}, "y": ["m"]}
    message = says(data, {"stages": stage, "recipes": recipes, "only": [{"recipe": "m"}]})
    assert message.startswith("recipes.m: two models have the path m@16: half of ")


def test_a_name_that_is_too_long_for_a_file(data: dict[str, Any]) -> None:
    options = ("adam_beta1", "adam_beta2", "adam_epsilon", "learning_rate", "max_grad_norm", "weight_decay")
    varied = {option: [0.123456789] for option in options}
    stages = {letter: {**SFT, "vary": varied} for letter in "ab"}
    recipes = {"x": ["a", "b"], "y": {"start": ["x", "grpo"], "steps": ["half"]}}
    message = says(data, {"stages": stages, "recipes": recipes})
    assert message.startswith("recipes.y: makes y.adam_beta10.123456789.adam_beta20.123456789.adam_epsilon0.")
    assert "at most 1000 and 200" in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"recipes": {"x": {"start": ["grop"], "steps": ["sft"]}}}, "unknown recipe 'grop'; did you mean grpo?"),
        (select(take="best"), f"stages.best.take: 'best': {TAKE}"),
        ({"recipes": {"sft": {"start": ["sft16@16", "grpo"], "steps": ["half"]}}}, "no stage of sft16 follows"),
    ],
)
def test_every_command_says_the_same(
    data: dict[str, Any], changes: dict[str, Any], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(merged(data, changes), sort_keys=False))
    assert cli.main(["check", str(file)]) != 0
    said = capsys.readouterr().err.strip()
    assert expected in said
    assert len(said.splitlines()) == 1
    result = snake(tmp_path, "-n", study=file)
    assert result.returncode != 0
    shown = result.stdout + result.stderr
    assert "Traceback" not in shown
    message = said[said.index("recipes." if "recipes." in said else "stages.") :]
    assert shown.count(message) == 1
