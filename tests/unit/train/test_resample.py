"""Dynamic sampling: which groups are learnt from, which prompts are drawn, and when a run has drawn enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from families.rows import text
from reassess.train.group_trainer import Counts
from reassess.train.resample import Ending, Group, Resampling
from reassess.train.rollouts import Sampled
from trainers import Played, built

ROWS = 12


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([1.0, 0.0, 1.0, 1.0], True),
        ([0.25, 0.75], True),
        ([1.0, 1.0, 1.0], False),
        ([0.0, 0.0], False),
        # Outside the band of the study, however different they are.
        ([1.0] * 7 + [0.0], False),
        # What the judge gives no score for says nothing of the others.
        ([None, 1.0, 0.0], True),
        ([None, 1.0, 1.0], False),
        ([None, 1.0], False),
        ([None, None], False),
        # Sums of floats differ in their last digits.
        ([0.1 + 0.2, 0.3], False),
        ([1.0, 1.0 - 1e-9, 1.0 + 1e-9], False),
        ([0.5, 0.5 + 1e-5], True),
    ],
)
def test_a_group_is_kept_where_some_are_better_than_others(scores: list[float | None], kept: bool) -> None:
    sampled = Sampled([[1, 2]] * len(scores), [[3]] * len(scores), [[-0.1]] * len(scores))
    group = Group(0, sampled, scores)
    assert group.is_between(0.1, 0.8) is kept
    assert group.tokens == len(scores)


# The stream of prompts


def stream(seed: int, shuffled: bool = True) -> Resampling:
    """Return a trainer that has no more than what the stream is made of."""
    found: Any = Resampling.__new__(Resampling)
    found.source, found.args, found.shuffle_dataset = range(ROWS), SimpleNamespace(data_seed=seed), shuffled
    return found  # type: ignore[no-any-return]


def drawn(seed: int, first: int, last: int) -> list[int]:
    trainer = stream(seed)
    return [trainer._row(position) for position in range(first, last)]


def test_every_pass_has_every_row_once_in_an_order_of_its_own() -> None:
    passes = [tuple(drawn(1, ROWS * i, ROWS * (i + 1))) for i in range(4)]
    assert all(sorted(order) == list(range(ROWS)) for order in passes)
    assert len({*passes, tuple(range(ROWS))}) == 5


def test_another_seed_draws_in_another_order() -> None:
    orders = {tuple(drawn(seed, 0, 2 * ROWS)) for seed in (0, 1, 2)}
    assert len(orders) == 3
    assert drawn(1, 0, ROWS) not in [drawn(0, ROWS * i, ROWS * (i + 1)) for i in range(5)]


def test_a_resumed_run_goes_on_in_the_stream() -> None:
    whole = drawn(3, 0, 3 * ROWS)
    for first in (1, ROWS - 1, ROWS, 2 * ROWS + 5):
        assert drawn(3, first, 3 * ROWS) == whole[first:]
    # Back and forth over the border of two passes.
    trainer = stream(3)
    assert [trainer._row(at) for at in (ROWS, ROWS - 1, 0, ROWS)] == [whole[at] for at in (ROWS, ROWS - 1, 0, ROWS)]


def test_rows_that_are_not_to_be_shuffled_come_in_their_order() -> None:
    trainer = stream(1, shuffled=False)
    assert [trainer._row(at) for at in range(ROWS + 2)] == [*range(ROWS), 0, 1]


# A step


def answer(row: dict[str, Any]) -> str:
    return f"<answer>{row['gold']}</answer>"


def other(row: dict[str, Any]) -> str:
    """Return an answer that is read, and wrong."""
    return f"<answer>{'D' if row['options'] else 1}</answer>"


def says(mixed: Callable[[str], bool], flat: Callable[[dict[str, Any]], str]) -> Callable[..., list[str]]:
    """Return an engine whose groups are right and wrong by turns, or all alike, by their rows' ids."""

    def said(rows: Sequence[dict[str, Any]]) -> list[str]:
        return [(answer(row) if i % 2 else other(row)) if mixed(row["id"]) else flat(row) for i, row in enumerate(rows)]

    return said


