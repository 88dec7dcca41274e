"""Rows of the known training sets, as their cards and loaders describe them, odd ones included."""

from __future__ import annotations

import base64
import importlib
import io
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from reassess.data.right import right
from reassess.example import DataError, Example, RowError
from reassess.judge import judge
from reassess.sources.sets import SETS, _texts


def png() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((40, 30)).save(buffer, format="PNG")
    return buffer.getvalue()


PNG = png()
PICTURE = {"bytes": PNG, "path": "a.png"}
THOUGHT = "<think>\nTwice 3 is 6.\n</think>\n\n<answer>6</answer>"
OPTIONS = "Which is a mammal?\n(A) a trout\n(B) a whale\n(C) a wren"


def made(name: str, row: dict[str, Any]) -> Example:
    """Return the example of a row, which the check of every row has nothing to mend in."""
    found: Example = importlib.import_module(SETS[name]).example(row)
    noted: Counter[str] = Counter()
    named = replace(found, id=found.id or "x")
    assert right(named, noted) == named
    assert not any(noted.values())
    assert not judge("<answer>no such answer</answer>", found.gold, found.kind, found.options or None).correct
    return found


def refused(name: str, row: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(RowError) as caught:
        importlib.import_module(SETS[name]).example(row)
    return caught.value.reason, caught.value.column


GENERATIONS = {
    "generations": [
        "<think>wrong</think> 5",
        "<think>right</think> \\boxed{6}",
        "<think>cut",
        "<think>judged</think> 6",
    ],
    "is_reasoning_complete": [True, True, False, True],
    "correctness_math_verify": [False, True, True, False],
    "correctness_llama": [None, None, None, True],
}
ROWS: dict[str, dict[str, Any]] = {
    "geometry3k": {"images": [PICTURE], "problem": "<image>Find x.", "answer": "2 \\sqrt { 3 }"},
    "geoqa": {"image": PICTURE, "problem": "then ∠2 is ()", "solution": "<answer> 145° </answer>"},
    "gsm8k": {
        "question": "How many clips?",
        "answer": "In May 48/2 = <<48/2=24>>24 clips.\nAltogether 48+24*50 = <<48+24*50=1248>>1,248.\n#### 1,248",
    },
    "llava-cot": {
        "id": "x",
        "image": PICTURE,
        "conversations": [
            {"from": "human", "value": f"{OPTIONS}"},
            {
                "from": "gpt",
                "value": "<SUMMARY> I will look. </SUMMARY>\n\n<CAPTION> A whale. </CAPTION>\n\n<REASONING> It "
                "breathes air. </REASONING>\n\n<CONCLUSION> The answer is B. </CONCLUSION>",
            },
        ],
    },
    "math": {
        "problem": "What is $3+3$?",
        "level": "Level 3",
        "type": "Algebra",
        "solution": "Here $3+3=\\boxed{6}$ holds, so it is $\\boxed{6}$.",
    },
    "mm-math": {
        "question": "Find BC.",
        "file_name": PICTURE,
        "solution": "BC = $\\boxed{\\frac{1}{2}}$",
        "year": "eight",
        "difficult": "easy",
        "knowledge": {"level_1": "Triangles", "level_2": "Congruence"},
    },
    "mmk12": {"id": "1", "question": "Find x.", "answer": "$$6$$", "subject": "math", "image": PICTURE},
    "multimodal-open-r1": {
        "image": PICTURE,
        "problem": "How long is BC?",
        "solution": THOUGHT,
        "original_question": "?",
        "original_answer": "BC is six.",
    },
    "openr1-math": {
        "problem": "What is twice 3?",
        "solution": "6",
        "answer": "6",
        "problem_type": "Algebra",
        "question_type": "math-word-problem",
        "source": "olympiads",
        "uuid": "a-b",
        **GENERATIONS,
        "finish_reasons": None,
        "correctness_count": 2,
    },
    "openr1-math-46k": {
        "data_source": "MATH",
        "prompt": [{"role": "system", "content": "Think."}, {"role": "user", "content": "What is twice 3?\n"}],
        "target": [{"role": "assistant", "content": "<think>\nTwice 3 is 6.\n</think>\nIt is \\boxed{6}."}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "6"},
        "extra_info": {},
    },
    "openthoughts": {
        "problem": "What is twice 3?",
        "deepseek_reasoning": "Twice 3 is 6.",
        "deepseek_solution": "It is \\boxed{6}.",
        "ground_truth_solution": None,
        "domain": "math",
        "source": "numina_math",
        "test_cases": None,
        "starter_code": None,
    },
    "r1-onevision": {
        "id": "x",
        "image": "data:image/png;base64," + base64.b64encode(PNG).decode(),
        "conversations": [
            {"from": "human", "value": "How many?"},
            {"from": "gpt", "value": "<think>One and one.</think>\n\nThere are two.\n\n**Final Answer:** 2"},
        ],
    },
    "virl39k": {
        "question": "<image>Find x.\nPlease reason step by step, and put your final answer within \\boxed{}.",
        "answer": "\\boxed{\\frac{1}{2}}",
        "PassRate_32BTrained": 0.5,
        "PassRate_7BBase": -1.0,
        "category": "Geometry",
        "source": "Processed",
        "qid": "q1",
        "image": [PICTURE],
    },
    "vlaa-thinking-grpo": {
        "id": "arxivqa-cond-mat-23739",
        "image": PICTURE,
        "question": "What does it show? Choose from the following options\nA) more\nB) less\nC) none",
        "gt": "C",
        "verifier_type": "MCQ",
    },
    "vlaa-thinking-sft": {
        "id": "clevr_math-CLEVR_train_027977.png",
        "image": PICTURE,
        "question": "How many objects are left?",
        "gt": 3,
        "answer": "<think>Four less one.</think>\n<answer>3 objects</answer>",
        "caption": "",
        "meta": {"rationale": ""},
    },
}
EXPECTED: dict[str, dict[str, Any]] = {
    "geometry3k": {"images": (PNG,), "question": "<image>Find x.", "gold": "2 \\sqrt { 3 }", "kind": "math"},
    "geoqa": {"images": (PNG,), "gold": "145°", "kind": "numeric", "rationales": ()},
    "gsm8k": {
        "images": (),
        "gold": "1248",
        "kind": "numeric",
        "rationales": ("In May 48/2 = 24 clips.\nAltogether 48+24*50 = 1,248.",),
    },
    "llava-cot": {
        "question": "Which is a mammal?",
        "options": ("a trout", "a whale", "a wren"),
        "gold": "B",
        "kind": "mcq",
        "rationales": ("I will look.\n\nA whale.\n\nIt breathes air.",),
    },
    "math": {
        "gold": "6",
        "kind": "numeric",
        "family": "Algebra",
        "difficulty": 3,
        "rationales": ("Here $3+3=6$ holds, so it is $6$.",),
    },
    "mm-math": {
        "images": (PNG,),
        "gold": "\\frac{1}{2}",
        "rationales": ("BC = $\\frac{1}{2}$",),
        "family": "Triangles",
        "difficulty": 1,
    },
    "mmk12": {"gold": "6", "kind": "numeric", "family": "math"},
    "multimodal-open-r1": {"gold": "6", "rationales": ("Twice 3 is 6.",)},
    "openr1-math": {"images": (), "gold": "6", "rationales": ("right", "judged"), "family": "Algebra"},
    "openr1-math-46k": {"question": "What is twice 3?", "gold": "6", "rationales": ("Twice 3 is 6.",)},
    "openthoughts": {"gold": "6", "rationales": ("Twice 3 is 6.",), "family": "math"},
    "r1-onevision": {"images": (PNG,), "question": "How many?", "gold": "2", "rationales": ("One and one.",)},
    "virl39k": {
        "id": "q1",
        "question": "<image>Find x.",
        "gold": "\\frac{1}{2}",
        "family": "Geometry",
        "metadata": json.dumps({"source": "Processed", "PassRate_32BTrained": 0.5, "PassRate_7BBase": -1.0}),
    },
    "vlaa-thinking-grpo": {"options": ("more", "less", "none"), "gold": "C", "kind": "mcq", "family": "arxivqa"},
    "vlaa-thinking-sft": {"gold": "3", "kind": "numeric", "rationales": ("Four less one.",), "family": "clevr_math"},
}


@pytest.mark.parametrize("name", SETS)
def test_a_row_as_it_is_published(name: str) -> None:
    found = made(name, ROWS[name])
    assert {field: getattr(found, field) for field in EXPECTED[name]} == EXPECTED[name]
    assert found.source == name


@pytest.mark.parametrize("name", SETS)
def test_nulls_and_other_types_put_a_row_aside_or_leave_fields_empty(name: str) -> None:
    """None ends a job: what is missing is empty, and the check of every row puts it aside, or the module does."""
    for column in ROWS[name]:
        for value in (None, [], [None], [{}], {"a": 1}, True, 0.5, "x"):
            outcome = tried(name, {**ROWS[name], column: value})
            assert outcome in (*ROWS[name], "an example"), (column, value)


@pytest.mark.parametrize("name", SETS)
def test_a_column_that_is_not_there_is_named(name: str) -> None:
    for column in ROWS[name]:
        outcome = tried(name, {key: value for key, value in ROWS[name].items() if key != column})
        assert outcome in ("an example", f"no column {column!r}")


def tried(name: str, row: dict[str, Any]) -> str:
    """Return the column for which a row is put aside, that an example came of it, or which column it lacks."""
    try:
        importlib.import_module(SETS[name]).example(row)
    except RowError as error:
        return error.column
    except DataError as error:
        return str(error).partition(";")[0]
    return "an example"


def changed(name: str, **columns: Any) -> dict[str, Any]:
    return {**ROWS[name], **columns}


def talk(*said: str) -> list[dict[str, str]]:
    return [{"from": who, "value": text} for who, text in zip(("human", "gpt") * 2, said, strict=False)]


ODD: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("geoqa", {"solution": "<answer>10√{2}</answer>"}, {"gold": "10√{2}", "kind": "math"}),
    ("gsm8k", {"answer": "#### -72"}, {"gold": "-72", "rationales": ()}),
    ("llava-cot", {"image": None}, {"images": ()}),
    ("llava-cot", {"conversations": talk("Which?", "<CONCLUSION>red</CONCLUSION>")}, {"gold": "red", "rationales": ()}),
    ("math", {"level": "Level ?"}, {"difficulty": 0}),
    ("math", {"solution": "\\boxed{\\text{Evelyn}}"}, {"gold": "\\text{Evelyn}", "kind": "text"}),
    ("mmk12", {"answer": "25°."}, {"gold": "25°", "kind": "numeric"}),
    ("mmk12", {"answer": ">-2"}, {"gold": ">-2", "kind": "math"}),
    ("mmk12", {"answer": "4 cm²"}, {"gold": "4 cm²", "kind": "numeric"}),
    ("mmk12", {"answer": "(1)3;(2)3"}, {"gold": "(1)3;(2)3", "kind": "math"}),
    ("mmk12", {"answer": "$x=3$ or $x=5$"}, {"gold": "$x=3$ or $x=5$"}),
    ("multimodal-open-r1", {"problem": OPTIONS, "solution": "<think>Air.</think><answer>(B)</answer>"}, {"gold": "B"}),
    ("openr1-math", {"correctness_llama": None}, {"rationales": ("right",)}),
    ("openr1-math", {"generations": None}, {"rationales": ()}),
    ("openr1-math", {"generations": [None, *GENERATIONS["generations"][1:]]}, {"rationales": ("right", "judged")}),
    ("openr1-math", {"problem": OPTIONS, "answer": "B", "uuid": None}, {"gold": "B", "kind": "mcq"}),
    ("openthoughts", {"ground_truth_solution": "So \\boxed{7}."}, {"gold": "7"}),
    ("virl39k", {"question": "Find x.", "image": []}, {"images": (), "question": "Find x."}),
    ("virl39k", {"question": f"<image>{OPTIONS}", "answer": "\\boxed{B}"}, {"question": "<image>Which is a mammal?"}),
    ("virl39k", {"PassRate_7BBase": float("nan")}, {}),
    (
        "vlaa-thinking-sft",
        {"gt": "Step 1: 5 = a.\n\n†Answer: y = -5 * sin(-5 * x)."},
        {"gold": "y = -5 * sin(-5 * x)."},
    ),
    ("vlaa-thinking-sft", {"gt": None}, {"gold": "3 objects"}),
    ("vlaa-thinking-sft", {"gt": "B", "question": f"{OPTIONS}"}, {"gold": "B", "kind": "mcq"}),
    ("vlaa-thinking-grpo", {"gt": 4, "verifier_type": "digit"}, {"gold": "4", "kind": "numeric", "options": ()}),
    ("vlaa-thinking-grpo", {"gt": 4.0, "verifier_type": None}, {"gold": "4"}),
]


