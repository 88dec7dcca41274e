"""Parquet, what save_to_disk writes, and JSON arrays: any columns, every odd row, and which files are read."""

from __future__ import annotations

import datetime
import decimal
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from built_pools import png, pool, source
from pydantic import ValidationError

from reassess import paths
from reassess.example import DataError, Example
from reassess.sources.base import Row
from reassess.study.data import Benchmark


def write(file: Path, rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)
    return file


PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def test_a_parquet_file_of_any_columns(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png("blue"))
    schema = pa.schema(
        [
            ("pid", pa.int64()),
            ("problem", pa.string()),
            ("answer", pa.binary()),
            ("images", pa.list_(PICTURE)),
            ("choices", pa.list_(pa.string())),
            ("level", pa.float64()),
        ]
    )
    red = {"bytes": png(), "path": None}
    rows: list[dict[str, Any]] = [
        {"pid": 1, "problem": "<image>?", "answer": b"3", "images": [red], "choices": [], "level": 3.0},
        {"pid": 2, "problem": "?", "answer": b"B", "images": [], "choices": ["x", "y"], "level": None},
        {"pid": None, "problem": "?", "answer": b"3", "images": None, "choices": None, "level": 0.5},
        {"pid": 4, "problem": "?", "answer": b"3", "images": [red, {"bytes": None, "path": "a.png"}]},
        {"pid": 5, "problem": None, "answer": b"3"},
        {"pid": 6, "problem": "?", "answer": b"\xff"},
        {"pid": 7, "problem": "?", "answer": None},
        {"pid": 8, "problem": "?", "answer": b"A", "choices": ["x", None]},
        {"pid": 9, "problem": "?", "answer": b"3", "images": [None]},
        {"pid": 10, "problem": "?", "answer": b"3", "images": [{"bytes": None, "path": "../a.png"}]},
        {"pid": 11, "problem": "?", "answer": b"3", "images": [{"bytes": b"broken", "path": None}]},
        {"pid": 1, "problem": "?", "answer": b"3"},
    ]
    found = pool(tmp_path, "parquet", write(tmp_path / "mine.parquet", rows, schema))
    blue = png("blue")
    assert list(found.examples.values()) == [
        Example("1", (png(),), "<image>?", (), "3", "numeric", (), "mine", "", 3),
        Example("2", (), "?", ("x", "y"), "B", "mcq", (), "mine", "", 0),
        Example("mine-000002", (), "?", (), "3", "numeric", (), "mine", "", 0),
        Example("4", (png(), blue), "?", (), "3", "numeric", (), "mine", "", 0),
    ]
    assert found.aside == {
        "5": ("question is empty", "problem"),
        "6": ("not UTF-8 text", "answer"),
        "7": ("gold is empty", "answer"),
        "8": ("an empty value in a list", "choices"),
        "9": ("an empty value in a list", "images"),
        "10": ("the path leads out of the folder of images", "images"),
        "11": ("image cannot be decoded", found.aside["11"][1]),
        "1": ("id stands twice", "id"),
    }


