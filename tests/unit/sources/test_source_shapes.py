"""The shapes in which data sets are written: which columns hold what, and what comes of each row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from built_pools import Built, png, pool, source

from reassess.example import DataError, Example
from reassess.sources.shapes import Columns, roles_of

LONG = "It goes on and on without an end. " * 10


def lines(folder: Path, rows: list[dict[str, Any]], name: str = "mine.jsonl") -> Path:
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images/a.png").write_bytes(png())
    (folder / name).write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return folder / name


def built(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Built:
    return pool(folder, "jsonl", lines(folder, rows), **options)


def number(i: int) -> str:
    return f"mine-{i:06d}"


DESCRIBED = {
    ("id", "question", "gold", "kind", "source", "family"): (
        "example records: question from `question`, answer from `gold`, id from `id`, kind from `kind`, family from "
        "`family`"
    ),
    ("conversations", "images", "system"): "ShareGPT: question and answer from `conversations`, image from `images`",
    ("messages", "image"): "messages: question and answer from `messages`, image from `image`",
    ("id", "message", "answer"): "messages: question from `message`, answer from `answer`, rationale from `message`, "
    "id from `id`",
    ("prompt", "completion", "images"): "TRL: question from `prompt`, answer from `completion`, image from `images`",
    ("prompt", "image", "solution"): "TRL: question from `prompt`, answer from `solution`, image from `image`",
    ("data_source", "prompt", "images", "ability", "reward_model", "extra_info"): (
        "verl: question from `prompt`, answer from `reward_model`, image from `images`"
    ),
    ("instruction", "input", "output", "images"): (
        "Alpaca: question from `instruction`, input from `input`, answer from `output`, image from `images`"
    ),
    ("index", "question", "hint", "A", "B", "C", "answer", "category", "l2-category", "image", "split"): (
        "VLMEvalKit: question from `question`, hint from `hint`, answer from `answer`, options from `A`, `B`, `C`, "
        "image from `image`, id from `index`, family from `category`"
    ),
    ("images", "problem", "answer"): "EasyR1: question from `problem`, answer from `answer`, image from `images`",
    ("image", "problem", "solution"): "R1-V: question from `problem`, answer from `solution`, image from `image`",
    ("Question", "Choices", "Label", "image_path", "reasoning", "subject", "level", "qid"): (
        "columns by their usual names: question from `Question`, answer from `Label`, options from `Choices`, image "
        "from `image_path`, rationale from `reasoning`, id from `qid`, family from `subject`, difficulty from `level`"
    ),
    ("problem", "solution", "answer", "subject"): (
        "columns by their usual names: question from `problem`, answer from `answer`, rationale from `solution`, "
        "family from `subject`"
    ),
    ("question", "answer", "image_1", "image_2", "image_10"): (
        "columns by their usual names: question from `question`, answer from `answer`, image from `image_1`, "
        "`image_2`, `image_10`"
    ),
    ("question", "answer", "image", "image_2"): (
        "columns by their usual names: question from `question`, answer from `answer`, image from `image`, `image_2`"
    ),
    ("question", "answer", "image", "decoded_image"): (
        "columns by their usual names: question from `question`, answer from `answer`, image from `decoded_image` or "
        "`image`"
    ),
    ("question", "option_a", "option_b", "answer"): (
        "columns by their usual names: question from `question`, answer from `answer`, options from `option_a`, "
        "`option_b`"
    ),
    # OpenR1-Math: the chat repeats what the other columns have.
    ("problem", "solution", "answer", "messages"): (
        "columns by their usual names: question from `problem`, answer from `answer`, rationale from `solution`"
    ),
}


@pytest.mark.parametrize("columns", DESCRIBED)
def test_a_shape_is_recognised_by_its_columns(columns: tuple[str, ...]) -> None:
    roles = roles_of(columns, None)
    assert roles.missing is None
    assert roles.described == DESCRIBED[columns]


def test_columns_that_the_study_names_count_first() -> None:
    given = Columns(question="text", gold="label", image=("left", "right"), metadata=("unit",))
    roles = roles_of(("question", "answer", "text", "label", "left", "right", "image", "unit"), given)
    assert (roles.question, roles.gold, roles.numbered, roles.image) == ("text", "label", ("left", "right"), ())
    assert roles.metadata == ("unit",)
    # A conversation holds the answer too.
    assert roles_of(("conversations", "x"), Columns(question="conversations")).response == "conversations"
    assert roles_of(("talk", "x"), Columns(question="talk")).missing == "the right answer"
    assert roles_of(("talk", "x"), Columns(question="talk", response="talk")).missing is None


def test_sharegpt(tmp_path: Path) -> None:
    human = {"from": "human", "value": "<image>What colour?"}

    def row(said: str, **more: Any) -> dict[str, Any]:
        return {"conversations": [human, {"from": "gpt", "value": said}], "images": ["images/a.png"], **more}

    two = [human, {"from": "gpt", "value": "red"}]
    rows = [
        row("<think>It is all red.</think>\n<answer> red </answer>"),
        row("<think>\n\n</think>\n\nred"),
        row("Two and two.\nSo it is $\\boxed{4}$."),
        row("red", system="You are kind.", id="own"),
        row(LONG),
        {"conversations": [*two, *two], "images": ["images/a.png"]},
        {"conversations": [human], "images": ["images/a.png"]},
        {"conversations": [], "images": ["images/a.png"]},
        {"conversations": [{"from": "human"}], "images": []},
        {"conversations": [human, {"from": "observation", "value": "x"}], "images": ["images/a.png"]},
        row("<think>never closed"),
        row("red", images=[]),
        row("red", images=["images/b.png"]),
        row("red", videos=["a.mp4"]),
        {"images": ["images/a.png"]},
    ]
    found = built(tmp_path, rows)
    asked = ("<image>What colour?", (png(),))
    told = {id_: (item.gold, item.kind, item.rationales) for id_, item in found.examples.items()}
    assert told == {
        number(0): ("red", "text", ("It is all red.",)),
        # A blank rationale is none.
        number(1): ("red", "text", ()),
        number(2): ("4", "numeric", ("Two and two.\nSo it is $4$.",)),
        "own": ("red", "text", ()),
    }
    assert {(item.question, item.images) for item in found.examples.values()} == {asked}
    assert found.sources == {"mine"}
    place, chat = "mine.jsonl", "conversations"
    assert found.aside == {
        f"{place}:5": ("no final answer stands in the response", chat),
        f"{place}:6": ("a conversation of more than one exchange", chat),
        f"{place}:7": ("gold is empty", chat),
        f"{place}:8": ("question is empty", chat),
        f"{place}:9": ("a turn without role and content", chat),
        f"{place}:10": ("not one question and one answer", chat),
        f"{place}:11": ("the tags of the response do not match", chat),
        number(11): ("<image> stands in its text 1 times, and it has 0 images", found.aside[number(11)][1]),
        f"{place}:13": ("no such image file", "images"),
        f"{place}:14": ("holds more than one question with its images", "videos"),
        f"{place}:15": ("no key is known to hold the question", ""),
    }


def test_trl_and_messages(tmp_path: Path) -> None:
    parts = [{"type": "image"}, {"type": "text", "text": "What colour?"}]
    inside = [{"type": "text", "text": "Left "}, {"type": "image", "image": "images/a.png", "text": None}]
    url = [{"type": "image_url", "image_url": {"url": "images/a.png"}}]
    rows: list[dict[str, Any]] = [
        {
            "prompt": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": parts}],
            "completion": [{"role": "assistant", "content": [{"type": "text", "text": "<think>a</think>red"}]}],
            "images": ["images/a.png"],
        },
        {"prompt": [{"role": "user", "content": "1/2 of 1?"}], "solution": "$\\frac{1}{2}$"},
        {"prompt": "1+1?", "completion": "2"},
        {"messages": [{"role": "user", "content": inside}, {"role": "assistant", "content": "red"}]},
        {"messages": json.dumps([{"role": "user", "content": url}]), "answer": "A"},
        {"prompt": [{"role": "user", "content": inside}], "answer": "x", "images": ["images/a.png"]},
        {"prompt": [{"role": "user", "content": [{"type": "video", "video": "a.mp4"}]}], "answer": "x"},
        {"prompt": [{"role": "user", "content": "1+1?"}], "answer": None},
        {"prompt": [{"role": "user", "content": "1+1?"}], "solution": LONG},
    ]
    found = built(tmp_path, rows)
    told = [(item.question, len(item.images), item.gold, item.rationales) for item in found.examples.values()]
    assert told == [
        ("<image>What colour?", 1, "red", ("a",)),
        ("1/2 of 1?", 0, "$\\frac{1}{2}$", ()),
        ("1+1?", 0, "2", ()),
        ("Left <image>", 1, "red", ()),
        ("<image>", 1, "A", ()),
    ]
    assert list(found.aside.values()) == [
        ("images both in the conversation and in a column", "images"),
        ("a part of a message that is neither text nor image", "prompt"),
        ("gold is empty", "answer"),
        ("no final answer stands in the response", "solution"),
    ]


def test_alpaca(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Add.", "input": "1, 1", "output": "<think>One and one.</think><answer>2</answer>"},
        {"instruction": "Say two.", "input": "", "output": "2", "history": []},
        {"instruction": "Add.", "input": None, "output": "2", "history": [["a", "b"]]},
        {"instruction": "", "input": "x", "output": "2"},
    ]
    found = built(tmp_path, rows)
    assert [(item.question, item.gold, item.rationales) for item in found.examples.values()] == [
        ("Add.\n1, 1", "2", ("One and one.",)),
        ("Say two.", "2", ()),
    ]
    assert list(found.aside.values()) == [
        ("holds more than one question with its images", "history"),
        ("question is empty", "instruction"),
    ]


def test_the_golds_of_rl_sets(tmp_path: Path) -> None:
    shapes: list[tuple[dict[str, Any], str, tuple[str, ...]]] = [
        ({"image": "images/a.png", "problem": "?", "solution": "<answer> 145° </answer>"}, "145°", ()),
        ({"problem": "?", "solution": "We add. \\boxed{5}"}, "5", ("We add. 5",)),
        ({"problem": "?", "solution": "<think>r</think>\n\n<answer>5</answer>"}, "5", ("r",)),
        ({"problem": "?", "answer": "\\boxed{5}"}, "5", ()),
        ({"problem": "?", "solution": "We add.", "answer": "5"}, "5", ("We add.",)),
        ({"question": "?", "answer": "2 + 2 = 4\n#### 4"}, "4", ("2 + 2 = 4",)),
        ({"question": "?", "answer": "5", "response": "<think>r</think>5"}, "5", ("r",)),
        ({"question": "?", "answer": "5", "response": LONG}, "5", (LONG.strip(),)),
        ({"prompt": [{"role": "user", "content": "?"}], "reward_model": {"ground_truth": "5"}}, "5", ()),
        ({"question": "?", "gt": 5, "answer": "<think>r</think><answer>5</answer>"}, "5", ()),
    ]
    found = built(tmp_path, [row for row, _, _ in shapes])
    assert found.aside == {}
    told = [(item.gold, item.rationales) for item in found.examples.values()]
    assert told == [(gold, rationales) for _, gold, rationales in shapes]


def test_plain_names(tmp_path: Path) -> None:
    full = {"Question": "?", "choices": ["x", "y"], "answer": "B", "reasoning": ["r", "s"], "level": "Level 5"}
    rows: list[dict[str, Any]] = [
        {**full, "subject": "geometry", "qid": 7, "image": {"bytes": None, "path": "images/a.png"}},
        {**full, "options": "ignored", "answer": 1},
        {**full, "choices": "A. 1,000; B. 2", "level": "hard"},
        {**full, "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answer": "2"},
        {**full, "choices": []},
        {**full, "choices": ["x", None]},
        {**full, "choices": "x or y"},
        {**full, "answer": ["A", "B"]},
        {**full, "choices": None, "answer": ["one", "1"]},
        {**full, "answer": ""},
        {**full, "answer": {"x": 1}},
        {**full, "choices": None, "answer": True},
    ]
    found = built(tmp_path, rows)
    assert found.examples["7"] == Example("7", (png(),), "?", ("x", "y"), "B", "mcq", ("r", "s"), "mine", "geometry", 5)
    told = {id_: (item.options, item.gold, item.kind, item.difficulty) for id_, item in found.examples.items()}
    assert list(told.values())[1:] == [
        (("1,000", "2"), "B", "mcq", 0),
        (("x", "y"), "B", "mcq", 5),
        ((), "B", "text", 5),
        ((), "['one', '1']", "numeric", 5),
        ((), "True", "text", 5),
    ]
    assert list(found.aside.values()) == [
        ("options are not lettered A, B, C, ...", "options"),
        ("an empty value in a list", "choices"),
        ("options are not lettered A, B, C, ...", "choices"),
        ("several right answers", "answer"),
        ("gold is empty", "answer"),
        ("a list or a mapping in place of text", "answer"),
    ]


def test_options_in_numbered_columns(tmp_path: Path) -> None:
    rows = [
        {"question": f"{gold}?", "option_1": "4", "option_2": "blue", "answer": gold}
        for gold in ("blue", "B", "4", "1")
    ]
    found = built(tmp_path, rows)
    assert {item.question: (item.options, item.gold) for item in found.examples.values()} == {
        "blue?": (("4", "blue"), "B"),
        "B?": (("4", "blue"), "B"),
        "4?": (("4", "blue"), "A"),
    }
    assert found.aside == {"mine.jsonl:4": ("a number, which may count the options from 0 or from 1", "answer")}
    named = built(tmp_path, rows, columns={"options": ["option_1", "option_2"]})
    assert [item.gold for item in named.examples.values()] == ["B", "B", "A", "B"]


def test_lists_of_which_nobody_knows_what_they_mean(tmp_path: Path) -> None:
    rows = [
        {"question": "?", "answer": answer} for answer in ([3, 4], [3, 3], "['red' 'red']", "['red', 'Red']", "[3, 4]")
    ]
    found = built(tmp_path, rows)
    assert [item.gold for item in found.examples.values()] == ["3", "['red', 'Red']", "[3, 4]"]
    assert set(found.aside.values()) == {
        ("several numbers, which may be one answer or several: write it as text", "answer"),
        ("a list without commas, as NumPy prints it", "answer"),
    }


def test_the_study_names_columns_kinds_and_the_source(tmp_path: Path) -> None:
    rows = [
        {"asked": "?", "told": "4", "how": "text", "hard": 3, "unit": "cm", "n": float("nan")},
        {"asked": "?", "told": "4", "how": "maths", "hard": 3, "unit": "cm", "n": 1},
        {"asked": "?", "told": "4", "how": None, "hard": "very", "unit": "cm", "n": 1},
    ]
    columns = {"question": "asked", "gold": "told", "kind": "how", "difficulty": "hard", "metadata": ["unit", "n"]}
    found = built(tmp_path, rows, columns=columns, name="ours")
    assert found.examples == {
        "ours-000000": Example("ours-000000", (), "?", (), "4", "text", (), "ours", "", 3, '{"n": null, "unit": "cm"}')
    }
    assert list(found.aside.values()) == [
        ("kind is not one of math, numeric, mcq, text", "how"),
        ("the level is not a whole number", "hard"),
    ]
    found = built(tmp_path, [{"question": "?", "answer": "4", "kind": "of cat"}], answers="math")
    assert [item.kind for item in found.examples.values()] == ["math"]


def test_the_study_says_that_no_column_holds_something(tmp_path: Path) -> None:
    row = {"id": 1, "question": "?", "answer": "4", "image": "gone.png", "options": "unclear", "reasoning": "r"}
    nothing = {"id": "", "image": [], "options": "", "rationale": "", "family": "", "difficulty": ""}
    found = built(tmp_path, [row, row], columns=nothing)
    assert list(found.examples.values()) == [
        Example(number(i), (), "?", (), "4", "numeric", (), "mine", "", 0) for i in range(2)
    ]


def test_columns_that_cannot_be_found_are_one_error(tmp_path: Path) -> None:
    file = lines(tmp_path, [{"text": "?", "answer": "4"}, {"text": "?"}])
    with pytest.raises(DataError) as error:
        list(source("jsonl", file).read())
    assert str(error.value) == (
        "mine.jsonl:1: no column is known to hold the question; the columns are text, answer. Say which do: `columns: "
        "{question: COLUMN, gold: answer}` (or `response` in place of `gold`, for whole responses)"
    )
    with pytest.raises(DataError, match="no column is known to hold the right answer; the columns are question"):
        list(source("jsonl", lines(tmp_path, [{"question": "?"}])).read())
    file = tmp_path / "mine.csv"
    file.write_text("question,answer,picture\n?,4,\n")
    with pytest.raises(DataError) as error:
        list(source("table", file, columns={"image": "pictures"}).read())
    assert str(error.value) == (
        "mine.csv:2: columns.image: no column 'pictures'; did you mean picture? the columns are question, answer, "
        "picture"
    )
    # A line of JSON may lack a key that another one has, so only the end of the file tells.
    file = lines(tmp_path, [{"question": "?", "answer": "4"}] * 40 + [{"question": "?", "answer": "4", "seen": "x"}])
    assert len(list(source("jsonl", file, columns={"family": "seen"}).read())) == 41
    with pytest.raises(DataError, match="mine: no row has a column 'unseen', which `columns` names"):
        list(source("jsonl", file, columns={"family": "unseen"}).read())


def test_a_line_may_have_keys_that_those_before_lack(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"question": f"{i}?", "answer": str(i)} for i in range(50)]
    rows += [{"question": "<image>?", "answer": "x", "images": ["images/a.png"]}]
    found = built(tmp_path, rows)
    assert len(found.examples) == 51
    assert found.examples[number(50)].images == (png(),)


def test_the_shape_is_said_in_one_line(tmp_path: Path) -> None:
    file = lines(tmp_path, [{"conversations": [], "images": []}])
    described = source("jsonl", file).described()
    assert described == "ShareGPT: question and answer from `conversations`, image from `images`"
    record = {"id": "a", "question": "?", "gold": "1", "kind": "numeric", "source": "me"}
    assert source("jsonl", lines(tmp_path, [record])).described() == "example records"
    assert source("jsonl", lines(tmp_path, [])).described() == "no rows"
