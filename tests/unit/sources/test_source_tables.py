"""Tables: CSV, Excel, VLMEvalKit's TSV, and a folder of pictures with one of them."""

from __future__ import annotations

import base64
import csv
import datetime
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from built_pools import Built, png, pool, source
from pydantic import ValidationError

from reassess.example import DataError, Example
from reassess.sources.base import Row

RED, BLUE = base64.b64encode(png("red")).decode(), base64.b64encode(png("blue")).decode()


def golds(found: Built) -> dict[str, str]:
    return {id_: item.gold for id_, item in found.examples.items()}


def test_a_csv_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_bytes(
        b"\xef\xbb\xbf" + b"qid,question,answer,A,B,C,level\r\n"
        b'a,"Which, of\r\nthe two?",B,x,"y ""z""",,3\r\n'
        b"b,Two?,2.0,,,,\r\n"
        b"\r\n,,,,,,\r\n"
        b",No id?,yes,nan,nan,nan,\r\n"
        b"c,Short row?,1\r\n"
        b"d,Long row?,1,,,,,,\r\n"
        b'e,"A "quote" inside?",1,,,,\r\n'
        b"f,A gap?,A,x,,z,\r\n"
        b"g,,1,,,,\r\n"
        b"h,No answer?,,,,,\r\n"
        b"a,Once more?,1,,,,\r\n" + "i,Café?,°,,,,\r\n".encode()
    )
    found = pool(tmp_path, "table", file)
    assert found.examples["a"] == Example(
        "a", (), "Which, of\r\nthe two?", ("x", 'y "z"'), "B", "mcq", (), "mine", "", 3
    )
    assert golds(found) == {"a": "B", "b": "2.0", "mine-000002": "yes", "i": "°"}
    assert found.aside == {
        "mine.csv:8": ("not as many fields as there are columns", ""),
        "mine.csv:9": ("not as many fields as there are columns", ""),
        "mine.csv:10": ("a quote inside a field is not doubled", ""),
        "f": ("an option is missing before others", "B"),
        "g": ("question is empty", "question"),
        "h": ("gold is empty", "answer"),
        "a": ("id stands twice", "id"),
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_csv_file_of_another_program(
    tmp_path: Path, encoding: str, delimiter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.csv"
    rows = [("question", "answer"), ("Größe; in cm, bitte?", "1,5"), ("Winkel?", "90°")]
    with file.open("w", encoding=encoding, newline="") as handle:
        csv.writer(handle, delimiter=delimiter).writerows(rows)
    found = [(item.question, item.gold) for item in source("table", file).read()]
    assert found == rows[1:]
    assert ("not UTF-8; read as Windows-1252" in capsys.readouterr().out) == (encoding == "cp1252")


def test_a_csv_file_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("x\n")
    mine = source("table", file)
    for content, message in [
        ("question,answer\n半径？,九厘米\n".encode("gbk"), r"mine\.csv: neither UTF-8 nor Windows-1252"),
        (b"question,answer,answer\n?,1,2\n", r"mine\.csv: columns that stand twice: 'answer'"),
        (b",question,answer,\n1,?,2,\n", r"mine\.csv: columns that stand twice: ''"),
        (
            "question,answer\nWo in Köln?,1\n".encode() + "Länge?,2\n".encode("cp1252"),
            r"mine\.csv: some of its lines are",
        ),
        (b'question,answer\n?,1\n"never closed,1\n?,2\n', r"mine\.csv: the row that begins in line 3: unexpected end"),
        (b"\xff\xfeq", r"mine\.csv: 'utf-16'|mine\.csv.*truncated"),
    ]:
        file.write_bytes(content)
        with pytest.raises(DataError, match=message):
            list(mine.read())
    file.write_bytes(b"")
    assert list(mine.read()) == []
    with pytest.raises(ValidationError, match=r"neither of \.csv, \.xlsx"):
        source("table", Path(__file__))


def workbook(file: Path, rows: list[tuple[Any, ...]], *more: tuple[str, list[tuple[Any, ...]]]) -> Path:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    for title, others in more:
        sheet = book.create_sheet(title)
        for row in others:
            sheet.append(row)
    book.save(file)
    return file


def test_an_excel_workbook(tmp_path: Path) -> None:
    rows: list[tuple[Any, ...]] = [
        ("id", "question", "answer", "A", "B", "level", None),
        (1, "Two?", 2.0, None, None, 3),
        (2, "A tenth?", 0.1),
        (3, "Which?", "A", "x", 7),
        (),
        (4, "A half?", datetime.datetime(2020, 1, 2)),
        (5, "Is it?", True),
        (6, "A formula?", "=1+1"),
        (7, "An error?", "#N/A"),
        (8, None, 1),
        (9, "More?", 1, None, None, None, None, "x"),
        (None, "No id?", "yes"),
    ]
    found = pool(tmp_path, "table", workbook(tmp_path / "mine.xlsx", rows, ("Empty", [])))
    assert golds(found) == {"1": "2", "2": "0.1", "3": "A", "5": "True", "mine-000009": "yes"}
    assert (found.examples["3"].options, found.examples["1"].difficulty) == (("x", "7"), 3)
    assert found.aside == {
        "4": ("a date in place of text (a spreadsheet makes one of 1/2)", "answer"),
        "6": ("gold is empty", "answer"),
        "mine.xlsx:9": ("a formula that failed", "answer"),
        "8": ("question is empty", "question"),
        "mine.xlsx:11": ("not as many fields as there are columns", ""),
    }


def test_a_workbook_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    head = [("question", "answer"), ("?", 1)]
    file = workbook(tmp_path / "mine.xlsx", head, ("Second", head))
    with pytest.raises(DataError, match=r"mine\.xlsx: more than one sheet has rows \(Sheet, Second\); keep one"):
        list(source("table", file).read())
    with pytest.raises(DataError, match=r"mine\.xlsx: columns that stand twice: 'answer'"):
        list(source("table", workbook(file, [("question", "answer", "answer"), ("?", 1, 2)])).read())
    whole = workbook(file, head).read_bytes()
    for content in (b"PK nothing", whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"mine\.xlsx: not a readable workbook"):
            list(source("table", file).read())


def tsv(file: Path, rows: list[dict[str, str]]) -> Path:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with file.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, columns, delimiter="\t", lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)
    return file


def test_a_tsv_file_of_vlmevalkit(tmp_path: Path) -> None:
    ask = {"question": 'Which\nis\t"it"?', "A": "x", "B": "y", "answer": "B", "category": "c", "l2-category": "l"}
    rows = [
        {"index": "0", "image": "3", "hint": "Look.", **ask},
        {"index": "1", "image": RED, "hint": "", **ask},
        {"index": "2", "image": "1", **ask},
        {"index": "3", "image": BLUE, **ask, "C": "z"},
        {"index": "4", "image": str([RED, BLUE]), **ask},
        {"index": "5", "image": "", **ask},
        {"index": "6", "image": "77", **ask},
        {"index": "7", "image": "0", **ask},
        {"index": "8", "image": "x" * 65, **ask},
        {"index": "9", "image": RED, "question": "Why?", "answer": "red"},
        {"index": "10", "image": "images/a.png", **ask},
        {"index": "11", "image": "images/b.png", **ask},
    ]
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(png("blue"))
    found = pool(tmp_path, "tsv", tsv(tmp_path / "mine.tsv", rows))
    red, blue = png("red"), png("blue")
    assert {id_: item.images for id_, item in found.examples.items()} == {
        **{"0": (blue,), "1": (red,), "2": (red,), "3": (blue,), "4": (red, blue), "5": (), "9": (red,)},
        "10": (blue,),
    }
    asked = 'Which\nis\t"it"?'
    assert found.examples["0"] == Example("0", (blue,), f"Look.\n{asked}", ("x", "y"), "B", "mcq", (), "mine", "c", 0)
    assert (found.examples["3"].options, found.examples["9"].kind) == (("x", "y", "z"), "text")
    none = ("no such image file", "image")
    assert found.aside == {"6": none, "7": none, "8": ("not base64", "image"), "11": none}


def test_a_tsv_file_with_pointers_alone_before_the_first_image(tmp_path: Path) -> None:
    file = tmp_path / "mine.tsv"
    file.write_bytes(
        f"\ufeffindex\tquestion\tanswer\timage\na\t1?\tx\tb\n\nb\t2?\tx\t{RED}\nbroken\nc\t3?\tx\tb".encode()
    )
    found = list(source("tsv", file).read())
    assert [item.id for item in found] == ["a", "b", "mine.tsv:5", "c"]
    assert [item.images for item in found if isinstance(item, Example)] == [(png(),)] * 3
    file.write_bytes(b"index\tquestion\tanswer\na\t\xff?\tx\n")
    with pytest.raises(DataError, match=r"mine\.tsv: not UTF-8"):
        list(source("tsv", file).read())


def test_a_tsv_file_is_read_without_holding_its_images(tmp_path: Path) -> None:
    peaks = []
    for n in (10, 40):
        images = [base64.b64encode(os.urandom(100_000)).decode() for _ in range(n)]
        rows = [{"index": str(i), "question": "?", "answer": "x", "image": images[i]} for i in range(n)]
        rows += [{"index": str(n + i), "question": "?", "answer": "x", "image": str(i)} for i in range(n)]
        mine = source("tsv", tsv(tmp_path / "mine.tsv", rows))
        del rows
        tracemalloc.start()
        try:
            read = (row for row in mine.rows() if isinstance(row, Row))
            taken = [row.values["image"] == images[i % n] for i, row in enumerate(read)]
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert taken == [True] * 2 * n
    assert peaks[1] < 1.2 * peaks[0]


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "photos.v2"
    (folder / "deep").mkdir(parents=True)
    for name, colour in (("a.png", "red"), ("deep/b.png", "blue"), ("c.png", "red")):
        (folder / name).write_bytes(png(colour))
    (folder / "d.png").write_bytes(b"not a picture")
    (tmp_path / "secret.png").write_bytes(png())
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "metadata.csv").write_text(
        "file_name,question,answer\na.png,What colour?,red\ndeep/b.png,What colour?,blue\nc.png,,red\nd.png,?,red\n"
        "e.png,?,red\n../secret.png,?,red\nout.png,?,red\n/a.png,Again?,red\n,None?,red\na.png,No answer?,\n"
    )
    (folder / "other.csv").write_text("x\n")
    mine = source("folder", folder)
    assert mine.files == [str(folder / "metadata.csv")]
    found = pool(tmp_path, "folder", folder)
    assert {id_: item.images for id_, item in found.examples.items()} == {
        "photos.v2-000000": (png("red"),),
        "photos.v2-000001": (png("blue"),),
        "photos.v2-000007": (png("red"),),
        "photos.v2-000008": (),
    }
    out = ("the path leads out of the folder of images", "file_name")
    assert found.aside == {
        "metadata.csv:4": ("question is empty", "question"),
        "photos.v2-000003": ("image cannot be decoded", found.aside["photos.v2-000003"][1]),
        "metadata.csv:6": ("no such image file", "file_name"),
        "metadata.csv:7": out,
        "metadata.csv:8": out,
        "metadata.csv:11": ("gold is empty", "answer"),
    }


