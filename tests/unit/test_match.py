"""Matched cost: its arithmetic, what a stage that matches needs, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from reassess import paths
from reassess.console.durations import Durations
from reassess.console.workload import Workload
from reassess.graph import Graph, parse
from reassess.graph.state import States
from reassess.study.read import StudyError
from reassess.train import frame, plan
from reassess.train.frame import Parent, Task
from reassess.work import records

SFT = {"kind": "sft", "batch_size": 8}
GRPO = {"kind": "grpo", "batch_size": 8, "rewards": {"accuracy": 1.0}, "args": {"num_generations": 4}}
KEY = "toy-xs/toy/seed1/long@16"
WAY = ("toy-xs/toy/seed1/sft@16", "toy-xs/toy/seed1/sft@16/grpo@16")


def matching(recipe: str = "sft-grpo", by: str = "flops", stage: dict[str, Any] = SFT, **args: Any) -> dict[str, Any]:
    return {**stage, "match": {"recipe": recipe, "by": by}, "args": {**stage.get("args", {}), **args}}


def study(tiny: Graph, *drop: str, recipes: dict[str, Any] | None = None, **stages: Any) -> Graph:
    """Return the tiny study with further stages, and for each a recipe of it alone unless some are given."""
    raw = tiny.study.model_dump(mode="json")
    raw["stages"] |= stages
    raw["recipes"] |= {name: [name] for name in stages} if recipes is None else recipes
    raw["exclude"] = []
    return parse(raw, "my.yaml")


def test_work_is_six_per_token_trained_and_two_per_token_forward() -> None:
    found = plan.work(samples=10, tokens=300, forward=50, weights=1000)
    assert found == {"samples": 10, "tokens": 300, "flops": 1000 * (6 * 300 + 2 * 50)}


@pytest.mark.parametrize(
    ("wanted", "epoch", "steps", "expected"),
    [
        (100, 10, 1, 10),
        (100, 30, 4, 13),
        (104, 30, 4, 14),
        (1, 1000, 4, 1),
        (0, 10, 2, 1),
        (10**30 + 7, 10**20, 3, 3 * 10**10),
    ],
)
def test_steps_cost_nearest_to_what_is_wanted(wanted: int, epoch: int, steps: int, expected: int) -> None:
    assert plan.matched_steps(wanted, epoch, steps) == expected


def test_a_matched_recipe_is_needed_with_all_that_leads_to_it(tiny: Graph) -> None:
    graph = study(tiny, long=matching())
    job = graph["train", KEY]
    assert tuple(need.key for need in graph.matched(job)) == WAY
    assert job.inputs[1:] == (*(paths.run(key, "run.json") for key in WAY), paths.subset("toy/seed1/16"))
    assert [maker.key for maker in graph.parents(job)] == ["toy-xs"]
    # Of how the matched recipe was made nothing is in the identity: its cost is, once it is known.
    assert json.loads(job.spec)["match"] == "flops"
    assert "match" not in json.loads(graph["train", WAY[0]].spec)


def test_runs_that_are_only_matched_are_made_first(tiny: Graph) -> None:
    raw = tiny.study.model_dump(mode="json")
    raw["stages"]["long"] = matching("sft-grpo")
    raw["recipes"]["long"] = ["long"]
    # At size 16 the study has no such cell.
    graph = parse(raw, "my.yaml")
    assert WAY[1] not in {cell.key for cell in graph.cells}
    names = list(graph.jobs)
    assert names.index(graph["train", WAY[1]].name) < names.index(graph["train", KEY].name)


def test_a_match_of_a_match_costs_what_its_own_runs_cost(tiny: Graph) -> None:
    graph = study(tiny, long=matching("longer"), longer=matching("grpo", "samples"))
    assert [need.at.stage for need in graph.matched(graph["train", KEY])] == ["longer"]


def test_all_that_there_is_matches_what_the_largest_size_costs(tiny: Graph) -> None:
    graph = study(tiny, recipes={"long": ["long@all", "sft"]}, long=matching("grpo"))
    [long] = [job for job in graph.of("train") if job.at.stage == "long"]
    assert [need.key for need in graph.matched(long)] == ["toy-xs/toy/seed1/grpo@32"]
    assert len([job for job in graph.of("train") if long.name in job.needs]) == 2


def test_who_writes_a_set_is_trained_first_and_costs_nothing(tiny: Graph) -> None:
    raw = tiny.study.model_dump(mode="json")
    traces = {"kind": "distill", "recipe": "grpo", "on": "toy", "samples": 4, "temperature": 1.0, "max_tokens": 32}
    raw |= {"examples": {"traces": traces}, "exclude": [], "other_data": ["taught"]}
    raw["stages"]["long"] = matching("taught")
    raw["recipes"] |= {"taught": [{"by": "sft", "on": "traces"}], "long": ["long"]}
    graph = parse(raw, "my.yaml")
    job = graph["train", KEY]
    [matched] = graph.matched(job)
    assert matched.at.stage == "sft"
    names = list(graph.jobs)
    assert names.index(graph["train", "toy-xs/toy/seed1/grpo@16"].name) < names.index(matched.name)
    raw["examples"]["traces"]["recipe"] = "long"
    with pytest.raises(StudyError, match=r"needs itself: .*recipes\.long -> recipes\.taught"):
        parse(raw, "my.yaml")


def test_how_long_it_trains_is_not_known_before_the_other_has_run(
    tiny: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    graph = study(tiny, long=matching("sft-grpo"), drawn=matching("sft", "samples", GRPO))
    loads = Workload(graph, list(graph.jobs))
    assert loads.of(graph["train", KEY]).row()[2:] == ["-", "-", "-", "?", "?", "?"]
    assert loads.of(graph["train", KEY.replace("long", "drawn")]).row()[2:] == ["?"] * 6
    text = "\n".join(loads.lines())
    assert "train long takes as long as sft-grpo costs, which is known once that has run" in text
    # Of the others it is.
    alone = Workload(tiny, list(tiny.jobs))
    assert loads.of(graph["train", WAY[0]]) == alone.of(tiny["train", WAY[0]])


def test_hours_of_a_matched_stage_are_not_those_of_its_kind(
    tiny: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    graph = study(tiny, long=matching("sft-grpo"), other=SFT)
    line = {"rule": "train", "started": 1.0, "seconds": 7.0, "cpu_seconds": 7.0, "ok": True}
    lines = [{**line, "key": key, "at": graph["train", key].at._asdict()} for key in (WAY[0], KEY)]
    lines[1]["seconds"] = 700.0
    Path("results/times").mkdir(parents=True)
    Path("results/times/node.jsonl").write_text(json.dumps(lines[0]))
    assert Durations(graph).of(graph["train", KEY]).source == "guess"
    Path("results/times/node.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = Durations(graph)
    assert found.of(graph["train", KEY])[::2] == (700.0, "measured")
    assert found.of(graph["train", KEY.replace("16", "32")])[::2] == (1400.0, "like")
    assert found.of(graph["train", KEY.replace("long", "other")])[::2] == (7.0, "like")


def written(graph: Graph, key: str, **more: Any) -> None:
    job = graph["train", key]
    records.write(job.record, {"spec": json.loads(job.spec), "fingerprint": key, **more})


def test_another_cost_is_another_run(tiny: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    graph = study(tiny, long=matching(by="tokens"))
    job = graph["train", KEY]
    turn = SimpleNamespace(record=SimpleNamespace(number=1), is_reuse=False)
    identities = []
    for tokens in (100, 100, 101):
        for key in WAY:
            written(graph, key, work={"samples": 1, "tokens": tokens, "flops": 5})
        parents = (Parent(Path("results/models/toy-xs/model"), "fp"),)
        cost = frame._cost(graph, job)
        identities.append(Task(graph, job, cast(Any, turn), frame.World(), parents, None, {}, Path(), cost).identity)
    assert cost == 202
    assert identities[0] == identities[1] != identities[2]
    written(graph, KEY, work={}, match={"wanted": 200})
    [difference] = [item for item in States(graph).wrong(job) if item.what == "match.wanted"]
    assert str(difference) == "match.wanted is 200, expected 202"
    written(graph, KEY, work={}, match={"wanted": 202})
    assert not [item for item in States(graph).wrong(job) if item.what == "match.wanted"]
    written(graph, WAY[1])
    with pytest.raises(records.RecordError, match=r"grpo@16/run.json: has no `work`"):
        frame._cost(graph, job)


# Stages, recipes (None: one of each stage), and what the message says.
MISTAKES: list[tuple[dict[str, Any], dict[str, Any] | None, str]] = [
    (
        {"long": matching(num_train_epochs=2)},
        None,
        "stages.long: match: decides how long it trains, and so does args.num_train_epochs; leave one of them out",
    ),
    (
        {"long": matching(max_steps=2)},
        None,
        "stages.long: match: decides how long it trains, and so does args.max_steps; leave one of them out",
    ),
    ({"long": matching(by="tokens", stage=GRPO)}, None, "stages.long: match.by: 'tokens': how long completions are is"),
    ({"long": matching(by="hours")}, None, "stages.long.match.by: 'hours'"),
    (
        {"long": matching("sft-grop")},
        None,
        "stages.long.match.recipe: unknown recipe 'sft-grop'; did you mean sft-grpo?",
    ),
    ({"long": matching("base")}, None, "stages.long.match.recipe: the base model costs nothing; name a recipe with"),
    ({"long": matching("long")}, None, "recipes.long: a recipe whose cost needs itself, by `match`: long -> long"),
    (
        {"long": matching("after")},
        {"long": ["long"], "after": {"start": ["long"], "steps": ["grpo"]}},
        "a recipe whose cost needs itself, by `match`: ",
    ),
    (
        {"a": matching("b"), "b": matching("a", "samples")},
        None,
        "a recipe whose cost needs itself, by `match`: ",
    ),
    (
        {"long": matching("tuned"), "tune": {**SFT, "vary": {"learning_rate": [0.1, 0.2]}}},
        {"long": ["long"], "tuned": ["tune"]},
        "stages.long.match.recipe: tuned stands for several models (stages.tune varies); name another",
    ),
]


@pytest.mark.parametrize(("stages", "recipes", "says"), MISTAKES)
def test_mistakes_are_one_clear_line(
    tiny: Graph, stages: dict[str, Any], recipes: dict[str, Any] | None, says: str
) -> None:
    with pytest.raises(StudyError) as error:
        study(tiny, recipes=recipes, **stages)
    assert says in str(error.value)
