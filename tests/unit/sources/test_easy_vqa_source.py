"""Easy-VQA: the questions of the package as examples."""

from __future__ import annotations

from typing import Any

import pytest
from easy_vqa import get_answers, get_test_questions

from reassess.example import DataError
from reassess.sources.easy_vqa import EasyVqaSource


def source(**options: Any) -> EasyVqaSource:
    return EasyVqaSource.model_validate({"kind": "easy-vqa", **options})


def test_the_questions_of_the_package_are_examples() -> None:
    texts, answers, pictures = get_test_questions()
    found = list(source(split="test", n=97).read())
    numbers = [int(item.id.rpartition("-")[2]) for item in found]
    assert len(set(numbers)) == 97
    assert numbers[0] == 0
    assert numbers[-1] > len(texts) * 0.98, "evenly spread"
    assert len({pictures[number] for number in numbers}) > 90
    for number, item in zip(numbers, found, strict=True):
        assert (item.question, item.gold, item.kind) == (texts[number], answers[number], "text")
        (picture,) = item.pil()
        assert picture.size == (64, 64)
        assert not item.rationales, "none is made up"
        assert item.family == {"yes": "yes/no", "no": "yes/no", "circle": "shape", "rectangle": "shape"}.get(
            item.gold, "shape" if item.gold == "triangle" else "colour"
        )
    assert {item.gold for item in found} <= set(get_answers())


def test_all_questions_are_read_in_order_by_default() -> None:
    texts, _, _ = get_test_questions()
    assert [item.question for item in source(split="test").read()] == texts


def test_a_rationale_is_the_one_that_the_study_says() -> None:
    (item,) = source(n=1, rationale="I look.").read()
    assert item.rationales == ("I look.",)
    assert source(n=1, rationale="I look.").identity() == {"kind": "easy-vqa", "n": 1, "rationale": "I look."}


def test_what_does_not_fit_is_said() -> None:
    assert list(source().misfits("visual", is_benchmark=False)) == []
    assert list(source(split="test").misfits("visual", is_benchmark=True)) == []
    assert list(source().misfits("text", is_benchmark=True)) == [
        "split 'train' is for pools",
        "modality 'text' does not fit questions with pictures",
    ]
    with pytest.raises(DataError, match="n is 100000, and split 'test' has 9673 questions"):
        next(source(split="test", n=100_000).read())
