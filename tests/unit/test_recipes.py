"""Recipes as a graph: sizes, starts, merging, chosen checkpoints and variants, and the jobs that follow."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from reassess import graph
from reassess.analyse.latex import latex
from reassess.analyse.layout import Block, Entry, Table, markdown
from reassess.console.check import overview
from reassess.graph import Graph
from reassess.study import read

SEED = "toy-xs/toy/seed1"
SFT = {"kind": "sft", "batch_size": 8, "args": {"num_train_epochs": 1}}


@pytest.fixture
def data(root: Path) -> dict[str, Any]:
    """`studies/graph.yaml`, to be changed."""
    loaded: dict[str, Any] = yaml.safe_load((root / "studies/graph.yaml").read_text(encoding="utf-8"))
    return loaded


def study(data: dict[str, Any], recipes: dict[str, Any], **changes: Any) -> Graph:
    """Return the study with other recipes; a mapping among `changes` is added to what is there."""
    found = copy.deepcopy(data) | {"recipes": recipes, "other_data": []}
    for key, value in changes.items():
        found[key] = found[key] | value if isinstance(value, dict) else value
    found["other_data"] = [name for name in recipes if reads_a_set(found, name)]
    return graph.parse(found, "my.yaml")


def reads_a_set(data: dict[str, Any], recipe: str) -> bool:
    """Whether a recipe that is evaluated, or one that it starts from, trains on a set of examples."""
    spec = data["recipes"].get(recipe, [])
    long = spec if isinstance(spec, dict) else {"steps": spec}
    steps = [step if isinstance(step, dict) else {"by": step.partition("@")[0]} for step in long["steps"]]
    stages = [data["stages"][step["by"]] for step in steps]
    own = any("on" in part or True in part for part in (*steps, *stages, *(stage.get("vary", {}) for stage in stages)))
    return own or any(reads_a_set(data, start.partition("@")[0]) for start in long.get("start", []))


def rows(found: Graph) -> list[tuple[str, str, int | None]]:
    """Return the cells but for the controls: method, path behind the seed, size."""
    return [(cell.method, cell.name, cell.size) for cell in found.cells if not cell.is_control]


def test_check_says_which_recipes_share_a_cell(data: dict[str, Any]) -> None:
    recipes = {"sft-grpo": ["sft", "grpo"], "sft16-grpo": ["sft@16", "grpo"]}
    said = overview(study(data, recipes, sizes=[16, 32])).splitlines()
    assert "  sft16-grpo at 16 is sft-grpo at 16: one cell, in a row of the latter" in said
    assert sum("one cell" in line for line in said) == 1


def names(found: Graph) -> list[str]:
    return [run.name for run in found.runs.values()]


def parents(found: Graph, name: str) -> tuple[str, ...]:
    return tuple(key.removeprefix(f"{SEED}/") for key in found.runs[f"{SEED}/{name}"].parents)


def test_the_graph_study(data: dict[str, Any], root: Path) -> None:
    found = graph.load(root / "studies/graph.yaml")
    assert rows(found) == [
        ("sft-long.lr0.001", "sft-long.lr0.001@32", 32),
        ("sft-long.lr0.003", "sft-long.lr0.003@32", 32),
        ("grpo", "grpo@32", 32),
        ("staged", "sft@16/grpo+hard@16", 16),
        ("sft16", "sft@16", 16),
        ("merged", "merged@32", 32),
        ("ties", "ties@32", 32),
        ("healed", "grpo@32/best/grpo@16", 32),
        ("chosen", "grpo@32/best", 32),
    ]
    assert [cell.recipe for cell in found.cells if not cell.is_asked] == ["sft16", "ties"]
    assert [(run.name, run.stage, run.size, run.on and run.on.key, run.recipe) for run in found.runs.values()] == [
        ("sft-long.lr0.001@32", "sft-long.lr0.001", 32, None, "sft-long.lr0.001"),
        ("sft-long.lr0.003@32", "sft-long.lr0.003", 32, None, "sft-long.lr0.003"),
        ("grpo@32", "grpo", 32, None, "grpo"),
        ("sft@16", "sft", 16, None, "sft16"),
        ("sft@16/grpo+hard@16", "grpo", 16, "hard", "staged"),
        ("merged@32", "half", None, None, "merged"),
        ("ties@32", "ties", None, None, "ties"),
        ("grpo@32/best", "best", None, None, "chosen"),
        ("grpo@32/best/grpo@16", "grpo", 16, None, "healed"),
    ]
    assert {job.key.removeprefix(f"{SEED}/"): [need.replace(f"{SEED}/", "") for need in job.needs] for job in
            found.of("train")} == {
        "sft-long.lr0.001@32": ["model toy-xs", "subset toy/seed1/32"],
        "sft-long.lr0.003@32": ["model toy-xs", "subset toy/seed1/32"],
        "grpo@32": ["model toy-xs", "subset toy/seed1/32"],
        "sft@16": ["model toy-xs", "subset toy/seed1/16"],
        "sft@16/grpo+hard@16": ["train sft@16", "subset toy+hard/seed1/16"],
        "merged@32": ["train sft@16", "train grpo@32"],
        "ties@32": ["train sft@16", "train grpo@32", "model toy-xs"],
        "grpo@32/best": ["train grpo@32", "score grpo@32/held-out"],
        "grpo@32/best/grpo@16": ["train grpo@32/best", "subset toy/seed1/16"],
    }  # fmt: skip
    assert found.counts() == {
        "pool": 1, "benchmark": 2, "examples": 1, "subset": 3, "model": 1, "train": 9, "generate": 10, "score": 10,
        "tables": 1, "figures": 1,
    }  # fmt: skip
    assert [job.key for job in found.of("score") if job.key.endswith("/held-out")] == [f"{SEED}/grpo@32/held-out"]


# Recipes, further changes, and the rows that follow.
GRIDS: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, str, int]]]] = {
    "a cell for each size": ({"sft": ["sft"]}, {"sizes": [16, 32]}, [("sft", "sft@16", 16), ("sft", "sft@32", 32)]),
    "sizes of its own are one cell": ({"a": ["sft@8", "grpo@16"]}, {"sizes": [32, 64]}, [("a", "sft@8/grpo@16", 16)]),
    "a mix has all sizes": (
        {"a": ["sft@8", "grpo"]},
        {"sizes": [16, 32]},
        [("a", "sft@8/grpo@16", 16), ("a", "sft@8/grpo@32", 32)],
    ),
    "the first follows, the last does not": (
        {"a": ["sft", "grpo@8"]},
        {"sizes": [16, 32]},
        [("a", "sft@16/grpo@8", 16), ("a", "sft@32/grpo@8", 32)],
    ),
    "a recipe continues": (
        {"sft": ["sft"], "a": {"start": ["sft"], "steps": ["grpo"]}},
        {},
        [("sft", "sft@32", 32), ("a", "sft@32/grpo@32", 32)],
    ),
    "a recipe at a size of its own": (
        {"sft": ["sft"], "a": {"start": ["sft@8"], "steps": ["grpo"]}, "b": {"start": ["sft@8"], "steps": ["grpo@16"]}},
        {},
        [("sft", "sft@32", 32), ("a", "sft@8/grpo@32", 32), ("b", "sft@8/grpo@16", 16)],
    ),
    "the base model by name": ({"a": {"start": ["base"], "steps": ["sft"]}}, {}, [("a", "sft@32", 32)]),
    "a merge continues": (
        {
            "sft": ["sft"],
            "grpo": ["grpo"],
            "merged": {"start": ["sft", "grpo"], "steps": ["half"]},
            "a": {"start": ["merged"], "steps": ["grpo"]},
            "b": {"start": ["sft", "grpo"], "steps": ["half", "grpo"]},
        },
        {},
        [
            ("sft", "sft@32", 32),
            ("grpo", "grpo@32", 32),
            ("merged", "merged@32", 32),
            ("a", "merged@32/grpo@32", 32),
            ("b", "b@32/grpo@32", 32),
        ],
    ),
    "a merge of sizes of their own": (
        {
            "s": ["sft@8"],
            "g": ["grpo@16"],
            "merged": {"start": ["s", "g"], "steps": ["half"]},
            "a": {"start": ["merged"], "steps": ["grpo"]},
        },
        {"sizes": [16, 32]},
        [
            ("s", "sft@8", 8),
            ("g", "grpo@16", 16),
            ("merged", "merged@16", 16),
            ("a", "merged@16/grpo@16", 16),
            ("a", "merged@16/grpo@32", 32),
        ],
    ),
    "a merge with the base model": (
        {"sft": ["sft"], "a": {"start": ["base", "sft@8"], "steps": ["half"]}},
        {},
        [("sft", "sft@32", 32), ("a", "a@8", 8)],
    ),
    "a set of its own": ({"a": [{"by": "sft", "on": "hard"}]}, {}, [("a", "sft+hard@32", 32)]),
    "recipes that share a cell: the first has it": (
        {"sft-grpo": ["sft", "grpo"], "sft16-grpo": ["sft@16", "grpo"]},
        {"sizes": [16, 32]},
        [
            ("sft-grpo", "sft@16/grpo@16", 16),
            ("sft-grpo", "sft@32/grpo@32", 32),
            ("sft16-grpo", "sft@16/grpo@32", 32),
        ],
    ),
    "the one that is asked has it, at its own place": (
        {"warm": {"steps": ["sft@16"], "evaluate": False}, "grpo": ["grpo"], "sft": ["sft"]},
        {"sizes": [8, 16]},
        [("grpo", "grpo@8", 8), ("grpo", "grpo@16", 16), ("sft", "sft@8", 8), ("sft", "sft@16", 16)],
    ),
    "where the first is taken out the second has it": (
        {"sft-grpo": ["sft", "grpo"], "b": {"steps": ["sft@16", "grpo"], "evaluate": False}},
        {"sizes": [16, 32], "exclude": [{"recipe": "sft-grpo"}]},
        [("b", "sft@16/grpo@16", 16), ("b", "sft@16/grpo@32", 32)],
    ),
    "no filter: the order of the study": (
        {"grpo": ["grpo"], "a": {"start": ["sft"], "steps": ["grpo"]}, "sft": ["sft"]},
        {},
        [("grpo", "grpo@32", 32), ("a", "sft@32/grpo@32", 32), ("sft", "sft@32", 32)],
    ),
    "variants": ({"a": ["sft-long"]}, {}, [(f"a.lr{x}", f"sft-long.lr{x}@32", 32) for x in (0.001, 0.003)]),
    "two varied stages are a product": (
        {"a": ["sft-long", "b"]},
        {"stages": {"b": {"kind": "sft", "args": {}, "vary": {"batch_size": [4, 8]}}}},
        [
            (f"a.lr{x}.b{y}", f"sft-long.lr{x}@32/b.b{y}@32", 32)
            for x in (0.001, 0.003)
            for y in (4, 8)
        ],
    ),
    "a varied stage that is used twice, and in a start, has one value": (
        {
            "grpo": {"steps": ["grpo"], "evaluate": False},
            "a": ["sft-long", "grpo@16", "sft-long@8"],
            "m": {"start": ["a", "grpo"], "steps": ["half", "sft-long"]},
        },
        {},
        [
            ("grpo", "grpo@32", 32),
            *((f"a.lr{x}", f"sft-long.lr{x}@32/grpo@16/sft-long.lr{x}@8", 32) for x in (0.001, 0.003)),
            *((f"m.lr{x}", f"m.lr{x}@32/sft-long.lr{x}@32", 32) for x in (0.001, 0.003)),
        ],
    ),
    "sets as variants": (
        {"a": ["b"]},
        {"stages": {"b": SFT | {"vary": {"on": ["hard", None]}}}},
        [("a.hard", "b.hard@32", 32), ("a.on-none", "b.on-none@32", 32)],
    ),
    "numbers that YAML reads as text": (
        {"a": ["b"]},
        {"stages": {"b": SFT | {"vary": {"learning_rate": ["1e-3", "3e-5", 1]}}}},
        [("a.lr0.001", "b.lr0.001@32", 32), ("a.lr3e-5", "b.lr3e-5@32", 32), ("a.lr1", "b.lr1@32", 32)],
    ),
    "options of a merge as variants": (
        {
            "sft": ["sft"],
            "grpo": ["grpo"],
            "a": {"start": ["sft", "grpo"], "steps": ["m"]},
        },
        {"stages": {"m": {"kind": "merge", "vary": {"weights": [[0.5, 0.5], [0.3, 0.7]]}}}},
        [
            ("sft", "sft@32", 32),
            ("grpo", "grpo@32", 32),
            ("a.weights0.5-0.5", "a.weights0.5-0.5@32", 32),
            ("a.weights0.3-0.7", "a.weights0.3-0.7@32", 32),
        ],
    ),
    "choices as variants": (
        {"a": ["grpo", "c"]},
        {"stages": {"c": {"kind": "select", "suite": "held-out", "vary": {"take": ["max", "min"]}}}},
        [("a.max", "grpo@32/c.max", 32), ("a.min", "grpo@32/c.min", 32)],
    ),
    "only some variants": (
        {"a": ["sft-long"], "sft": ["sft"]},
        {"only": [{"learning_rate": "1e-3"}]},
        [("a.lr0.001", "sft-long.lr0.001@32", 32)],
    ),
    "all but some variants": (
        {"a": ["sft-long"], "sft": ["sft"]},
        {"exclude": [{"learning_rate": [0.001], "size": 32}]},
        [("a.lr0.003", "sft-long.lr0.003@32", 32), ("sft", "sft@32", 32)],
    ),
    "a filter key without a value": (
        {"a": ["sft-long"], "sft": ["sft"]},
        {"exclude": [{"learning_rate": None, "recipe": "sft"}]},
        [(f"a.lr{x}", f"sft-long.lr{x}@32", 32) for x in (0.001, 0.003)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GRIDS)
def test_the_rows_of_a_study_and_what_its_jobs_read(data: dict[str, Any], case: str, tmp_path: Path) -> None:
    recipes, changes, expected = GRIDS[case]
    # These start with no trajectory that nobody asks.
    used = {"base": [], **recipes}
    if not any("grpo" in str(recipe) for recipe in recipes.values()):
        changes = changes | {"suites": {"held-out": data["suites"]["main"] | {"benchmarks": ["toy-held-out"]}}}
    found = study(data, used, **changes)
    assert rows(found) == expected
    # Parents first, and each job after those that it needs.
    keys = list(found.runs)
    for run in found.runs.values():
        assert all(parent.endswith("/base") or keys.index(parent) < keys.index(run.key) for parent in run.parents)
    jobs = list(found.jobs)
    assert all(jobs.index(need) < jobs.index(job.name) for job in found.jobs.values() for need in job.needs)
    read.dump(found.study, tmp_path / "study.json")
    again = graph.load(tmp_path / "study.json")
    assert again.study == found.study
    assert list(again.jobs.items()) == list(found.jobs.items())
    assert [cell.varied for cell in again.cells] == [cell.varied for cell in found.cells]


def test_what_is_made_on_the_way_is_shared(data: dict[str, Any]) -> None:
    recipes, changes, _ = GRIDS["a merge continues"]
    found = study(data, recipes, **changes)
    assert names(found) == ["sft@32", "grpo@32", "merged@32", "merged@32/grpo@32", "b@32", "b@32/grpo@32"]
    assert parents(found, "merged@32") == ("sft@32", "grpo@32")
    assert parents(found, "merged@32/grpo@32") == ("merged@32",)
    assert found.runs[f"{SEED}/merged@32/grpo@32"].recipe == "a"
    # A start that is no cell of its own is made once for all who take it.
    recipes, changes, _ = GRIDS["a recipe at a size of its own"]
    assert names(study(data, recipes, **changes)) == ["sft@32", "sft@8", "sft@8/grpo@32", "sft@8/grpo@16"]


def test_several_models_pools_and_seeds(data: dict[str, Any]) -> None:
    data["models"]["other"] = data["models"]["toy-xs"]
    data["pools"]["second"] = data["pools"]["toy"]
    del data["examples"]
    recipes = {"sft": ["sft"], "grpo": ["grpo"], "m": {"start": ["sft", "grpo@16"], "steps": ["half"]}}
    found = study(data, recipes, seeds=[1, 2], exclude=[{"model": "other", "recipe": ["sft", "grpo"]}])
    assert len(found.runs) == 2 * 2 * 2 * 4 - 4
    assert {cell.key for cell in found.cells if cell.model == "other" and not cell.is_control} == {
        f"other/{pool}/seed{seed}/m@32" for pool in ("toy", "second") for seed in (1, 2)
    }
    assert found.runs["other/second/seed2/m@32"].parents == ("other/second/seed2/sft@32", "other/second/seed2/grpo@16")
    assert [cell.model for cell in found.cells] == sorted([cell.model for cell in found.cells], reverse=True)


def test_a_model_that_is_not_evaluated_is_asked_nothing(data: dict[str, Any]) -> None:
    recipes = {"warm": {"steps": ["grpo@16"], "evaluate": False}, "a": {"start": ["warm"], "steps": ["sft"]}}
    suites = {"watched": {"benchmarks": ["toy-id"], "checkpoints": "trajectory"}}
    found = study(data, recipes, suites=suites)
    assert [job.key for job in found.of("score") if "grpo@16/sft@32" not in job.key] == [
        "toy-xs/base/main", "toy-xs/base-think/main"
    ]  # fmt: skip
    assert not found.runs[f"{SEED}/grpo@16"].is_asked
    # Another recipe that makes it, and is evaluated, is asked.
    found = study(data, recipes | {"grpo": ["grpo"]}, suites=suites, sizes=[16])
    asked = [job.key.removeprefix(f"{SEED}/") for job in found.of("score")]
    assert {"grpo@16/main", "grpo@16/watched"} <= set(asked)
    assert [cell.method for cell in found.cells if cell.name == "grpo@16"] == ["grpo"]
    assert found.runs[f"{SEED}/grpo@16"].recipe == "grpo"


def test_every_variant_that_keeps_checkpoints_is_chosen_from(data: dict[str, Any]) -> None:
    grpo = {key: value for key, value in data["stages"]["grpo"].items() if key != "trajectory"}
    stages = {"g": grpo | {"vary": {"trajectory": [2, 4]}}}
    found = study(data, {"a": ["g", "best"]}, stages=stages)
    assert [job.key.removeprefix(f"{SEED}/") for job in found.of("score") if job.at.suite == "held-out"] == [
        "g.kept2@32/held-out", "g.kept4@32/held-out"
    ]  # fmt: skip
    # A suite by which one variant chooses stands in no table.
    suites = {"second": data["suites"]["held-out"] | {"benchmarks": ["toy-second"]}}
    benchmarks = {"toy-second": data["benchmarks"]["toy-held-out"]}
    stages = {"b": {"kind": "select", "take": "max", "vary": {"suite": ["held-out", "second"]}}}
    found = study(data, {"a": ["grpo", "b"]}, stages=stages, suites=suites, benchmarks=benchmarks)
    assert found.study.choosing == {"held-out": "b", "second": "b"}
    assert not found.study.watching


def test_a_variant_is_the_stage_with_its_values(data: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    text = yaml.safe_dump(
        {key: value for key, value in data.items() if key not in ("stages", "recipes", "suites", "other_data")}
    )
    file.write_text(
        f"{text}stages:\n"
        "  sft: &sft {kind: sft, batch_size: 8, args: &args {num_train_epochs: 2, save_steps: 2}}\n"
        "  rates: {<<: *sft, vary: {learning_rate: [1e-3, 3e-3]}}\n"
        "  decays: {<<: *sft, args: {<<: *args, num_train_epochs: 1}, vary: &decays {weight_decay: [0, 0.1]}}\n"
        "  both: {<<: *sft, args: {}, vary: {<<: *decays, num_train_epochs: [1, 2]}}\n"
        "recipes: {base: [], rates: [rates], decays: [decays], both: [both]}\n"
        "suites: {main: {benchmarks: [toy-id]}}\n"
    )
    found = graph.load(file)
    stages = found.study.all_stages
    assert list(stages) == [
        "sft", "rates.lr0.001", "rates.lr0.003", "decays.wd0", "decays.wd0.1",
        "both.wd0.e1", "both.wd0.e2", "both.wd0.1.e1", "both.wd0.1.e2",
    ]  # fmt: skip
    assert stages["rates.lr0.003"].model_dump()["args"] == {
        "num_train_epochs": 2.0, "save_steps": 2, "learning_rate": 0.003
    }  # fmt: skip
    # The study says what was written: not the values of the first variant as if they were its own.
    assert found.study.stages["rates"].model_dump()["args"] == {"num_train_epochs": 2.0, "save_steps": 2}
    # A stage with the same options is the same work, whatever it is called.
    same = graph.parse(yaml.safe_load(text) | {
        "stages": {"sft": SFT | {"args": {"num_train_epochs": 2, "save_steps": 2, "learning_rate": 0.003}}},
        "recipes": {"base": [], "sft": ["sft"]}, "suites": {"main": {"benchmarks": ["toy-id"]}},
    }, "same.yaml")  # fmt: skip
    assert same["train", f"{SEED}/sft@32"].spec == found["train", f"{SEED}/rates.lr0.003@32"].spec


def test_labels_stand_in_tables_as_they_are_written(data: dict[str, Any]) -> None:
    label = r"50% & _a_ [x](y) <b> $m^2$ | \n #1 ~ &lt; *c* {d}"
    found = study(data, {"base": [], "sft": {"steps": ["sft"], "label": label}, "grpo": ["grpo", "best"]})
    assert found.study.recipes["sft"].label == label
    table = Table("main", "What", ["Method"], [Block("toy", [[Entry(label)]])])
    expected = r"50% & \_a\_ [x\](y) \<b> $m^2$ \| \\n #1 \~ \&lt; \*c\* {d}"
    assert expected in markdown(table)
    expected = (
        r"50\% \& \_a\_ [x](y) \textless{}b\textgreater{} \$m\textasciicircum{}2\$ \textbar{} \textbackslash{}n \#1 "
        r"\textasciitilde{} \&lt; *c* \{d\}"
    )
    assert expected in latex(table)