@pytest.mark.parametrize(("name", "columns", "expected"), ODD)
def test_odd_rows_are_read(name: str, columns: dict[str, Any], expected: dict[str, Any]) -> None:
    found = made(name, changed(name, **columns))
    assert {field: getattr(found, field) for field in expected} == expected
    json.loads(found.metadata or "{}", parse_constant=pytest.fail)


ASIDE: list[tuple[str, dict[str, Any], tuple[str, str]]] = [
    ("geoqa", {"solution": "145°"}, ("no <answer> element", "solution")),
    ("gsm8k", {"answer": "It is 72."}, ("no number behind ####", "answer")),
    ("llava-cot", {"conversations": talk("a", "b", "c", "d")}, ("a conversation of several turns", "conversations")),
    ("llava-cot", {"conversations": talk("a")}, ("not one question and one response", "conversations")),
    ("llava-cot", {"conversations": "a"}, ("not a list of turns", "conversations")),
    ("llava-cot", {"conversations": talk("a", "b")}, ("no <CONCLUSION> element", "conversations")),
    ("math", {"solution": "It is 6."}, ("no \\boxed{} with the answer", "solution")),
    ("mm-math", {"solution": None}, ("no \\boxed{} with the answer", "solution")),
    ("mmk12", {"answer": "96\n376"}, ("its answer has several lines", "answer")),
    ("multimodal-open-r1", {"solution": "<answer>6</answer>"}, ("no reasoning inside <think>", "solution")),
    ("openr1-math", {"answer": "proof"}, ("no answer that can be compared", "answer")),
    ("openr1-math-46k", {"reward_model": {}}, ("no ground_truth", "reward_model")),
    ("openr1-math-46k", {"target": None}, ("not a list of turns", "target")),
    ("openthoughts", {"domain": "code"}, ("its answer is a program", "domain")),
    ("openthoughts", {"deepseek_solution": "Red."}, ("no \\boxed{} with the answer", "deepseek_solution")),
    ("r1-onevision", {"image": "a.png"}, ("not base64", "image")),
    ("r1-onevision", {"conversations": talk("a", "b")}, ("no reasoning inside <think>", "conversations")),
    ("virl39k", {"answer": "1/2"}, ("no \\boxed{} with the answer", "answer")),
    ("virl39k", {"image": ["a.png"]}, ("expected an image (`bytes` and `path`), got str", "image")),
    (
        "vlaa-thinking-grpo",
        {"gt": [1, 2, 3, 4]},
        ("its answer is a place in the picture, which is not compared here", "gt"),
    ),
    (
        "vlaa-thinking-grpo",
        {"gt": "[1, 2, 3, 4]", "verifier_type": "IoU"},
        ("its answer is a place in the picture, which is not compared here", "verifier_type"),
    ),
    ("vlaa-thinking-sft", {"answer": "3"}, ("no reasoning inside <think>", "answer")),
]