def resampling(directory: Path, folder: Path, rounds: int = 10, **options: Any) -> Any:
    """Return a trainer whose steps learn from two groups of two, and its engine."""
    sampling = {"rounds": rounds, **options.pop("sampling", {})}
    stage = {"batch_size": 4, "resample": sampling, **options.pop("stage", {})}
    trainer = built(
        directory, text("r", ROWS), folder, stage, per_device_train_batch_size=4, max_completion_length=24, **options
    )
    assert isinstance(trainer.rollouts, Played)
    trainer.model.train()
    return trainer


def step(trainer: Any) -> Any:
    """Return what a step learns from; the rows of TRL's own sampler do not matter."""
    return trainer._generate_and_score_completions([trainer.train_dataset[0]] * 4)


@pytest.fixture
def model(family: Callable[[str], Path]) -> Path:
    return family("llama3.2")


def logged(trainer: Any, name: str) -> float:
    value: float = trainer._metrics["train"][f"resample/{name}"][-1]
    return value


def test_prompts_are_drawn_until_a_batch_of_mixed_groups_is_there(model: Path, tmp_path: Path) -> None:
    trainer = resampling(model, tmp_path)
    order = [f"r-{trainer._row(i)}" for i in range(ROWS)]
    chosen = {order[1], order[4], order[5]}
    trainer.rollouts.says = says(chosen.__contains__, answer)
    made = step(trainer)
    # Two prompts a draw, each with its completions beside each other.
    assert trainer.rollouts.asked == [[order[i], order[i], order[i + 1], order[i + 1]] for i in (0, 2, 4)]
    prompts = trainer.processing_class.batch_decode(made["prompt_ids"], skip_special_tokens=True)
    questions = {row["id"]: row["question"] for row in map(vars, text("r", ROWS))}
    for i, id_ in enumerate([order[1], order[1], order[4], order[4]]):
        assert questions[id_].splitlines()[0] in prompts[i]
    # Right and wrong in each, so that there is something to learn.
    assert (made["advantages"][:2] * made["advantages"][2:]).min() > 0.1
    assert made["advantages"][0] * made["advantages"][1] < -0.1
    drawn = [ids for sampled in trainer.rollouts.drawn for ids in sampled.ids]
    learnt = [drawn[i] for group in (1, 4) for i in (2 * group, 2 * group + 1)]
    pairs = zip(made["completion_ids"], made["completion_mask"].bool(), strict=True)
    assert [row[mask].tolist() for row, mask in pairs] == learnt
    spent = sum(map(len, drawn)) - sum(map(len, learnt))
    counts = trainer.counts
    assert (counts.prompts, counts.groups, counts.filled, counts.discarded) == (6, 2, 0, spent)
    assert [logged(trainer, name) for name in ("rounds", "filled", "surplus")] == [3, 0, 1]
    assert logged(trainer, "discarded_tokens") == spent
    assert logged(trainer, "kept_share") == pytest.approx(3 / 6)
    assert logged(trainer, "data_passes") == 6 / ROWS
    # The next step goes on where this one ended.
    trainer.rollouts.asked.clear()
    step(trainer)
    assert trainer.rollouts.asked[0][0] == order[6]


@pytest.mark.parametrize("flat", [answer, other], ids=["right", "wrong"])
def test_what_is_missing_after_the_last_attempt_is_filled(
    flat: Callable[[dict[str, Any]], str], model: Path, tmp_path: Path
) -> None:
    trainer = resampling(model, tmp_path, rounds=2)
    order = [f"r-{trainer._row(i)}" for i in range(4)]
    trainer.rollouts.says = says({order[3]}.__contains__, flat)
    made = step(trainer)
    assert len(trainer.rollouts.asked) == 2
    # The mixed one, and the first of the others: it teaches nothing.
    assert made["advantages"][:2].abs().min() > 0.1
    assert made["advantages"][2:].abs().max() == 0
    assert [logged(trainer, name) for name in ("rounds", "filled", "surplus")] == [2, 1, 0]
    assert (trainer.counts.prompts, trainer.counts.groups) == (4, 1)