def test_a_folder_is_not_listed_for_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists: list[Path] = []
    listed = Path.iterdir

    def counted(folder: Path) -> Iterator[Path]:
        lists.append(folder)
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", counted)
    for n in (1, 50):
        (tmp_path / "rows.jsonl").write_text('{"question": "What colour?", "answer": "red"}\n' * n)
        lists.append(tmp_path / str(n))
        assert len(list(source("folder", tmp_path).read())) == n
    assert lists.index(tmp_path / "50") == len(lists) / 2, "as often for one row as for fifty"


def test_the_table_of_a_folder_is_the_only_one(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"has no metadata\.csv, nor another table"):
        source("folder", tmp_path)
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "rows.jsonl").write_text('{"image": "a.png", "question": "What colour?", "answer": "red"}\n{\n')
    (tmp_path / ".hidden.csv").write_text("x\n")
    mine = source("folder", tmp_path)
    assert mine.files == [str(tmp_path / "rows.jsonl")]
    first, second = mine.read()
    assert first.images == (png(),)
    assert (second.id, second.reason) == ("rows.jsonl:2", "not JSON")
    workbook(tmp_path / "rows.xlsx", [("image", "question", "answer"), ("a.png", "What colour?", "red")])
    with pytest.raises(ValidationError, match=r"has more than one table \(rows\.jsonl, rows\.xlsx\)"):
        source("folder", tmp_path)
    (tmp_path / "rows.jsonl").unlink()
    assert [item.images for item in source("folder", tmp_path).read()] == [(png(),)]
    with pytest.raises(ValidationError, match="is no directory"):
        source("folder", tmp_path / "a.png")
