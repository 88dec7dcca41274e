"""The kinds of RL side by side: what each makes of rewards, what reaches TRL, and a stopped run of RLOO."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from interrupted import stop_at
from reassess import paths
from reassess.graph import Graph, parse
from reassess.train.frame import train
from reassess.train.group_trainer import GroupTrainer
from reassess.work.turns import Interrupted

G = 4
ARGS = {
    "num_train_epochs": 1,
    "num_generations": G,
    "max_completion_length": 24,
    "learning_rate": 2e-4,
    "logging_steps": 1,
    "save_steps": 2,
}
# As in docs/rl.md, two optimizer steps a draw where ratios of probabilities are to count.
KINDS: dict[str, dict[str, Any]] = {
    "grpo": {"kind": "grpo", "args": {"loss_type": "grpo", "beta": 0.04}},
    "dr-grpo": {"kind": "grpo", "args": {"loss_type": "dr_grpo", "scale_rewards": False}},
    "dapo": {"kind": "grpo", "args": {"loss_type": "dapo", "epsilon_high": 0.28, "mask_truncated_completions": True}},
    "gspo": {
        "kind": "grpo",
        "args": {
            "loss_type": "grpo",
            "importance_sampling_level": "sequence",
            "epsilon": 3e-4,
            "epsilon_high": 4e-4,
            "generation_batch_size": 32,
        },
    },
    "rloo": {"kind": "rloo", "args": {"num_train_epochs": 2}},
}
# Fields of a metrics line that say how fast it went.
TIMING = {"tokens_per_second", "samples_per_second", "step_time"}


def study(tiny: Graph) -> Graph:
    raw = tiny.study.model_dump(mode="json")
    shared = {"batch_size": 16, "rewards": {"accuracy": 1.0, "format": 0.5}}
    raw["stages"] = {name: {**shared, **kind, "args": {**ARGS, **kind["args"]}} for name, kind in KINDS.items()}
    raw["recipes"], raw["exclude"], raw["sizes"] = {name: [name] for name in KINDS}, [], [16]
    del raw["suites"]["held-out"]
    return parse(raw, "kinds")


def key(name: str) -> str:
    return f"toy-xs/toy/seed1/{name}@16"


def result(name: str) -> dict[str, Any]:
    root = Path(paths.run(key(name)))
    record = json.loads((root / "run.json").read_text())
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    kept = ("fingerprint", "parents", "steps_done", "samples_seen", "tokens_seen", "work", "weights", "rollouts")
    metrics = [{name: value for name, value in line.items() if name not in TIMING} for line in lines]
    return {**{name: record[name] for name in kept}, "metrics": metrics}


@pytest.fixture(scope="module")
def made(tiny_base: Path, tiny: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Of each kind, trained: its result, its trainer, and rewards and advantages of its first completions."""
    folder, graph, found = tmp_path_factory.mktemp("kinds") / "work", study(tiny), {}
    shutil.copytree(tiny_base, folder)
    score, first = GroupTrainer._generate_and_score_completions, []

    def noted(self: Any, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        scored = score(self, inputs)
        logged = {name: torch.tensor(list(values)) for name, values in self._logs["rewards"].items()}
        first.append((self, logged, torch.tensor(list(self._logs["advantages"])), scored))
        return scored

    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(GroupTrainer, "_generate_and_score_completions", noted)
        for name in KINDS:
            first.clear()
            train(graph, graph["train", key(name)])
            found[name] = (result(name), *first[0])
        yield found


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_trains_and_is_recorded(name: str, made: dict[str, Any]) -> None:
    found, trainer, _, _, _ = made[name]
    steps, prompts = len(found["metrics"]), G * len(found["metrics"])
    assert steps == found["steps_done"] == (8 if name == "rloo" else 4)
    assert found["fingerprint"] != found["parents"][0]["fingerprint"]
    for line in found["metrics"]:
        # A step to completions that were drawn for one before it has no reward of its own.
        logged = {"loss", "grad_norm", "entropy", *({"reward"} & line.keys())}
        assert all(math.isfinite(line[key]) for key in logged)
    assert any(line["grad_norm"] > 0 for line in found["metrics"])
    drawn = {name: found["rollouts"][name] for name in ("engine", "prompts_drawn", "groups_kept", "data_passes")}
    assert drawn == {
        "engine": "transformers",
        "prompts_drawn": prompts,
        "groups_kept": prompts,
        "data_passes": prompts / 16,
    }
    assert found["samples_seen"] == G * prompts
    asked = {key: value for key, value in KINDS[name]["args"].items() if key != "scale_rewards"}
    assert {key: getattr(trainer.args, key) for key in asked} == asked


# Forward passes of a completion beside sampling: the reference model, and the model before its update, which RLOO
# always wants, and GRPO where a draw serves several steps.
@pytest.mark.parametrize(("name", "passes"), [("grpo", 1), ("dr-grpo", 0), ("gspo", 1), ("rloo", 2)])
def test_what_every_kind_has_cost(name: str, passes: int, made: dict[str, Any]) -> None:
    found = made[name][0]
    cost, tokens, draws = found["work"], found["tokens_seen"], [line for line in found["metrics"] if "reward" in line]
    assert (cost["samples"], cost["tokens"]) == (found["samples_seen"], tokens)
    forward, rest = divmod(cost["flops"] - 6 * found["weights"]["total"] * tokens, 2 * found["weights"]["total"])
    assert rest == 0
    each = found["samples_seen"] // len(draws)
    completions = round(sum(each * line["completions/mean_length"] for line in draws))
    # A prompt is read once for all of its completions.
    assert forward == passes * tokens + completions + (tokens - completions) // G


def test_every_kind_makes_of_rewards_what_its_paper_says(made: dict[str, Any]) -> None:
    differ = 0
    for name, (_, _, rewards, advantages, _) in made.items():
        sums = (rewards["accuracy"] + 0.5 * rewards["format"]).view(-1, G)
        centred = sums - sums.mean(dim=1, keepdim=True)
        by_kind = {"dr-grpo": centred, "rloo": centred * G / (G - 1)}
        expected = by_kind.get(name, centred / (sums.std(dim=1, keepdim=True) + 1e-4))
        assert torch.allclose(advantages.view(-1, G), expected, atol=1e-5), name
        differ += int(sums.std(dim=1).max() > 0)
    assert differ == len(KINDS)


def test_from_the_same_completions_every_kind_comes_to_other_weights(made: dict[str, Any]) -> None:
    found = {name: item[0]["fingerprint"] for name, item in made.items()}
    assert len(set(found.values())) == len(KINDS)
    # The first step of what draws as many at a time is to the same completions.
    rewards = [made[name][0]["metrics"][0]["reward"] for name in KINDS if name != "gspo"]
    assert len(set(rewards)) == 1


def test_dr_grpo_has_the_gradient_of_rloo_but_for_a_constant(made: dict[str, Any]) -> None:
    # In the first step RLOO's penalty is 0: the model is still the one that it is compared with.
    first = {name: made[name][0]["metrics"][0]["grad_norm"] for name in ("dr-grpo", "rloo")}
    constant = (G - 1) / (G * ARGS["max_completion_length"])
    assert first["dr-grpo"] == pytest.approx(constant * first["rloo"], rel=1e-4)


def test_a_ratio_of_whole_completions_clips_other_tokens(made: dict[str, Any]) -> None:
    """A draw serves two steps; in the second the ratios of GSPO leave their narrow bounds."""
    found, trainer, _, _, _ = made["gspo"]
    assert (trainer.importance_sampling_level, trainer.args.steps_per_generation) == ("sequence", 2)
    clipped = [line["clip_ratio/region_mean"] for line in found["metrics"]]
    assert clipped[0::2] == [0, 0]
    assert max(clipped[1::2]) > 0


def test_what_is_cut_off_teaches_nothing_in_dapo(made: dict[str, Any]) -> None:
    masks = {name: made[name][4]["completion_mask"].sum(dim=1) for name in ("dr-grpo", "dapo")}
    assert (masks["dr-grpo"] > 0).all()
    cut = masks["dapo"] == 0
    assert cut.any()
    assert not cut.all()
    assert (masks["dr-grpo"][cut] == ARGS["max_completion_length"]).all()
    assert torch.equal(masks["dr-grpo"][~cut], masks["dapo"][~cut])


@pytest.mark.usefixtures("tiny_results")
def test_a_stopped_run_of_rloo_ends_like_one_that_was_not(
    tiny: Graph, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in its first epoch and in its second, whose order of prompts and penalty must be those of one run."""
    graph, moments = study(tiny), [3, 6]
    stop_at(monkeypatch, moments)
    job = graph["train", key("rloo")]
    for _ in range(2):
        with pytest.raises(Interrupted, match="stopped by SIGTERM"):
            train(graph, job)
    train(graph, job)
    assert not moments
    assert result("rloo") == made["rloo"][0]