def test_numbers_keep_their_spelling_and_labels_their_names(tmp_path: Path) -> None:
    for type_, value, wanted in [
        (pa.float32(), 0.1, "0.1"),
        (pa.float64(), 2.0, "2"),
        (pa.int8(), 7, "7"),
        (pa.decimal128(5, 2), decimal.Decimal("2.50"), "2.5"),
        (pa.bool_(), True, "True"),
        (pa.large_string(), "x", "x"),
        (pa.string(), "007", "007"),
    ]:
        table = pa.table({"question": ["?"], "answer": pa.array([value], type_)})
        pq.write_table(table, tmp_path / "mine.parquet")
        assert [item.gold for item in source("parquet", tmp_path / "mine.parquet").read()] == [wanted]
    pq.write_table(pa.table({"question": ["?"], "answer": [datetime.date(2020, 1, 2)]}), tmp_path / "mine.parquet")
    (item,) = source("parquet", tmp_path / "mine.parquet").read()
    assert item.reason == "a date in place of text (a spreadsheet makes one of 1/2)"
    features = datasets.Features(
        {"question": datasets.Value("string"), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    named = datasets.Dataset.from_dict({"question": ["?", "?"], "label": [1, -1]}, features=features)
    named.to_parquet(tmp_path / "mine.parquet")
    named.save_to_disk(tmp_path / "saved")
    for kind, path in (("parquet", tmp_path / "mine.parquet"), ("saved", tmp_path / "saved")):
        first, second = source(kind, path).read()
        assert (first.gold, second.reason) == ("dog", "gold is empty")


@pytest.mark.parametrize("is_record", [True, False])
def test_a_cell_of_parquet_that_is_no_value_is_one_rows(tmp_path: Path, is_record: bool) -> None:
    text = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff?")]
    )
    columns: dict[str, Any] = {"question": text, "gold": ["1", "2"], "kind": ["numeric"] * 2, "id": ["a", "b"]}
    if is_record:
        columns |= {name: [""] * 2 for name in ("source", "family")} | {"difficulty": [0] * 2}
        columns |= {name: pa.nulls(2, pa.list_(pa.string())) for name in ("options", "rationales")}
        columns |= {"images": pa.nulls(2, pa.list_(PICTURE))}
    # Later than the year 9999, and read by nobody.
    columns |= {"made": pa.array([2**60, 0]).cast(pa.timestamp("us"))}
    pq.write_table(pa.table(columns), tmp_path / "mine.parquet")
    found = pool(tmp_path, "parquet", tmp_path / "mine.parquet")
    assert set(found.examples) == {"b"}
    assert found.aside == {"a": ("a value that cannot be read", "question")}


def test_the_files_of_a_directory_are_those_that_hold_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    row = [{"question": "?", "answer": "1"}]
    for name in ("b/part-0.parquet", "a.parquet", "spark.parquet/part-00000.parquet", "data/results/x.parquet"):
        write(tmp_path / name, row)
    hidden = (".ipynb_checkpoints/a.parquet", ".a.parquet", "_temporary/0/a.parquet", "_metadata.parquet", "c.txt")
    for name in (*hidden, f"{paths.RESULTS}/pools/mine/shards/x.parquet"):
        write(tmp_path / name, row)
    (tmp_path / "spark.parquet/_SUCCESS").write_bytes(b"")
    mine = source("parquet", Path())
    names = ["a.parquet", "b/part-0.parquet", "data/results/x.parquet", "spark.parquet/part-00000.parquet"]
    assert mine.files == names
    assert [row.place for row in mine.rows() if isinstance(row, Row)] == [f"{name} row 0" for name in names]
    assert source("parquet", Path("spark.parquet")).files == names[-1:]
    assert mine.called == tmp_path.name
    # Pictures stand below the directory, whatever file names them.
    (tmp_path / "x.png").write_bytes(png())
    write(tmp_path / "b/part-0.parquet", [{"question": "?", "answer": "1", "image": "x.png"}])
    assert [len(item.images) for item in mine.read()] == [0, 1, 0, 0]


def test_a_damaged_file_of_a_directory_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [{"question": "?", "answer": "1"}])
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"b\.parquet: not a readable Parquet file"):
        list(source("parquet", tmp_path).read())
    write(tmp_path / "b.parquet", [{"question": "?", "other": "1"}])
    with pytest.raises(DataError, match=r"b\.parquet row 0: no column is known to hold the right answer"):
        list(source("parquet", tmp_path).read())


def test_a_study_is_not_made_from_its_own_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = write(tmp_path / "results/pools/mine/shards/x.parquet", [{"question": "?", "answer": "1"}])
    (tmp_path / "link").symlink_to(tmp_path / "results/pools")
    for path in (made, made.relative_to(tmp_path), Path("link/mine"), Path("results")):
        with pytest.raises(ValidationError, match="lies in results/, which the workflow itself writes"):
            source("parquet", path)
    with pytest.raises(ValidationError, match="lies in results/"):
        Benchmark.model_validate({"of": "chartqa", "path": "results/pools"})
    for kind in ("parquet", "jsonl", "tsv", "table", "folder", "saved"):
        with pytest.raises(ValidationError, match="no such file"):
            source(kind, "")


def saved(path: Path) -> datasets.Dataset:
    (path.parent / "a.png").write_bytes(png("blue"))
    pictures = [{"bytes": png(), "path": None}, {"bytes": None, "path": str(path.parent / "a.png")}, None] * 4
    rows = {
        "question": ["?"] * 9 + [None, "?", "?"],
        "answer": [str(i) for i in range(10)] + [None, "11"],
        "image": pictures,
    }
    features = {"question": datasets.Value("string"), "answer": datasets.Value("string"), "image": datasets.Image()}
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features))


