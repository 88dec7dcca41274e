"""Rewards: what each gives, and what all of them have."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from reassess import graph
from reassess.graph import Graph
from reassess.judge import follows_format, judge
from reassess.rewards import REWARDS, Batch, Reward, Rewards
from reassess.rewards.accuracy import Accuracy
from reassess.rewards.format import Format
from reassess.rewards.overlong import Overlong
from reassess.study.read import StudyError

# One that is valid and not at its defaults, its identity, and a value that is refused with a word of the message.
CASES: dict[str, tuple[Any, dict[str, Any], Any, str]] = {
    "accuracy": (1, {"version": 1, "weight": 1.0}, {"weight": 1, "judge": "a"}, "valid keys: weight"),
    "format": (0.5, {"version": 1, "weight": 0.5}, float("nan"), "format.weight"),
    "overlong": (
        {"weight": 1, "buffer": 8},
        {"version": 1, "weight": 1.0, "buffer": 8},
        {"weight": 1, "buffer": 24},
        "buffer: 24 leaves nothing of args.max_completion_length 24",
    ),
}


def batch(texts: list[str], **fields: Any) -> Batch:
    n = len(texts)
    given = {"ids": [[0]] * n, "golds": [""] * n, "kinds": ["text"] * n, "options": [[]] * n, "limit": 8}
    return Batch(texts, **{**given, "form": "think_answer", **fields})


def with_rewards(tiny: Graph, **rewards: Any) -> Graph:
    raw = tiny.study.model_dump(mode="json")
    raw["stages"]["grpo"]["rewards"] = rewards
    return graph.parse(raw, "study")


def test_accuracy_is_the_judges_verdict_and_says_how_far_to_trust_it() -> None:
    cases = [
        ("<think>2 and 3</think><answer>5</answer>", "5", "numeric", []),
        ("<think>2 and 3</think><answer>6</answer>", "5", "numeric", []),
        ("<think>2 and 3</think>Not 5. <answer>6</answer>", "5", "numeric", []),
        ("", "5", "numeric", []),
        ("<think>bars</think><answer>B</answer>", "B", "mcq", ["red", "blue"]),
        ("<think>bars</think><answer>blue</answer>", "B", "mcq", ["red", "blue"]),
        ("<think>no gold</think><answer>1</answer>", "", "text", []),
    ]
    texts, golds, kinds, options = (list(column) for column in zip(*cases, strict=True))
    metrics: dict[str, float] = {}
    columns: dict[str, list[Any]] = {}
    given = batch(texts, golds=golds, kinds=kinds, options=options)
    given = given._replace(log_metric=metrics.__setitem__, log_column=columns.__setitem__)
    verdicts = [judge(text, gold, kind, tuple(choices) or None) for text, gold, kind, choices in cases]
    expected = [None if verdict.correct is None else float(verdict.correct) for verdict in verdicts]
    assert Accuracy(weight=1).of(given) == expected
    assert {1.0, 0.0, None} == set(expected)
    assert metrics == pytest.approx({"judge/unscored": 1 / 7, "judge/unparsed": 1 / 7, "judge/missed": 1 / 7})
    assert columns == {
        "gold": golds, "kind": kinds, "options": options,
        "answer": [verdict.answer for verdict in verdicts], "reason": [verdict.reason for verdict in verdicts],
    }  # fmt: skip


@pytest.mark.parametrize("form", ["think_answer", "think_boxed"])
def test_format_is_the_form_that_the_prompt_asks_for(form: str) -> None:
    texts = ["<think>a</think><answer>5</answer>", "5", "<think>a</think> so \\boxed{5}"]
    given = Format(weight=1).of(batch(texts, form=form))
    assert given == [float(follows_format(text, form)) for text in texts]
    assert set(given) == {0.0, 1.0}


@pytest.mark.parametrize(("limit", "buffer"), [(24, 8), (10, 1), (4096, 512), (16, 15)])
def test_overlong_is_equation_13(limit: int, buffer: int) -> None:
    """arXiv 2503.14476, equation 13, written out by its three cases."""
    lengths = np.arange(1, limit + 3)
    expected = np.select(
        [lengths <= limit - buffer, lengths <= limit], [0.0, ((limit - buffer) - lengths) / buffer], default=-1.0
    )
    given = batch([""] * len(lengths), ids=[[0] * n for n in lengths], limit=limit)
    np.testing.assert_allclose(Overlong(weight=1, buffer=buffer).of(given), expected)  # type: ignore[arg-type]
    assert expected.min() == -1
    assert expected.max() == 0


@pytest.mark.parametrize("name", REWARDS)
def test_every_reward_has_what_it_takes(name: str, tiny: Graph) -> None:
    reward = REWARDS[name]
    options, identity, refused, message = CASES[name]
    assert reward.__doc__
    assert reward.__doc__ != Reward.__doc__
    assert isinstance(reward.VERSION, int)
    chosen = Rewards.model_validate({name: options}).chosen
    assert {key: value.identity() for key, value in chosen.items()} == {name: identity}
    given = chosen[name].of(batch(["<answer>1</answer>", "no"], golds=["1", "1"]))
    assert len(given) == 2
    assert all(value is None or -1 <= value <= 1 for value in given)
    with pytest.raises(StudyError) as error:
        with_rewards(tiny, **{"accuracy": 1.0, name: refused})
    assert f"rewards.{name}" in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", REWARDS)
def test_a_reward_is_imported_without_torch(name: str) -> None:
    heavy = "{'torch', 'transformers', 'trl', 'datasets', 'pyarrow', 'sympy', 'numpy'} & set(sys.modules)"
    code = f"import sys; import {REWARDS[name].__module__}; print(sorted({heavy}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_rewards_are_weights_or_options_in_the_order_of_the_table(tiny: Graph) -> None:
    found = with_rewards(tiny, overlong={"weight": 1, "buffer": 4}, format=0.5, accuracy="1e-1")
    rewards = found.study.stages["grpo"].rewards  # type: ignore[union-attr]
    assert rewards.chosen == {
        "accuracy": Accuracy(weight=0.1),
        "format": Format(weight=0.5),
        "overlong": Overlong(weight=1, buffer=4),
    }
    again = graph.parse(found.study.model_dump(mode="json"), "again")
    assert again.study == found.study


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        ({"acuracy": 1.0}, "stages.grpo.rewards.acuracy: unknown key; did you mean accuracy?"),
        ({"accuracy": 1.0, "overlong": 1.0}, "stages.grpo.rewards.overlong.buffer: required, but missing"),
        ({"accuracy": "much"}, "stages.grpo.rewards.accuracy.weight: 'much'"),
        ({"accuracy": 1.0, "format": -0.5}, "weights must not be negative"),
        ({"accuracy": 0}, "their sum must be above 0"),
        ({}, "their sum must be above 0"),
    ],
)
def test_what_is_no_reward_is_said(rewards: dict[str, Any], message: str, tiny: Graph) -> None:
    with pytest.raises(StudyError) as error:
        with_rewards(tiny, **rewards)
    assert message in str(error.value)
