"""Sets of examples in the graph: who is asked for them, where they lie, and which studies cannot have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reassess import graph, paths
from reassess.data.shards import write_shards
from reassess.data.subset import build_subset
from reassess.example import DataError, Example
from reassess.graph import Graph
from reassess.study.read import StudyError, read_yaml
from reassess.work import records

SEED = "toy-xs/toy/seed1"
DRAW = {"samples": 4, "temperature": 1.0, "max_tokens": 32}
TEACHERS = {"big": {"toy": {"size": "s"}, "max_prompt_length": 160}}
TRACES = {"kind": "distill", "model": "big", "on": "toy", **DRAW}
ROLLOUTS = {"kind": "distill", "recipe": "grpo", "on": "toy", **DRAW}


def study_of(root: Path, recipes: dict[str, Any], examples: dict[str, Any], **changes: Any) -> Graph:
    """The tiny study with other recipes and sets; what trains on other questions is allowed to."""
    data = read_yaml(root / "studies/tiny.yaml")
    del data["suites"]["held-out"]
    del data["stages"]["grpo"]["trajectory"]
    data |= {"recipes": {"base": [], **recipes}, "examples": examples, "teachers": TEACHERS, "exclude": []}
    data["other_data"] = [name for name in recipes if "own" in name]
    return graph.parse({**data, **changes}, "test")


def pool(root: Path, **options: Any) -> dict[str, Any]:
    return {"toy": {**read_yaml(root / "studies/tiny.yaml")["pools"]["toy"], **options}}


def in_order(found: Graph) -> bool:
    """Whether each job comes after those that it needs."""
    before: set[str] = set()
    for job in found.jobs.values():
        if not before.issuperset(job.needs):
            return False
        before.add(job.name)
    return True


def test_a_set_of_a_fixed_model_is_made_once_for_all_cells(root: Path) -> None:
    recipes = {"sft": [{"by": "sft", "on": "traces"}], "grpo": ["grpo"]}
    pools = pool(root, only_with=["traces"])
    found = study_of(root, recipes, {"traces": TRACES}, pools=pools, seeds=[1, 2], sizes=[8, 16])
    assert [job.key for job in found.of("examples")] == ["traces"]
    assert [job.key for job in found.of("generate") if job.at.examples] == ["+traces"]
    assert [job.key for job in found.of("model")] == ["toy-xs", "big"]
    assert not [cell for cell in found.cells if cell.model == "big"]
    asks, made = found["generate", "+traces"], found["examples", "traces"]
    assert asks.needs == ("model big", "pool toy")
    assert made.needs == ("pool toy", "generate +traces")
    assert asks.at.model == "big"
    # SFT on the traces and RL on the pool have the same questions: those that have a trace.
    for key in ("toy/seed1/16", "toy+traces/seed2/8"):
        assert "examples traces" in found["subset", key].needs
    run = found["train", f"{SEED}/sft+traces@16"]
    assert found.needed(run, "subset")[0].key == "toy+traces/seed1/16"
    assert in_order(found)


def test_a_set_of_a_recipe_is_made_for_each_cell(root: Path) -> None:
    examples = {
        "rollouts": ROLLOUTS,
        "of16": {**ROLLOUTS, "recipe": "grpo@16"},
        "base-own": {**ROLLOUTS, "recipe": "base"},
        "hard": {"kind": "band", "recipe": "here", "on": "toy", "pass_rate": [0, 0.5], **DRAW},
        "both": {"kind": "mix", "of": {"rollouts": 1, "base-own": 1}},
        "short": {"kind": "where", "on": "rollouts", "words": [0, 9]},
    }
    recipes = {
        "grpo": ["grpo"],
        "own": [{"by": "sft", "on": "rollouts"}, {"by": "grpo", "on": "hard"}],
        **{f"own-{name}": [{"by": "sft", "on": name}] for name in ("of16", "base-own", "both", "short")},
    }
    found = study_of(root, recipes, examples, sizes=[8, 16], seeds=[1])
    assert {job.key for job in found.of("examples")} == {
        *(f"{SEED}/grpo@{size}/rollouts" for size in (8, 16)),
        f"{SEED}/grpo@16/of16",
        "toy-xs/base/base-own",
        *(f"{SEED}/sft+rollouts@{size}/hard" for size in (8, 16)),
        # Made of what several models said, it lies beside none of them.
        *(f"{SEED}/at{size}/both" for size in (8, 16)),
        *(f"{SEED}/grpo@{size}/short" for size in (8, 16)),
    }
    asks = found["generate", f"+{SEED}/sft+rollouts@8/hard"]
    assert asks.needs[0] == f"train {SEED}/sft+rollouts@8"
    assert found["generate", f"+{SEED}/grpo@8/rollouts"].needs[0] == f"train {SEED}/grpo@8"
    assert found.set_of(asks) == found.sets[f"{SEED}/sft+rollouts@8/hard"]
    assert in_order(found)


def test_cycles_are_written_out(root: Path) -> None:
    examples = {"first": ROLLOUTS, "second": {**ROLLOUTS, "recipe": "own-1"}}
    sft = {"by": "sft", "on": "first"}
    recipes = {"grpo": ["grpo"], "own-1": [sft, "grpo"], "own-2": [{"by": "sft", "on": "second"}, "grpo"]}
    found = study_of(root, recipes, examples, sizes=[16])
    one, two = f"{SEED}/sft+first@16/grpo@16", f"{SEED}/sft+second@16/grpo@16"
    assert found["generate", f"+{one}/second"].needs[0] == f"train {one}"
    assert found["examples", f"{one}/second"].name in found["subset", f"toy+{one}/second/seed1/16"].needs
    assert two in found.runs
    assert in_order(found)


def test_all_of_a_set_is_taken(root: Path) -> None:
    few = {"by": "grpo", "on": "few", "size": "all"}
    recipes = {"own": [{"by": "sft", "on": "few", "size": "all"}], "own-then": ["sft", few]}
    examples = {"few": {"kind": "where", "on": "toy", "difficulty": [2]}}
    found = study_of(root, recipes, examples, sizes=[16, 32])
    names = {cell.name: cell.size for cell in found.cells if not cell.is_control}
    # All of it is the same at every size of the study.
    assert names == {"sft+few@all": 32, "sft@16/grpo+few@all": 16, "sft@32/grpo+few@all": 32}
    assert found["subset", "toy+few/seed1/all"].at.size is None
    assert found.needed(found["train", f"{SEED}/sft+few@all"], "subset")[0].key == "toy+few/seed1/all"


def test_who_is_asked_decides_what_is_made_again(root: Path) -> None:
    def specs(**changes: Any) -> dict[str, str]:
        recipes = {"sft": ["sft"], "own": [{"by": "sft", "on": "traces"}]}
        found = study_of(root, recipes, {"traces": {**TRACES, **changes}})
        return {job.name: job.spec for job in found.jobs.values() if job.rule not in ("tables", "figures")}

    before = specs()
    for changes, names in (
        ({"choose": "shortest"}, {"examples traces"}),
        ({"temperature": 0.5}, {"generate +traces"}),
        ({"questions": 9}, {"generate +traces"}),
    ):
        after = specs(**changes)
        assert {name for name in before if before[name] != after[name]} == names


def test_one_more_teacher_changes_no_other_job(root: Path) -> None:
    def jobs(*names: str) -> dict[str, Any]:
        teachers = {name: {"toy": {"size": "s", "seed": i}, "max_prompt_length": 160} for i, name in enumerate(names)}
        examples = {f"of-{name}": {**TRACES, "model": name} for name in names}
        recipes = {f"own-{name}": [{"by": "sft", "on": f"of-{name}"}] for name in names}
        found = study_of(root, recipes, examples, teachers=teachers)
        return {job.name: job for job in found.jobs.values() if job.rule not in ("tables", "figures")}

    before, after = jobs("one"), jobs("one", "two")
    assert before.items() <= after.items()
    assert {name for name in after if name not in before} >= {"model two", "generate +of-two", "examples of-two"}


@pytest.mark.parametrize(
    ("recipes", "examples", "changes", "said"),
    [
        (
            {"own": [{"by": "sft", "on": "mine"}]},
            {"mine": {**ROLLOUTS, "recipe": "own"}},
            {},
            "needs itself: examples.mine -> recipes.own -> examples.mine",
        ),
        (
            {"sft": [{"by": "sft", "on": "traces"}]},
            {"traces": TRACES},
            {},
            "recipes.sft: sft trains on 'traces', which may have other questions than the rest",
        ),
        ({"sft": ["sft"]}, {}, {"other_data": ["sft"]}, "other_data.0: sft trains on the same questions as the rest"),
        ({"sft": ["sft"]}, {}, {"other_data": ["sfd"]}, "other_data.0: unknown recipe 'sfd'; did you mean sft?"),
        (
            {"grpo": ["grpo"]},
            {"rollouts": ROLLOUTS},
            {"pools": {"only_with": ["rollouts"]}},
            "pools.toy.only_with.0: 'rollouts' is made anew for each model of a recipe",
        ),
        (
            {"grpo": ["grpo"]},
            {"traces": TRACES},
            {"pools": {"only_with": ["trace"]}},
            "pools.toy.only_with.0: no set of examples is called 'trace'; did you mean traces?",
        ),
        (
            {"own": [{"by": "sft", "on": "traces"}]},
            {"traces": {**TRACES, "on": "kept"}},
            {"pools": {"held_out": 8}, "benchmarks": {"kept": {"pool": "toy"}}},
            "'traces' is made from held-out rows (kept), which nothing is trained on",
        ),
        (
            {"own": [{"by": "sft", "on": "mine"}], "varied": ["long"]},
            {"mine": {**ROLLOUTS, "recipe": "varied"}},
            {"stages": {"long": {"kind": "sft", "batch_size": 8, "vary": {"num_train_epochs": [1, 2]}}}},
            "examples.mine.recipe: varied stands for several models, because stages.long has `vary`",
        ),
        ({"sft": ["sft"]}, {}, {"teachers": {"toy-xs": TEACHERS["big"]}}, "teachers.toy-xs: the name of a model"),
    ],
)
def test_a_mistake_is_one_error(
    root: Path, recipes: dict[str, Any], examples: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    data = read_yaml(root / "studies/tiny.yaml")
    changed = {
        **changes,
        **({"pools": pool(root, **changes["pools"])} if "pools" in changes else {}),
        **{key: {**data[key], **changes[key]} for key in ("benchmarks", "stages") if key in changes},
    }
    if "stages" in changed:
        changed["stages"]["grpo"] = {key: value for key, value in data["stages"]["grpo"].items() if key != "trajectory"}
    with pytest.raises(StudyError) as error:
        study_of(root, recipes, examples, **changed)
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_subset_has_only_questions_that_every_arm_has(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipes = {"sft": [{"by": "sft", "on": "traces"}], "foreign": [{"by": "sft", "on": "others"}], "grpo": ["grpo"]}
    examples = {"traces": TRACES, "others": {**TRACES, "temperature": 0.5}}
    found = study_of(root, recipes, examples, pools=pool(root, only_with=["traces", "others"]), sizes=[4, 5])

    def store(folder: str, numbers: range, **manifest: Any) -> None:
        rows = [Example(f"e{i}", (), "?", (), "1", "numeric", ("so",), "mine", "f", 1) for i in numbers]
        write_shards(Path(folder) / "shards", rows)
        records.write(f"{folder}/manifest.json", {"n": len(rows), "content_sha256": folder, "licences": {}, **manifest})

    store(paths.pool("toy"), range(20), put_aside={})
    store(paths.examples("traces"), range(12), dropped={"no response is right": 8})
    store(paths.examples("others"), range(8, 20), dropped={})
    ids = {}
    for key in ("toy/seed1/4", "toy+traces/seed1/4", "toy+others/seed1/4"):
        build_subset(found["subset", key])
        record = json.loads(Path(paths.subset(key)).read_text())
        ids[key] = record["ids"]
        assert set(record["only_with"].values()) == {
            paths.examples(name) for name in ("traces", "others") if f"+{name}/" not in key
        }
    assert len(set(map(tuple, ids.values()))) == 1
    assert set(ids["toy/seed1/4"]) == {"e8", "e9", "e10", "e11"}
    with pytest.raises(DataError, match=r"5 is larger than 'toy' .* which has 4 examples \(8 left out, and"):
        build_subset(found["subset", "toy+traces/seed1/5"])