def test_what_save_to_disk_writes(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    saved(path).select([3, 1, 2, 9, 10]).save_to_disk(path)
    found = pool(tmp_path, "saved", path)
    assert [(item.id, item.gold, item.images) for item in found.examples.values()] == [
        ("mine-000000", "3", (png(),)),
        ("mine-000001", "1", (png("blue"),)),
        ("mine-000002", "2", ()),
    ]
    assert found.aside == {
        "mine row 3": ("question is empty", "question"),
        "mine row 4": ("gold is empty", "answer"),
    }
    assert all(Path(file).is_file() for file in source("saved", path).files)
    assert {Path(file).name for file in source("saved", path).files} >= {"state.json", "data-00000-of-00001.arrow"}
    (path / "data-00000-of-00001.arrow").write_bytes(b"damaged")
    with pytest.raises(DataError, match="mine: not readable as what save_to_disk writes"):
        list(source("saved", path).read())


def test_a_split_of_what_save_to_disk_writes(tmp_path: Path) -> None:
    path, rows = tmp_path / "mine", saved(tmp_path / "mine")
    datasets.DatasetDict({"train": rows.select(range(3)), "test": rows.select(range(3, 5))}).save_to_disk(path)
    with pytest.raises(ValidationError, match="say which `split`; there are train, test"):
        source("saved", path)
    with pytest.raises(ValidationError, match="no split 'dev'; there are train, test"):
        source("saved", path, split="dev")
    assert [item.gold for item in source("saved", path, split="test").read()] == ["3", "4"]
    assert source("saved", path / "train").called == "train"
    with pytest.raises(ValidationError, match=r"has none; leave it out"):
        source("saved", path / "train", split="train")
    with pytest.raises(ValidationError, match=r"is not what save_to_disk writes: it has no state\.json"):
        source("saved", tmp_path)


def test_what_save_to_disk_writes_is_read_without_holding_it(tmp_path: Path) -> None:
    size, n = 20_000, 1000

    def rows() -> Any:
        for i in range(n):
            yield {"question": "?", "answer": str(i), "image": {"bytes": os.urandom(size), "path": None}}

    features = {"question": datasets.Value("string"), "answer": datasets.Value("string"), "image": datasets.Image()}
    made = datasets.Dataset.from_generator(rows, datasets.Features(features), cache_dir=str(tmp_path / "cache"))
    made.save_to_disk(tmp_path / "mine")
    before = pa.total_allocated_bytes()
    mine = source("saved", tmp_path / "mine")
    tracemalloc.start()
    try:
        most = max(pa.total_allocated_bytes() - before for _ in mine.read())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most + peak < n * size / 3


def test_a_json_array(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    rows = [{"question": f"{i}?", "answer": i / 2} for i in range(3)]
    file.write_text(json.dumps([*rows, 7, None, {"question": "?"}], indent=1))
    found = pool(tmp_path, "jsonl", file)
    assert [(item.question, item.gold) for item in found.examples.values()] == [("0?", "0"), ("1?", "0.5"), ("2?", "1")]
    assert found.aside == {
        "mine.json: element 4": ("not a JSON object", ""),
        "mine.json: element 5": ("not a JSON object", ""),
        "mine.json: element 6": ("no key is known to hold the right answer", ""),
    }
    record = {"id": "a", "question": "?", "gold": "1", "kind": "numeric", "source": "me", "family": "f"}
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps([record, {**record, "gold": 1}]).encode())
    first, second = source("jsonl", file).read()
    assert (first.source, first.family, second.reason) == ("me", "f", "gold: should be a valid string")
    file.write_text("\n".join(map(json.dumps, rows)))
    assert len(list(source("jsonl", file).read())) == 3
    for text, message in [
        ('[{"question": "?", "answer": "1"}, {"question"', r"mine\.json: not JSON behind element 1 of its array"),
        ('[{"question": "?", "answer": "1"},]', r"mine\.json: not JSON behind element 1 of its array"),
        ('[{"question": "?", "answer": "1"}][]', r"mine\.json: not JSON behind element 1 of its array \(more follows"),
        ('[{"question": "?"} {"answer": "1"}]', r"mine\.json: not JSON behind element 1 of its array \(no comma"),
        ('{\n"data": [1, 2]}', r"mine\.json: neither JSON lines nor one array of objects"),
    ]:
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            list(source("jsonl", file).read())


@pytest.mark.parametrize("name", ["mine.json", "mine.jsonl"])
@pytest.mark.parametrize("is_record", [True, False])
def test_what_json_can_spell_and_nobody_mean_is_one_rows(tmp_path: Path, name: str, is_record: bool) -> None:
    rest = ', "kind": "numeric", "source": "me"' if is_record else ""
    golds = {"a": '"\\ud800"', "b": "NaN", "c": "1e999", "d": '"1", "gold": "2"', "e": '"3", "gold": "3"'}
    lines = [f'{{"id": "{id_}", "question": "?", "gold": {gold}{rest}}}' for id_, gold in golds.items()]
    text = f"[{','.join(lines)}, {' ' * 100_000}12]" if name == "mine.json" else "\n".join([*lines, "12"])
    (tmp_path / name).write_text(text)
    found = pool(tmp_path, "jsonl", tmp_path / name)
    assert {item.id: item.gold for item in found.examples.values()} == {"e": "3"}
    assert len(found.aside) == 5
    assert ("the key stands twice, with two values", "gold") in found.aside.values()


def test_a_json_array_is_read_without_holding_it(tmp_path: Path) -> None:
    file, n, size = tmp_path / "mine.json", 200, 20_000
    file.write_text(json.dumps([{"question": "?", "answer": "1", "note": "x" * size}] * n))
    mine = source("jsonl", file)
    tracemalloc.start()
    try:
        count = sum(isinstance(item, Example) for item in mine.read())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == n
    assert peak < n * size / 3