@pytest.mark.parametrize(("name", "columns", "expected"), ASIDE)
def test_rows_that_cannot_be_used_say_why(name: str, columns: dict[str, Any], expected: tuple[str, str]) -> None:
    assert refused(name, changed(name, **columns)) == expected


def test_tags_and_boxes_are_taken_off() -> None:
    assert _texts.element("<Answer> a </Answer> <answer>b\nc</answer>", "answer") == "b\nc"
    assert _texts.element("<answer>a", "answer") is None
    assert _texts.without_boxes("\\boxed{\\frac{1}{\\boxed{2}}} and \\boxed{3}") == "\\frac{1}{2} and 3"
    assert _texts.without_boxes("no {box}") == "no {box}"
    assert _texts.response("so<think>a</think>b<think>c</think>d", "x") == ("c", "d")


@pytest.mark.parametrize(
    ("question", "left"),
    [
        ("How many?\nAnswer the question using a single word or phrase.", "How many?"),
        (f"{OPTIONS}\nAnswer with the option's letter from the given choices directly.", OPTIONS),
        (
            "<image>\nHint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the "
            "end.\nQuestion: Why?",
            "<image>Question: Why?",
        ),
        ("Answer with Yes.", "Answer with Yes."),
    ],
)
def test_requests_for_a_form_of_answer_are_left_to_the_study(question: str, left: str) -> None:
    assert _texts.asked(question, "red").question == left


def test_options_are_found_before_such_a_request() -> None:
    found = _texts.asked(f"{OPTIONS}\nAnswer with the option's letter from the given choices directly.", "B")
    assert (found.question, found.options) == ("Which is a mammal?", ("a trout", "a whale", "a wren"))


def test_a_number_is_no_index_of_an_option() -> None:
    """With three options and the gold 2, the third one would be right by index: these sets have letters."""

    def told(question: str, gold: str) -> tuple[str, tuple[str, ...], str, str]:
        found = _texts.asked(question, gold)
        return found.question, found.options, found.gold, found.kind

    assert told(OPTIONS, "2") == (OPTIONS, (), "2", "numeric")
    assert told("How many?\n(A) 1\n(B) 2", "2") == ("How many?", ("1", "2"), "B", "mcq")
    assert _texts.asked(OPTIONS, "a whale").gold == "B"
    assert _texts.asked(OPTIONS, "A, B").gold == "A, B"
