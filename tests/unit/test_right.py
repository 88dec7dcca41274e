"""Every row has one form that SFT, RL and evaluation can use, or a reason why it has none."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from reassess import prompts
from reassess.data.right import answer, right
from reassess.example import Example, PutAside
from reassess.judge import follows_format, judge
from reassess.judge.formats import TEMPLATES

COLOURS = ("red", "blue", "green", "white")


def example(**changes: Any) -> Example:
    fields: dict[str, Any] = {"gold": "3", "kind": "numeric", "rationales": ("I count.",), **changes}
    return replace(Example("a", (), "How many?", (), "", "", (), "mine", "", 0), **fields)


def choice(gold: str, *options: str, **changes: Any) -> Example:
    return example(**{"gold": gold, "kind": "mcq", "options": options or COLOURS, **changes})


def picture(colour: str, dot: str) -> bytes:
    image = Image.new("RGB", (8, 6), colour)
    image.putpixel((2, 2), {"red": (255, 0, 0), "blue": (0, 0, 255)}[dot])
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


GOLDS: list[tuple[Example, str]] = [
    (choice("B"), "B"),
    (choice("b"), "B"),
    (choice("(B)"), "B"),
    (choice("B."), "B"),
    (choice("blue"), "B"),
    (choice("1"), "B"),
    (choice("Option B"), "B"),
    (choice("B: blue"), "B"),
    (choice("C, A"), "A, C"),
    (choice("red or blue", "red or blue", "green"), "A"),
    (choice("2", "1", "2", "3"), "B"),
    (choice("B", question="Which? A. red B. blue", options=()), "B"),
    (example(gold=r"$\boxed{3}$"), "3"),
    (example(gold="1 + 2 = 3 #### 3"), "3"),
    (example(gold=" 3\n"), "3"),
    (example(gold=r"$\boxed{\frac{1}{2}}$", kind="math"), r"\frac{1}{2}"),
    (example(gold="<answer> 145° </answer>"), "145°"),
    (example(gold="['3', 'three']", kind="text"), "['3', 'three']"),
    (example(gold="None", kind="text"), "None"),
    (example(gold="x < 3", kind="math"), "x < 3"),
]


@pytest.mark.parametrize(("item", "gold"), GOLDS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_what_sft_imitates_is_what_the_judge_calls_right(item: Example, gold: str, template: Any) -> None:
    noted: Counter[str] = Counter()
    found = right(item, noted)
    assert isinstance(found, Example)
    assert found.gold == gold
    assert noted["gold rewritten"] == (gold != item.gold)
    target = prompts.target(found.rationales[0], answer(found.gold), prompts.Prompt(format=template))
    assert judge(target, found.gold, found.kind, found.options or None).correct is True
    assert follows_format(target, template)


ASIDE: list[tuple[Example, str, str]] = [
    (example(id=""), "id", "id is empty"),
    (example(kind="essay"), "kind", "kind is not one of math, numeric, mcq, text"),
    (example(question=" \n"), "question", "question is empty"),
    (example(question="\u200b"), "question", "question is empty"),
    (example(question="nan"), "question", "question is no value"),
    (example(question="\ud800"), "question", "question is not Unicode text"),
    (choice("A", "x", "\udc00"), "options", "options is not Unicode text"),
    (example(gold="  "), "gold", "gold is empty"),
    (example(gold="nan"), "gold", "gold is no value"),
    (example(gold="\u200b"), "gold", "gold is empty"),
    (example(gold="NaN", kind="text"), "gold", "gold is no value"),
    (example(gold="#N/A", kind="text"), "gold", "gold is no value"),
    (example(gold="None"), "gold", "gold is no value"),
    (example(gold="some apples"), "gold", "gold is not a number"),
    (example(gold="{", kind="math"), "gold", "the judge does not accept the gold as an answer"),
    (example(difficulty=2**63), "difficulty", "difficulty is no number of 64 bits"),
    (choice("4"), "gold", "gold is none of the options, whose indices count from 0"),
    (choice("E"), "gold", "gold is none of the options"),
    (choice("yellow"), "gold", "gold is none of the options"),
    (choice("B or C"), "gold", "gold is none of the options"),
    (choice("B. A or C", "green", "A or C", "blue"), "gold", "gold is none of the options"),
    (choice("B/C"), "gold", "gold is none of the options"),
    (choice("A", "red"), "options", "mcq with a single option"),
    (choice("A", "red", ""), "options", "an option is empty"),
    (choice("A", "red", "nan"), "options", "an option is no value"),
    (choice("A", *map(str, range(27))), "options", "more than 26 options"),
    (choice("B", options=()), "options", "mcq without options"),
    (choice("blue", question="A. red B. blue", options=()), "gold", "gold is no letter"),
    (example(images=(b"no picture",)), "images", "image cannot be decoded"),
    (
        example(question="<image><image>How many?", images=(picture("red", "blue"),)),
        "question",
        "<image> stands in its text 2 times, and it has 1 images",
    ),
]


@pytest.mark.parametrize(("item", "column", "reason"), ASIDE)
def test_what_nobody_can_use_is_put_aside_with_column_and_reason(item: Example, column: str, reason: str) -> None:
    assert right(item, Counter()) == PutAside(item.id, "mine", reason, column)


RATIONALES: list[tuple[tuple[str, ...], tuple[str, ...] | None]] = [
    (("I count.", "I add."), ("I count.", "I add.")),
    (("<think>I count.</think>\n<answer>3</answer>",), ("I count.",)),
    (("I count.</think> <answer>3</answer>",), ("I count.",)),
    (("I count. <answer>four</answer>", "I add."), ("I add.",)),
    (("I count. <answer>3</answer>",), ("I count.",)),
    (("<think>I count.</think>",), ("I count.",)),
    (("<think>I count.</think>It is 4.", "I add."), ("I add.",)),
    (("I <think> count.",), None),
    (("<think>I count.</think><answer>4</answer>",), None),
    (("<think> </think><answer>3</answer>",), None),
    (("", " "), ()),
    ((), ()),
    (("It is a \\boxed{3}.",), ("It is a \\boxed{3}.",)),
    (("Not \\boxed{4}. It is a \\boxed{3}.",), ("Not \\boxed{4}. It is a \\boxed{3}.",)),
    (("It is a \\boxed{4}.", "I add."), ("I add.",)),
    (("It is a \\boxed{4}.",), None),
    (("<THINK>I count.</THINK>",), None),
    (("If 2 < 3, I count.",), ("If 2 < 3, I count.",)),
]


@pytest.mark.parametrize(("given", "kept"), RATIONALES)
def test_rationales_lose_tags_of_their_own_or_are_left_out(
    given: tuple[str, ...], kept: tuple[str, ...] | None
) -> None:
    noted: Counter[str] = Counter()
    found = right(example(rationales=given), noted)
    if kept is None:
        reason = "no rationale that leads to the gold and has no tags of its own"
        assert found == PutAside("a", "mine", reason, "rationales")
    else:
        assert isinstance(found, Example)
        assert found.rationales == kept
        assert noted["rationales rewritten or left out"] == (given != kept)


def test_pictures_of_a_single_colour_are_used_and_counted() -> None:
    noted: Counter[str] = Counter()
    pictures = (picture("red", "red"), picture("red", "blue"))
    assert isinstance(right(example(images=pictures), noted), Example)
    assert noted == Counter({"pictures of a single colour": 1})
