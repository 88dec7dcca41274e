"""The toy task: splits that share nothing, right golds, and the same examples for the same source."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from reassess.example import Example, images_sha256
from reassess.judge import judge
from reassess.models.toy import _lessons
from reassess.prompts import Prompt, target
from reassess.sources import scenes as toy
from reassess.sources.toy import FAMILIES, ToySource

PROMPT = Prompt(instruction="Think, then answer.")
SPLITS = {
    "pool": ToySource(kind="toy", n=2400),
    "id": ToySource(kind="toy", n=512, split="test"),
    "ood": ToySource(kind="toy", n=528, split="test", ood=True),
    "text": ToySource(kind="toy", n=512, split="test", text_only=True),
    "other seed": ToySource(kind="toy", n=512, split="test", seed=3),
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Example]]:
    return {name: list(source.read()) for name, source in SPLITS.items()}


def test_pool_pretraining_and_benchmarks_share_nothing(drawn: dict[str, list[Example]]) -> None:
    rng = random.Random(0)
    lessons = _lessons(PROMPT, rng)
    pretraining = set()
    for _ in range(20_000):
        lesson = next(lessons)
        if lesson.picture is not None:
            shown = Example("", (toy.png(lesson.picture),), lesson.example.question, (), "", "", (), "", "", 0)
            pretraining.add(images_sha256(shown.pil()))
        else:
            pretraining.add(lesson.example.question)
    assert len(pretraining) > 5_000

    def seen(examples: list[Example]) -> set[str | None]:
        return {images_sha256(item.pil()) or item.question for item in examples}

    pool, benchmarks = drawn["pool"], [drawn[name] for name in ("id", "ood", "text", "other seed")]
    for benchmark in benchmarks:
        assert not seen(benchmark) & pretraining
        assert not {item.content_sha256() for item in benchmark} & {item.content_sha256() for item in pool}
    assert not seen(pool) & pretraining


def test_benchmark_digits_are_never_trained_on() -> None:
    train, pretrain, test = (
        {picture.tobytes() for pictures in toy._digits(split).values() for picture in pictures}
        for split in ("train", "pretrain", "test")
    )
    assert train == pretrain
    assert not train & test
    assert len(test) > 400


def test_families_and_levels_are_even(drawn: dict[str, list[Example]]) -> None:
    for name, levels in (("pool", 2), ("id", 2), ("text", 2), ("ood", 3)):
        counts = Counter((item.family, item.difficulty) for item in drawn[name])
        assert len(counts) == len(FAMILIES) * levels
        assert max(counts.values()) - min(counts.values()) <= 1


def test_examples_are_distinct_and_repeatable(drawn: dict[str, list[Example]]) -> None:
    for name, source in SPLITS.items():
        assert len({item.content_sha256() for item in drawn[name]}) == len(drawn[name]) == source.n
        assert len({item.id for item in drawn[name]}) == source.n
        assert list(source.read()) == drawn[name]


def test_out_of_distribution_has_pairs_that_training_has_not() -> None:
    rng = random.Random(1)

    def pairs(scene: toy.Scene) -> set[frozenset[object]]:
        names = [thing.name for thing in scene.things.values()]
        return {frozenset([a, b]) for i, a in enumerate(names) for b in names[:i]}

    held_out = toy.HELD_OUT | {frozenset(map(str, pair)) for pair in toy.HELD_OUT_DIGITS}
    for family, level in toy.slots(FAMILIES) * 50:
        assert not pairs(toy.scene(family, level, rng)) & held_out
    for family, level in toy.slots(FAMILIES, ood=True) * 50:
        assert pairs(toy.scene(family, level, rng, ood=True)) & held_out


def test_golds_follow_from_the_scene() -> None:
    """The answer is computed again from the things in the picture, not from the rationale."""
    rng = random.Random(2)
    for family, level in toy.slots(FAMILIES) * 100:
        scene = toy.scene(family, level, rng)
        heights = {thing.name: thing.height for thing in scene.things.values()}
        words = scene.question.rstrip("?.").split()
        if family == "sum":
            expected = str(sum(int(thing.name) for thing in scene.things.values()))
        elif family == "bars":
            signs = {"plus": 1, "minus": -1}
            total, sign = 0, 1
            for word in words[3:]:
                sign = signs.get(word, sign)
                total += sign * heights[word] if word in heights else 0
            expected = str(total)
        elif family == "tallest":
            expected = "ABCD"[scene.options.index(max(heights, key=lambda name: heights[name]))]
        else:
            where = next(cell for cell, thing in scene.things.items() if thing.name == words[2].rstrip(","))
            row, column = "ab".index(where[0]), "12".index(where[1])
            for word in words:
                down, right = toy.MOVES.get(word.strip(".,"), (0, 0))
                row, column = row + down, column + right
            expected = scene.things["ab"[row] + "12"[column]].name
        assert scene.gold == expected, scene


def test_the_reference_response_is_judged_right(drawn: dict[str, list[Example]]) -> None:
    for name in ("pool", "ood", "text"):
        for item in drawn[name][:200]:
            response = target(item.rationales[0], item.gold, PROMPT)
            assert judge(response, item.gold, item.kind, item.options).correct is True


def test_asking_for_more_than_there_is_says_so() -> None:
    with pytest.raises(ValueError, match="distinct examples of 100000 could be drawn"):
        list(ToySource(kind="toy", n=100_000, families=("locate",), split="test", text_only=True).read())


def test_examples_are_drawn_as_they_are_asked_for() -> None:
    first, second = itertools.islice(ToySource(kind="toy", n=10**9).read(), 2)
    assert [first.id, second.id] == ["toy-train-0-000000", "toy-train-0-000001"]