def test_groups_are_kept_by_accuracy_alone(model: Path, tmp_path: Path) -> None:
    """Of two wrong completions one has the form, so that their rewards differ; neither is right."""
    stage = {"rewards": {"accuracy": 1.0, "format": 1.0}}
    trainer = resampling(model, tmp_path, rounds=1, stage=stage)
    trainer.rollouts.says = lambda rows: [
        ("", "<think>I look.</think>")[i % 2] + other(row) for i, row in enumerate(rows)
    ]
    made = step(trainer)
    # What fills the batch is not learnt from, although it is rewarded differently.
    assert trainer._metrics["train"]["reward_std"][-1] > 0.1
    assert made["advantages"].abs().max() == 0
    assert (logged(trainer, "filled"), trainer.counts.groups, trainer.counts.filled) == (2, 0, 2)
    assert logged(trainer, "accuracy_drawn") == 0


def test_what_is_thrown_away_is_not_in_the_metrics(model: Path, tmp_path: Path) -> None:
    trainer = resampling(model, tmp_path)
    learnt = {f"r-{trainer._row(i)}" for i in (2, 3)}
    # Without an answer, which the judge counts.
    trainer.rollouts.says = says(learnt.__contains__, lambda row: "<answer></answer>")
    step(trainer)
    metrics = trainer._metrics["train"]
    assert metrics["rewards/accuracy/mean"] == [0.5]
    assert metrics["judge/unparsed"] == [0]


# The end of a run


def ends(prompts: int, step: int, budget: int | None, boundary: int = 1) -> bool:
    trainer = stream(1)
    trainer.counts, trainer.budget = Counts(prompts=prompts), budget
    control = SimpleNamespace(should_log=False, should_training_stop=False)
    state: Any = SimpleNamespace(global_step=step)
    Ending(trainer, boundary).on_step_end(None, state, control)  # type: ignore[arg-type]
    assert control.should_log == control.should_training_stop
    return control.should_training_stop


def test_a_run_ends_when_its_prompts_are_drawn() -> None:
    assert [ends(prompts, 3, 8) for prompts in (7, 8, 9)] == [False, True, True]
    assert not ends(10**6, 3, None)


def test_a_run_ends_after_it_has_learnt_from_what_it_drew() -> None:
    """Where completions serve two steps the last ones are drawn before the first of the two."""
    assert [ends(8, step, 8, boundary=2) for step in (3, 4)] == [False, True]


def test_a_budget_of_prompts_ends_training(model: Path, tmp_path: Path) -> None:
    """Completions serve two steps of two prompts each; each draw but the first has to be made twice."""
    trainer = resampling(
        model, tmp_path, sampling={"budget": "prompts"}, plan={"samples": 12, "boundary": 2}, num_iterations=2,
        num_train_epochs=3, save_strategy="steps", save_steps=2,
    )  # fmt: skip
    mixed = {f"r-{trainer._row(i)}" for i in (0, 1, 4, 5)}
    trainer.rollouts.says = says(mixed.__contains__, answer)
    trainer.train()
    assert trainer.counts.prompts == 6
    assert trainer.state.global_step == 4
    assert Counts.of(tmp_path / "out/checkpoint-4") == trainer.counts
    assert Counts.of(tmp_path / "out/checkpoint-2").prompts == 2


def test_a_step_draws_no_more_than_the_budget(model: Path, tmp_path: Path) -> None:
    trainer = resampling(model, tmp_path, sampling={"budget": "prompts"}, plan={"samples": 12})
    trainer.rollouts.says = says({f"r-{trainer._row(4)}"}.__contains__, answer)
    step(trainer)
    assert (len(trainer.rollouts.asked), trainer.counts.prompts) == (3, 6)
    assert logged(trainer, "filled") == 1
    # A step of several generation batches has something to learn from in each.
    step(trainer)
    assert (len(trainer.rollouts.asked), trainer.counts.prompts) == (4, 8)
