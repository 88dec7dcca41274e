"""The table of what RL draws, from synthetic records, against numbers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic import csv, edit_json, first, make_study, row, small_study, write_results

from reassess import paths
from reassess.analyse.write import tables


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def drawn(key: str, prompts: int, used: int, filled: int, discarded: int, rewards: list[dict[str, float]]) -> None:
    """Have a finished run of RL say what it drew, and what it logged."""
    folder = Path(paths.run(key))
    said = {"prompts_drawn": prompts, "groups_kept": used, "groups_filled": filled, "discarded_tokens": discarded}
    edit_json(folder / "run.json", rollouts={**said, "data_passes": prompts / 20}, costs={"gpu_seconds": 400.0})
    lines = [{"step": step, **line} for step, line in enumerate(rewards, 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_sampling_sets_runs_with_and_without_dynamic_sampling_side_by_side() -> None:
    rl = {"kind": "grpo", "batch_size": 8, "rewards": {"accuracy": 1.0, "format": 0.5}, "args": {"num_generations": 4}}
    graph = small_study(
        stages={"sft": {"kind": "sft", "batch_size": 2}, "grpo": rl, "dapo": {**rl, "resample": {}}},
        recipes={"base": [], "grpo": ["grpo"], "dapo": ["dapo"], "sft-grpo": ["sft", "grpo"]},
        sizes=[20],
        seeds=[1, 2],
    )
    write_results(graph, first({"grpo": 20, "dapo": 30}))
    for seed in (1, 2):
        plain = [{"reward": 0.5, "rewards/accuracy/mean": 0.1 * seed}] * 30
        plain[-1] = {"reward": 0.9, "rewards/accuracy/mean": 0.4 * seed}
        drawn(f"m1/pool/seed{seed}/grpo@20", 40, 40, 0, 0, plain)
        drawn(f"m1/pool/seed{seed}/sft@20/grpo@20", 40, 40, 0, 0, plain)
        # One step of two draws no completion that is judged, and one has no reward of its own.
        kept = [{"reward": 1.0, "rewards/accuracy/mean": 0.5, "resample/accuracy_drawn": 0.25}, {"loss": 0.1}]
        drawn(f"m1/pool/seed{seed}/dapo@20", 90 * seed, 30, 10, 700, kept)
    tables(graph)
    numbers = csv("sampling").set_index("lineage")
    assert list(numbers.index) == ["grpo@20", "dapo@20", "sft@20/grpo@20"]
    counts = ["prompts_drawn", "prompts_used", "prompts_thrown_away", "groups_filled", "data_passes", "steps_done"]
    assert numbers.loc["grpo@20", counts].tolist() == [40, 40, 0, 0, 2, 20]
    assert numbers.loc["dapo@20", counts].tolist() == [135, 30, 105, 10, 6.75, 20]
    assert numbers.loc["dapo@20", ["discarded_tokens", "seconds", "gpu_seconds", "cpu_seconds"]].tolist() == [
        *(700, 100, 400, 200)
    ]
    # The last three of thirty lines: 0.1, 0.1 and 0.4 for one seed, twice as much for the other.
    assert numbers.loc["grpo@20", "accuracy_drawn"] == pytest.approx(0.3)
    assert numbers.loc["grpo@20", "reward"] == pytest.approx((0.5 + 0.5 + 0.9) / 3)
    assert numbers.loc["dapo@20", ["reward", "accuracy_drawn"]].tolist() == [1, 0.25]
    assert numbers["accuracy"].tolist() == [0.5, 0.75, 0.5]
    found = row("sampling", "dapo@20")
    assert found[:8] == ["20", "135", "30", "105", "6.75", "700", "1.000", "0.250"]
    assert found[8].startswith("75.0 ±")
    assert found[9:] == ["100", "400", "200", "2 of 2"]


def test_sampling_says_what_a_run_does_not_know_and_what_is_not_there() -> None:
    graph = make_study()
    write_results(graph)
    Path(paths.run("m1/pool/seed2/sft@20/grpo@20", "run.json")).unlink()
    tables(graph, partial=True)
    found = row("sampling", "sft@20/grpo@20", partial=True)
    assert (found[1], found[-1]) == ("—", "1 of 2")
    assert "without m1/pool/seed2/sft@20/grpo@20: no run.json" in Path(paths.table("sampling", "md", True)).read_text()
