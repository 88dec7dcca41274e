"""Rows of vision benchmarks as they are published, oddities included, become examples that judge and rule can use."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from vision_rows import accepts_its_gold, made, official, picture, png, through_a_file

from reassess.benchmarks import module
from reassess.benchmarks.item import PUBLISHED
from reassess.benchmarks.rules import missing_metadata
from reassess.example import Example, PutAside, RowError
from reassess.judge import judge

MATHVISTA: dict[str, Any] = {
    "pid": "7",
    "question": "What is its shape?",
    "image": "images/7.jpg",
    "decoded_image": picture(),
    "choices": ["square", "round", "round"],
    "unit": None,
    "precision": None,
    "answer": "round",
    "question_type": "multi_choice",
    "answer_type": "text",
    "metadata": {"task": "figure question answering", "split": "testmini"},
    "query": "Hint: ...",
}
MATHVERSE: dict[str, Any] = {
    "sample_index": "1",
    "problem_index": "1",
    "problem_version": "Text Dominant",
    "question": "The size of angle CED is ()\nChoices:\nA:40°\nB:60°\nC:120°\nD:140°",
    "image": picture(),
    "answer": "D",
    "question_type": "multi-choice",
    "metadata": "{'split': 'testmini', 'source': 'GeoQA'}",
    "query_wo": "...",
    "query_cot": "...",
    "question_for_eval": "The size of angle CED is ()\nChoices:\nA:40°\nB:60°\nC:120°\nD:140°",
}
MATHVISION: dict[str, Any] = {
    "id": "2",
    "question": "Which figure is it?\n<image1>",
    "options": ["A", "B", "C", "D", "E"],
    "answer": "B",
    "solution": None,
    "level": 3,
    "subject": "arithmetic",
    "image": "images/2.jpg",
    "decoded_image": picture(),
}
MMSTAR: dict[str, Any] = {
    "index": 0,
    "question": "Which colour is it?\nOptions: A: red, or so, B: blue, C: green, D: none",
    "image": picture(),
    "answer": "A",
    "category": "coarse perception",
    "l2_category": "image style & quality",
    "meta_info": {"source": "MMBench"},
}
WE_MATH: dict[str, Any] = {
    "ID": "2steps_1",
    "split": "testmini",
    "knowledge concept": "Area of Circles",
    "question": "OA = ( ) m, AB = ( ) m",
    "option": "A. 300, 400;B. 400, 300;C．3000, 4000;   D. 4000, 3000; E. No correct answer",
    "answer": "C",
    "image_path": picture(),
    "key": "2steps_multi",
    "question number": 1,
    "knowledge concept description": "...",
}
LOGICVISTA: dict[str, Any] = {
    "id": "v1_1",
    "question": "Andrea is older. Select from A, B and C. (A) True (B)False (C)Insufficient Information",
    "answer": "B",
    "reasoning": "...",
    "image": picture(),
    "skill": ["deductive"],
}
DYNAMATH: dict[str, Any] = {
    "id": "15",
    "question_id": 141,
    "question": "How many zeros has this function? choice: (A) 2 (B) 1 (C) 0",
    "image": "images/141.png",
    "decoded_image": picture(),
    "ground_truth": "C",
    "answer_type": "multiple choice",
    "subject": "analytic geometry",
    "knowledge_level": "high school",
}
AI2D: dict[str, Any] = {
    "question": "Which part?",
    "options": ["root", "stem", "leaf"],
    "answer": "2",
    "image": picture(),
}
HALLUSIONBENCH: dict[str, Any] = {
    "category": "VD",
    "subcategory": "illusion",
    "visual_input": "1",
    "set_id": "0",
    "figure_id": "1",
    "sample_note": "circle",
    "question_id": "2",
    "question": "Are they of one size?",
    "gt_answer_details": "...",
    "gt_answer": "1",
    "filename": "0_1.png",
    "image": picture(),
}
POPE: dict[str, Any] = {
    "id": "0",
    "question_id": "1",
    "question": "Is there a dog in the image?",
    "answer": "yes",
    "image_source": "COCO_val2014_000000310196",
    "image": picture(),
    "category": "random",
}
MME: dict[str, Any] = {
    "question_id": "code_reasoning/0020.png",
    "image": picture(),
    "question": "Is the output of the code 'Hello'? Please answer yes or no.",
    "answer": "No",
    "category": "code_reasoning",
}
DOCVQA: dict[str, Any] = {
    "questionId": "49153",
    "question": "What is the date?",
    "question_types": ["form"],
    "image": picture(),
    "docId": 14465,
    "answers": ["May 5, 1990", "5 May 1990"],
}

LETTERS = "The options have letters in the picture: A, B, C and so on."

# Benchmark, row, fields of the example, a right and a wrong reply for its own rule, and what a model makes of them.
CASES: list[tuple[str, dict[str, Any], dict[str, Any], tuple[str, str], tuple[str, str] | None]] = [
    (
        "mathvista",
        MATHVISTA,
        {"id": "7", "gold": "B", "kind": "mcq", "options": ("square", "round", "round"), "images": (png("red"),)},
        ("round", "square"),
        None,
    ),
    (
        "mathvista",
        {**MATHVISTA, "choices": None, "unit": "years", "answer": "12", "question_type": "free_form",
         "answer_type": "integer"},
        {"gold": "12", "kind": "numeric", "options": (), "question": "What is its shape? (Unit: years)",
         "family": "figure question answering"},
        ("12", "13"),
        None,
    ),
    (
        "mathvista",
        {**MATHVISTA, "choices": None, "precision": 1.0, "answer": "1.2", "question_type": "free_form",
         "answer_type": "float"},
        {"gold": "1.2", "kind": "numeric"},
        ("1.23", "1.4"),
        None,
    ),
    (
        "mathvista",
        {**MATHVISTA, "choices": None, "answer": "[2014, 2016]", "question_type": "free_form", "answer_type": "list"},
        {"gold": "[2014, 2016]", "kind": "math"},
        ("x", "x"),
        ("[2014, 2016]", "[2014,2016]"),
    ),
    (
        "mathverse",
        MATHVERSE,
        {"id": "1", "gold": "D", "kind": "mcq", "options": ("40°", "60°", "120°", "140°"),
         "question": "The size of angle CED is ()", "family": "Text Dominant"},
        ("D", "A"),
        ("1", "0"),
    ),
    (
        "mathverse",
        {**MATHVERSE, "question": "True or false?\nChoice:\nA. False\nB. True", "answer": "False"},
        {"gold": "A", "options": ("False", "True"), "question": "True or false?"},
        ("A", "B"),
        ("1", "0"),
    ),
    ("mathverse", {**MATHVERSE, "answer": "(C)"}, {"gold": "C"}, ("C", "B"), ("1", "0")),
    ("mathverse", {**MATHVERSE, "answer": "C\nD"}, {"gold": "C, D"}, ("C, D", "C"), ("1", "0")),
    (
        "mathverse",
        {**MATHVERSE, "question": "Its bearing?", "question_type": "free-form", "answer": "118掳T "},
        {"gold": "118°T", "kind": "math", "question": "Its bearing?", "options": ()},
        ("118°T", "1"),
        ("1", "0"),
    ),
    (
        "mathverse",
        {**MATHVERSE, "question": "Its slope?", "question_type": "free-form", "answer": "$=(4,0)$"},
        {"gold": "$(4,0)$", "kind": "math"},
        ("(4, 0)", "1"),
        ("1", "0"),
    ),
    (
        "mathverse",
        {**MATHVERSE, "question": "", "problem_version": "Vision Only", "answer": "140°"},
        {"gold": "D", "kind": "mcq", "options": (), "images": (png("red"),),
         "question": "According to the question shown in the image, provide the correct option letter, e.g., A, B, C, "
                     "D."},
        ("D", "A"),
        ("1", "0"),
    ),
    (
        "mathverse",
        {**MATHVERSE, "image": "", "problem_version": "Text Only"},
        {"images": (), "gold": "D"},
        ("D", "A"),
        ("1", "0"),
    ),
    (
        "mathvision",
        MATHVISION,
        {"id": "2", "gold": "B", "kind": "mcq", "options": ("A", "B", "C", "D", "E"), "difficulty": 3,
         "question": "Which figure is it?\n<image>", "family": "arithmetic"},
        ("B", "C"),
        None,
    ),
    (
        "mathvision",
        {**MATHVISION, "question": "See <image1>. Which?", "options": ["<image2>", "<image3>"], "answer": "A"},
        {"question": "See <image1>. Which?", "options": ("<image2>", "<image3>"), "images": (png("red"),)},
        ("A", "B"),
        None,
    ),
    (
        "mathvision",
        {**MATHVISION, "question": "Which side is opposite to <image3>?\n<image4>", "options": [], "answer": "C"},
        {"gold": "C", "kind": "math", "options": (), "question": "Which side is opposite to <image3>?\n<image4>"},
        ("C", "A"),
        None,
    ),
    (
        "mathvision",
        {**MATHVISION, "options": [], "answer": "$5 \\sqrt{3}$ "},
        {"gold": "$5 \\sqrt{3}$", "kind": "math"},
        ("\\boxed{5\\sqrt{3}}", "5"),
        None,
    ),
    (
        "mathvision",
        {**MATHVISION, "options": [], "answer": "\x0crac{36}{13}"},
        {"gold": "\\frac{36}{13}", "kind": "numeric"},
        ("rac{36}{13}", "\\frac{36}{13}"),
        None,
    ),
    (
        "mathvision",
        {**MATHVISION, "options": None, "answer": "69{degrees}"},
        {"gold": "69 \\text{ degrees}", "kind": "numeric"},
        ("69{degrees}", "70"),
        None,
    ),
    (
        "mathvision",
        {**MATHVISION, "options": [], "answer": "8\\sqrt{3}{squareinches}"},
        {"gold": "8\\sqrt{3} \\text{ square inches}", "kind": "math"},
        ("8\\sqrt{3}{squareinches}", "7"),
        None,
    ),
    (
        "mmstar",
        MMSTAR,
        {"id": "0", "gold": "A", "kind": "mcq", "options": ("red, or so", "blue", "green", "none"),
         "question": "Which colour is it?", "family": "coarse perception"},
        ("A", "B"),
        None,
    ),
    (
        "mmstar",
        {**MMSTAR, "question": "Which colour is it? A or B?"},
        {"gold": "A", "options": (), "question": "Which colour is it? A or B?"},
        ("(A) red", "The answer is (A)"),
        None,
    ),
    (
        "we_math",
        WE_MATH,
        {"id": "2steps_1-2steps_multi", "gold": "C", "kind": "mcq", "difficulty": 2, "family": "Area of Circles",
         "options": ("300, 400", "400, 300", "3000, 4000", "4000, 3000", "No correct answer")},
        ("Answer: C", "Answer: (C)"),
        None,
    ),
    (
        "we_math",
        {**WE_MATH, "key": "2steps_1", "option": "A. It goes to ;C.; B. Stays; C. No correct answer", "answer": "A"},
        {"options": ("It goes to ;C.", "Stays", "No correct answer"), "difficulty": 1, "gold": "A"},
        ("A", "B"),
        None,
    ),
    (
        "we_math",
        {**WE_MATH, "option": "A. 45° B. 60° ;C. 120°; D. No correct answer", "answer": "A"},
        {"options": (), "gold": "A",
         "question": "OA = ( ) m, AB = ( ) m\nA. 45° B. 60° ;C. 120°; D. No correct answer"},
        ("A", "B"),
        None,
    ),
    (
        "logicvista",
        LOGICVISTA,
        {"id": "v1_1", "gold": "B", "kind": "mcq", "options": ("True", "False", "Insufficient Information"),
         "family": "deductive", "question": "Andrea is older. Select from A, B and C."},
        ("It is false", "It is true"),
        ('{"choices": ["B"]}', '{"choices": ["A"]}'),
    ),
    (
        "logicvista",
        {**LOGICVISTA, "question": "Which? Select answers from A-I", "answer": "B, D", "skill": "['inductive']"},
        {"gold": "B, D", "kind": "mcq", "options": (), "family": "inductive",
         "question": f"Which? Select answers from A-I\n{LETTERS}"},
        ("B and D", "B"),
        ('{"choices": ["D", "B"]}', '{"choices": ["B"]}'),
    ),
    (
        "logicvista",
        {**LOGICVISTA, "question": "Which? Select from 1-5", "answer": "3"},
        {"gold": "3", "kind": "numeric", "question": "Which? Select from 1-5"},
        ("It is 3", "It is 4"),
        ('{"choices": ["3"]}', '{"choices": ["4"]}'),
    ),
    (
        "dynamath",
        DYNAMATH,
        {"id": "141", "gold": "C", "kind": "mcq", "options": ("2", "1", "0"),
         "question": "How many zeros has this function?", "family": "analytic geometry"},
        ('{"solution": "", "short answer": "C"}', '{"solution": "", "short answer": "B"}'),
        None,
    ),
    (
        "dynamath",
        {**DYNAMATH, "question": "Its period?", "answer_type": "float", "ground_truth": "-15.700000000000001"},
        {"gold": "-15.700000000000001", "kind": "numeric", "options": ()},
        ("-15.7", "-15.6"),
        None,
    ),
    (
        "dynamath",
        {**DYNAMATH, "question": "What time is shown?", "answer_type": "text", "ground_truth": "5:0"},
        {"gold": "5:0", "kind": "math"},
        ("5:0", "6:0"),
        None,
    ),
    (
        "dynamath",
        {**DYNAMATH, "question": "How many?", "answer_type": "int", "ground_truth": "4"},
        {"gold": "4", "kind": "numeric"},
        ("4", "5"),
        None,
    ),
    ("ai2d", AI2D, {"id": "", "gold": "C", "kind": "mcq", "options": ("root", "stem", "leaf")}, ("C", "B"), None),
    (
        "hallusionbench",
        HALLUSIONBENCH,
        {"id": "VD_illusion_0_1_2", "gold": "yes", "kind": "text", "options": ()},
        ("Yes, they are.", "No"),
        None,
    ),
    ("hallusionbench", {**HALLUSIONBENCH, "gt_answer": "0"}, {"gold": "no"}, ("no", "yes"), None),
    ("hallusionbench", {**HALLUSIONBENCH, "image": None}, {"images": (), "gold": "yes"}, ("yes", "no"), None),
    ("pope", POPE, {"id": "", "gold": "yes", "kind": "text", "family": "random"}, ("Yes", "Yes."), None),
    ("mme", MME, {"gold": "no", "kind": "text", "family": "code_reasoning"}, ("No.", "Yes"), None),
    (
        "docvqa",
        DOCVQA,
        {"id": "49153", "gold": '["May 5, 1990", "5 May 1990"]', "kind": "text"},
        ("5 may 1990", "June"),
        None,
    ),
    ("docvqa", {**DOCVQA, "answers": ["ITC", "ITC"]}, {"gold": "ITC"}, ("itc", "x"), None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "row", "expected", "replies", "model"), CASES)
def test_a_row_becomes_an_example_for_judge_and_rule(
    name: str, row: dict[str, Any], expected: dict[str, Any], replies: tuple[str, str], model: tuple[str, str] | None
) -> None:
    item = made(name, row)
    assert {field: getattr(item, field) for field in expected} == expected
    assert item.source == name
    assert missing_metadata(name, item.metadata) == []
    assert accepts_its_gold(item)
    right, wrong = replies
    assert official(name, item, right, model[0] if model else None).correct is True
    assert official(name, item, wrong, model[1] if model else None).correct is False


@pytest.mark.parametrize(
    ("name", "row", "reason", "column"),
    [
        ("mathvista", {**MATHVISTA, "answer": "triangle"}, "the answer is none of the options", "answer"),
        ("mathvista", {**MATHVISTA, "answer": 3}, "expected text, got int", "answer"),
        ("ai2d", {**AI2D, "answer": "3"}, "the answer is none of the options", "answer"),
        ("ai2d", {**AI2D, "options": ["root", None, "leaf"]}, "an option is null", "options"),
        ("ai2d", {**AI2D, "options": ["x"] * 27}, "more than 26 options", "options"),
        ("ai2d", {**AI2D, "options": [1, 2]}, "expected text, got int", "options"),
        ("mmstar", {**MMSTAR, "image": "x.png"}, "expected an image (`bytes` and `path`), got str", "image"),
    ],
)
def test_an_odd_row_is_put_aside(name: str, row: dict[str, Any], reason: str, column: str) -> None:
    with pytest.raises(RowError) as caught:
        module(name).example(row)
    assert (caught.value.reason, caught.value.column) == (reason, column)


def test_an_answer_that_is_withheld_or_empty_gives_no_gold() -> None:
    assert made("mathvista", {**MATHVISTA, "answer": None}).gold == ""
    assert made("logicvista", {**LOGICVISTA, "answer": "", "question": ""}).question == ""
    assert made("docvqa", {**DOCVQA, "answers": None}).gold == ""


def test_the_rule_sees_the_gold_as_it_was_published() -> None:
    item = made("mathvista", MATHVISTA)
    assert json.loads(item.metadata)[PUBLISHED] == {"gold": "round"}
    assert official("mathvista", item, "B", "(B)").answer == "round", "the rule compares options' texts"


def test_a_gold_that_the_rule_cannot_read_is_one_for_the_judge() -> None:
    item = made("mathvision", {**MATHVISION, "options": [], "answer": "$\\boxed{\\frac{16}{7}}$"})
    assert accepts_its_gold(item)
    assert judge("<answer>16/7</answer>", item.gold, item.kind).correct is True
    assert official("mathvision", item, "\\frac{16}{7}").correct is False


def test_summaries_find_what_they_need() -> None:
    rows = {"we_math": WE_MATH, "dynamath": DYNAMATH, "mathverse": MATHVERSE, "logicvista": LOGICVISTA}
    metadata = {name: json.loads(made(name, row).metadata) for name, row in rows.items()}
    assert (metadata["we_math"]["ID"], metadata["we_math"]["key"]) == ("2steps_1", "2steps_multi")
    assert (metadata["dynamath"]["qid"], metadata["dynamath"]["subject"]) == ("15", "analytic geometry")
    assert metadata["mathverse"]["problem_version"] == "Text Dominant"
    assert metadata["logicvista"]["skill"] == ["deductive"]


@pytest.mark.parametrize("form", ["struct", "list"])
def test_rows_of_a_file(form: str, tmp_path: Path) -> None:
    rows = [{**AI2D, "answer": str(answer)} for answer in (0, 1, 5)] + [{**AI2D, "image": None, "options": None}]
    if form == "list":
        rows = [{**row, "image": [row["image"]]} for row in rows]
    found = through_a_file("ai2d", rows, tmp_path)
    assert [type(item) for item in found] == [Example, Example, PutAside, PutAside]
    assert [item.gold for item in found if isinstance(item, Example)] == ["A", "B"]
    assert found[0] == replace(made("ai2d", rows[0]), id="ai2d-00000")
    assert isinstance(found[0], Example)
    assert found[0].images == (png("red"),)
    assert [item.id for item in found] == [f"ai2d-{i:05d}" for i in range(4)]
    assert found[2] == PutAside("ai2d-00002", "ai2d", "the answer is none of the options", "answer")


def test_a_struct_of_metadata_and_nulls_in_a_file(tmp_path: Path) -> None:
    rows = [MATHVISTA, {**MATHVISTA, "pid": "8", "choices": None, "question_type": "free_form", "answer": "4"}]
    first, second = through_a_file("mathvista", rows, tmp_path)
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    assert (first.gold, first.family) == ("B", "figure question answering")
    assert (second.gold, second.kind, second.options) == ("4", "numeric", ())
