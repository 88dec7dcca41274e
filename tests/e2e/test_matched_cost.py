"""Matched cost on the toy model: SFT for as long as GRPO, or SFT and GRPO, has cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reassess import paths
from reassess.data.subset import build_subset
from reassess.graph import Graph, parse
from reassess.graph.state import States
from reassess.train.frame import train

N = 8


@pytest.fixture
def work(tiny: Graph, tiny_results: Path) -> Graph:
    """The tiny study with stages of SFT that match, at one small size; its pool and base model are made."""
    raw = tiny.study.model_dump(mode="json")
    args = {"learning_rate": 1.0e-3, "save_steps": 2}
    # Two uses of a completion, and a reference model.
    raw["stages"]["grpo"] |= {"trajectory": 0}
    del raw["suites"]["held-out"]
    raw["stages"]["grpo"]["args"] |= {"num_iterations": 2, "beta": 0.1}
    for name, recipe, by in (("by-samples", "grpo", "samples"), ("by-flops", "sft-grpo", "flops")):
        stage = {"kind": "sft", "batch_size": 3, "match": {"recipe": recipe, "by": by}, "args": args}
        raw["stages"][name], raw["recipes"][name] = stage, [name]
    graph = parse({**raw, "sizes": [N], "exclude": []}, "test")
    for job in graph.of("subset"):
        build_subset(job)
    return graph


def made(graph: Graph, name: str) -> dict[str, Any]:
    train(graph, graph["train", f"toy-xs/toy/seed1/{name}"])
    return record(name)


def record(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(paths.run(f"toy-xs/toy/seed1/{name}", "run.json")).read_text())
    return found


def test_sft_is_trained_for_as_long_as_rl_has_cost(work: Graph) -> None:
    grpo = made(work, f"grpo@{N}")
    # Eight prompts with four completions each; TRL counts each of their tokens once, and each is trained on twice.
    assert grpo["work"]["samples"] == grpo["samples_seen"] == 4 * N
    assert grpo["work"]["tokens"] == 2 * grpo["tokens_seen"]
    weights, cost = grpo["weights"]["total"], grpo["work"]
    forward = cost["flops"] // weights - 6 * cost["tokens"]
    assert forward % 2 == 0
    # Each completion goes through the reference model and the model before its update, and is sampled: less than three
    # times all of its tokens, because a prompt is sampled from once.
    assert 2 * grpo["tokens_seen"] < forward // 2 < 3 * grpo["tokens_seen"]

    by_samples = made(work, f"by-samples@{N}")
    # Eight rows in batches of three are three steps.
    assert by_samples["steps_done"] == by_samples["steps_planned"] == 12
    assert by_samples["match"] == {"recipe": "grpo", "by": "samples", "wanted": 32, "actual": 32, "steps": 12}
    epoch = by_samples["tokens_seen"] / 4

    first = made(work, f"sft@{N}")
    assert first["work"] == {
        "samples": 2 * N,
        "tokens": first["tokens_seen"],
        "flops": 6 * weights * first["tokens_seen"],
    }
    assert first["tokens_seen"] == 2 * epoch
    second = made(work, f"sft@{N}/grpo@{N}")
    by_flops = made(work, f"by-flops@{N}")
    wanted = first["work"]["flops"] + second["work"]["flops"]
    step = 6 * weights * epoch / 3
    assert by_flops["match"]["wanted"] == wanted
    assert by_flops["steps_done"] == by_flops["match"]["steps"] == round(wanted / step)
    assert by_flops["match"]["actual"] == by_flops["work"]["flops"] == 6 * weights * by_flops["tokens_seen"]
    # Half a step, and what the rows of the last epoch differ from the mean.
    assert abs(by_flops["match"]["actual"] - wanted) < 1.5 * step

    # The same cost is the same run, and another cost another one.
    job = work["train", f"toy-xs/toy/seed1/by-samples@{N}"]
    assert States(work).of(job) == "done"
    file = Path(paths.run(f"toy-xs/toy/seed1/grpo@{N}", "run.json"))
    file.write_text(json.dumps({**grpo, "work": {**cost, "samples": 16}}))
    assert States(work).of(job) == "outdated"
    again = made(work, f"by-samples@{N}")
    assert (again["steps_done"], again["identity"] == by_samples["identity"]) == (6, False)
    file.write_text(json.dumps(grpo))
    assert made(work, f"by-samples@{N}") == by_samples
