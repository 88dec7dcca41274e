"""How rows of somebody else's file find their questions: by id, by number, by text, and always checked by text."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from reassess.evaluate.formats.sample import Said
from reassess.evaluate.matching import Questions, match, plain
from reassess.example import DataError, PutAside


def asked(ids: Iterable[str], *texts: str) -> dict[str, dict[str, str]]:
    return {id_: {"question": text, "kind": "numeric", "gold": "1"} for id_, text in zip(ids, texts, strict=True)}


def said(*rows: tuple[dict[str, str], str]) -> list[Said | PutAside]:
    return [
        Said(f"row {i}", ids, (text,) if text else (), "", ("1",), (None,), {}) for i, (ids, text) in enumerate(rows)
    ]


def pairs(rows: list[Said | PutAside], examples: dict[str, dict[str, str]], is_whole: bool = True) -> dict[str, str]:
    found = match(rows, Questions(examples, is_whole), "file", "quiz")
    return {"way": found.way, **{said.place: id_ for said, id_ in found.rows}}


def test_row_numbers_are_not_taken_for_ids_that_look_like_them() -> None:
    # MathVista's pid counts from 1, and doc_id from 0; many of its questions have the same words.
    examples = asked("1234", "Who is older?", "Who is older?", "Who is older?", "What is new?")
    rows = said(*(({"doc_id": str(i)}, "Who is older?") for i in range(3)), ({"doc_id": "3"}, "What is new?"))
    found = pairs(rows, examples)
    assert found == {"way": "row number (doc_id)", "row 0": "1", "row 1": "2", "row 2": "3", "row 3": "4"}
    with_ids = [row._replace(ids={"doc_id": str(i), "pid": str(i + 1)}) for i, row in enumerate(rows)]  # type: ignore[union-attr]
    assert pairs(with_ids, examples)["way"] == "id (pid)"


def test_numbers_that_have_moved_do_not_tell_equal_questions() -> None:
    # A row of the data was put aside in front of the fourth.
    texts = ("First?", "Same?", "Same?", "Third?", "Last?")
    examples = asked("abcde", *texts)
    rows = said(*(({"doc_id": str(i)}, text) for i, text in enumerate(texts)))
    assert pairs(rows, examples) == {"way": "row number (doc_id)", **{f"row {i}": id_ for i, id_ in enumerate("abcde")}}
    found = match(rows, Questions(examples, is_whole=False), "file", "quiz")
    assert [id_ for _, id_ in found.rows] == ["a", "d", "e"]
    assert {row.reason.partition(":")[0] for row in found.put_aside} == {"its number tells no question"}


def test_numbers_in_generated_ids_are_those_of_the_data() -> None:
    # Rows 1 and 2 were put aside.
    examples = asked(("quiz-00000", "quiz-00003", "quiz-00004"), "First?", "Same?", "Same?")
    rows = said(*(({"doc_id": str(i)}, text) for i, text in enumerate(("First?", "x", "y", "Same?", "Same?"))))
    assert pairs(rows, examples, is_whole=False) == {
        **{"way": "number in the id (doc_id)", "row 0": "quiz-00000", "row 3": "quiz-00003", "row 4": "quiz-00004"}
    }


def test_questions_find_themselves_where_nothing_else_does() -> None:
    examples = asked("abc", "First <image>?", "second", "third")
    rows = said(({"doc_id": "17"}, "third!"), ({"doc_id": "3"}, "FIRST  <image 1>?"), ({"doc_id": "5"}, "fourth"))
    found = match(rows, Questions(examples, is_whole=False), "file", "quiz")
    assert (found.way, [(said.place, id_) for said, id_ in found.rows]) == (
        "text (question)",
        [("row 0", "c"), ("row 1", "a")],
    )


def test_copies_differ_in_marks_and_questions_in_operators() -> None:
    assert plain("<image 2> What is\n$2 \u2212 x_1$, in \u201ccm\u201d?") == plain("what is 2 - x1 in cm <image>")
    assert plain("What is 2 + 3?") != plain("What is 2 - 3?")
    assert plain("?!") == "?!"


def test_without_questions_ids_alone_are_believed_and_numbers_are_not() -> None:
    examples = asked("ab", "First?", "Second?")
    found = match(said(({"index": "a"}, ""), ({"index": "b"}, "")), Questions(examples, True), "file", "quiz")
    assert found.unverified == 2
    with pytest.raises(DataError, match="0 of 2 match"):
        match(said(({"index": "0"}, ""), ({"index": "1"}, "")), Questions(examples, True), "file", "quiz")
    # Ids that count from 1 look like the numbers of the rows behind.
    numbered = Questions(asked("12", "First?", "Second?"), True)
    with pytest.raises(DataError, match="0 of 2 match"):
        match(said(({"doc_id": "0"}, ""), ({"doc_id": "1"}, "")), numbered, "file", "quiz")
