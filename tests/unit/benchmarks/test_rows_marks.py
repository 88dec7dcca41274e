"""Rows with pictures in the middle of text: MMMU, its Pro settings and EMMA, from the file to the verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vision_rows import accepts_its_gold, made, official, picture, png, through_a_file

from reassess.benchmarks import mmmu, mmmu_pro, mmmu_pro_4, mmmu_pro_vision, module
from reassess.benchmarks.item import PUBLISHED
from reassess.example import Example, PutAside, RowError


def mmmu_row(
    question: str, options: Any, answer: str, pictures: tuple[str, ...] = ("red",), **more: Any
) -> dict[str, Any]:
    columns = {f"image_{i}": picture(pictures[i - 1]) if i <= len(pictures) else None for i in range(1, 8)}
    return {
        "id": "validation_Art_Theory_3",
        "question": question,
        "options": options,
        "answer": answer,
        "question_type": "multiple-choice",
        "explanation": "",
        **columns,
        **more,
    }


def emma_row(question: str, options: list[str] | None, answer: str, **more: Any) -> dict[str, Any]:
    columns = {f"image_{i}": picture("red") if i == 1 else None for i in range(1, 6)}
    row = {"pid": "phy_1", "question": question, "options": options, "answer": answer, "type": "Multiple choice"}
    groups = {"subject": "Physics", "category": "3D Field Simulation", "task": "", "context": "", "solution": None}
    return {**row, **groups, **columns, **more}


def test_pictures_stand_where_their_marks_are() -> None:
    row = mmmu_row("<image 1> Which follows?", "['<image 3>', '<image 2>', 'none']", "B", ("red", "blue", "lime"))
    item = made("mmmu", row)
    assert (item.question, item.options) == ("<image> Which follows?", ("<image>", "<image>", "none"))
    assert item.images == (png("red"), png("lime"), png("blue"))
    assert (item.id, item.family, item.gold, item.kind) == ("validation_Art_Theory_3", "Art_Theory", "B", "mcq")
    assert accepts_its_gold(item)
    assert official("mmmu", item, "(B)").correct is True
    assert official("mmmu", item, "(A)").correct is False


def test_a_picture_used_twice_is_given_twice_and_one_without_a_mark_comes_first() -> None:
    item = made("mmmu", mmmu_row("In <image 1>, and again <image 1>?", "['4', \"5'\"]", "A", ("red", "blue")))
    assert item.question == "<image>In <image>, and again <image>?"
    assert item.images == (png("blue"), png("red"), png("red"))
    assert item.options == ("4", "5'")
    assert made("mmmu", mmmu_row("Which?", "['4', '5']", "A", ("red", "blue"))).images == (png("red"), png("blue"))


@pytest.mark.parametrize(
    ("answer", "kind", "right", "wrong"),
    [
        ("8.4", "numeric", "8.4", "8.5"),
        ("Transformation", "math", "It is a transformation", "translation"),
        ("C", "math", "C", "B"),
        ("['24/7', '3.429']", "numeric", "3.429", "3.5"),
        ("['Tampa', 'Florida']", "math", "Tampa", "Miami"),
    ],
)
def test_open_questions_of_mmmu(answer: str, kind: str, right: str, wrong: str) -> None:
    item = made("mmmu", mmmu_row("What in <image 1>?", "[]", answer, question_type="open"))
    assert (item.gold, item.kind, item.options) == (answer, kind, ())
    assert accepts_its_gold(item)
    assert official("mmmu", item, right).correct is True
    assert official("mmmu", item, wrong).correct is False


@pytest.mark.parametrize(
    ("row", "reason", "column"),
    [
        (mmmu_row("See <image 2>.", "['1', '2']", "A"), "a mark in the text has no picture", "image_2"),
        (mmmu_row("Which?", "1, 2", "A"), "expected the text of a list", "options"),
        (mmmu_row("Which?", "__import__('os').getcwd()", "A"), "expected the text of a list", "options"),
        (mmmu_row("Which?", "[" * 3000, "A"), "expected the text of a list", "options"),
    ],
)
def test_an_odd_row_of_mmmu_is_put_aside(row: dict[str, Any], reason: str, column: str) -> None:
    with pytest.raises(RowError) as caught:
        module("mmmu").example(row)
    assert (caught.value.reason, caught.value.column) == (reason, column)


def test_a_subject_of_the_summary_is_that_of_the_id() -> None:
    item = made("mmmu", mmmu_row("Which?", "['1', '2']", "A"))
    outcome = official("mmmu", item, "(A)")
    found = mmmu.summary([mmmu.Row(item.id, outcome.correct, json.loads(item.metadata))])
    assert found == {"Overall-Art and Design": 1.0, "Art_Theory": 1.0, "Overall": 1.0}


def test_seven_columns_of_pictures_in_a_file(tmp_path: Path) -> None:
    rows = [
        mmmu_row("<image 1>?", "['<image 2>', 'x']", "A", ("red", "blue"), id="validation_Math_1"),
        mmmu_row("<image 2>?", "['1', 'x']", "A", ("red",), id="validation_Math_2"),
        mmmu_row("?", "['1', 'x']", "B", (), id="validation_Math_3"),
    ]
    first, second, third = through_a_file("mmmu", rows, tmp_path)
    assert isinstance(first, Example)
    assert (first.id, first.images) == ("validation_Math_1", (png("red"), png("blue")))
    assert second == PutAside("mmmu-00001", "mmmu", "a mark in the text has no picture", "image_2")
    assert isinstance(third, Example)
    assert third.images == ()


def test_the_settings_of_mmmu_pro_are_three_benchmarks() -> None:
    settings = [found.SOURCE for found in (mmmu_pro, mmmu_pro_4, mmmu_pro_vision)]
    assert [hub.configs for hub in settings] == [("standard (10 options)",), ("standard (4 options)",), ("vision",)]
    assert {hub.revision for hub in settings} == {"563f3e84bb3b90893083a1f039cfa13077f2302b"}
    row = mmmu_row("<image 1>?", str(list("abcdefghij")), "J", id="test_Math_1", subject="Math")
    for name in ("mmmu_pro", "mmmu_pro_4"):
        item = made(name, row)
        assert (item.source, item.gold, len(item.options), item.family) == (name, "J", 10, "Math")
        assert accepts_its_gold(item)
        assert official(name, item, "Answer: J").correct is True
        assert official(name, item, "Answer: I").correct is False


def test_options_in_a_list_within_the_list() -> None:
    item = made("mmmu_pro", mmmu_row("<image 1>?", "[\"['A', 'B', 'Not enough information']\"]", "B"))
    assert item.options == ("A", "B", "Not enough information")
    assert accepts_its_gold(item)


def test_a_screenshot_is_answered_by_letter_and_the_rule_knows_the_options() -> None:
    row = {
        "id": "test_Math_1",
        "options": "['red', 'blue', 'green']",
        "answer": "B",
        "image": picture(),
        "subject": "Math",
    }
    item = made("mmmu_pro_vision", row)
    assert item.question == "Answer the question in the image with the letter of an option: A, B, C."
    assert (item.options, item.gold, item.kind, item.images) == ((), "B", "mcq", (png("red"),))
    assert json.loads(item.metadata)[PUBLISHED] == {"gold": "B", "options": ["red", "blue", "green"]}
    assert accepts_its_gold(item)
    assert official("mmmu_pro_vision", item, "Answer: B").correct is True
    assert official("mmmu_pro_vision", item, "Answer: C").correct is False
    assert official("mmmu_pro_vision", item, "From what can be seen it is blue").correct is True, "an option's text"


def test_emma_has_small_letters_and_pictures_for_options() -> None:
    row = emma_row("<image_1> Which of <image2>?", ["<image_3>", "<image_2>"], "b")
    row |= {"image_2": picture("blue"), "image_3": picture("lime"), "context": "A field."}
    item = made("emma", row)
    assert (item.question, item.options) == ("A field.\n<image> Which of <image2>?", ("<image>", "<image>"))
    assert item.images == (png("red"), png("lime"), png("blue"))
    assert (item.id, item.gold, item.kind, item.family) == ("phy_1", "B", "mcq", "Physics")
    assert accepts_its_gold(item)
    assert official("emma", item, "\\boxed{B}").correct is True
    assert official("emma", item, "\\boxed{A}").correct is False


@pytest.mark.parametrize("options", [None, []])
def test_open_questions_of_emma(options: list[str] | None) -> None:
    item = made("emma", emma_row("<image_1> How many?", options, "26", type="Open-ended"))
    assert (item.gold, item.kind, item.options) == ("26", "numeric", ())
    assert accepts_its_gold(item)
    assert official("emma", item, "26.").correct is True
    assert official("emma", item, "27").correct is False
    several = made("emma", emma_row("<image_1> Which?", options, "['$MgS$', 'MgS']", type="Open-ended"))
    assert (several.kind, accepts_its_gold(several)) == ("math", True)
