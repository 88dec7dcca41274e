"""Sources: what every kind has, and how JSON lines and Parquet files are read."""

from __future__ import annotations

import base64
import inspect
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from hub_server import REVISION, serving, use
from reassess import graph, paths
from reassess.data.pool import build_examples
from reassess.example import DataError, Example, PutAside
from reassess.sources import AnySource, Source
from reassess.sources.jsonl import JsonlSource
from reassess.sources.parquet import ParquetSource
from reassess.sources.rows import SCHEMA, row
from reassess.study.read import StudyError, read_yaml

KINDS = get_args(get_args(AnySource)[0])


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(buffer, format="PNG")
    return buffer.getvalue()


def line(i: int, **changes: Any) -> dict[str, Any]:
    fields = {"id": f"r{i}", "question": f"question {i}?", "gold": str(i), "kind": "numeric", "source": "mine"}
    return {key: value for key, value in {**fields, **changes}.items() if value != "left out"}


def jsonl(path: Path, lines: list[Any]) -> JsonlSource:
    text = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in lines]
    path.write_bytes(b"\n".join(text) + b"\n")
    return JsonlSource(kind="jsonl", path=str(path), licence="MIT")


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, dict[str, Any]]]:
    """Options of every kind of source, and one value that each refuses; the hub is played on this machine."""
    pq.write_table(pa.Table.from_pylist([row(EXAMPLE)], schema=SCHEMA), tmp_path / "mine.parquet")
    jsonl(tmp_path / "mine.jsonl", [line(0), b"{"])
    mine, refused = str(tmp_path / "mine"), {"path": "nowhere"}
    (tmp_path / "mine.csv").write_text("question,answer\n1+1?,2\n")
    (tmp_path / "mine.tsv").write_text("index\tquestion\tanswer\n0\t1+1?\t2\n")
    (tmp_path / "mine-pictures").mkdir()
    (tmp_path / "mine-pictures/a.png").write_bytes(png())
    (tmp_path / "mine-pictures/metadata.csv").write_text("file_name,question,answer\na.png,What colour?,red\n")
    datasets.Dataset.from_dict({"question": ["1+1?"], "answer": ["2"]}).save_to_disk(f"{mine}-saved")
    geometry = {"images": [{"bytes": png(), "path": None}], "problem": "<image>Find x.", "answer": "3"}
    pq.write_table(pa.Table.from_pylist([geometry]), tmp_path / "geometry3k.parquet")
    (tmp_path / "repository/data").mkdir(parents=True)
    sums = pa.table({"question": ["1+1?"], "answer": ["2"]})
    pq.write_table(sums, tmp_path / "repository/data/train-00000-of-00001.parquet")
    hub = {"path": "owner/sums", "revision": REVISION, "split": "train", "licence": "MIT"}
    found = {
        "hub": {"kind": "hub", **hub, "refused": {"revision": "main"}},
        "easy-vqa": {"kind": "easy-vqa", "n": 3, "refused": {"split": "dev"}},
        "toy": {"kind": "toy", "n": 3, "refused": {"n": 0}},
        "set": {
            "kind": "set",
            "name": "geometry3k",
            "path": str(tmp_path / "geometry3k.parquet"),
            "refused": {"name": "geometry4k"},
        },
        "parquet": {"kind": "parquet", "path": f"{mine}.parquet", "licence": "MIT", "refused": refused},
        "jsonl": {"kind": "jsonl", "path": f"{mine}.jsonl", "licence": "MIT", "refused": refused},
        "tsv": {"kind": "tsv", "path": f"{mine}.tsv", "licence": "MIT", "refused": refused},
        "table": {"kind": "table", "path": f"{mine}.csv", "licence": "MIT", "refused": {"path": f"{mine}.tsv"}},
        "folder": {"kind": "folder", "path": f"{mine}-pictures", "licence": "MIT", "refused": {"path": f"{mine}.csv"}},
        "saved": {"kind": "saved", "path": f"{mine}-saved", "licence": "MIT", "refused": {"split": "train"}},
    }
    with serving(tmp_path / "repository", "owner/sums", "datasets") as server:
        use(server, tmp_path / "home", monkeypatch)
        yield found


EXAMPLE = Example("a", (), "?", ("x", "y"), "A", "mcq", ("because",), "mine", "f", 2, '{"k": 1}')


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_kind_of_source_has(kind: type[Any], given: dict[str, dict[str, Any]]) -> None:
    (name,) = get_args(kind.model_fields["kind"].annotation)
    options = given[name]
    refused = options.pop("refused")
    source: Any = TypeAdapter(Source).validate_python(options)
    assert type(source) is kind
    with pytest.raises(ValidationError):
        TypeAdapter(Source).validate_python({**options, **refused})
    with pytest.raises(ValidationError):
        TypeAdapter(Source).validate_python({**options, "unknown": 1})
    assert inspect.getdoc(kind)
    assert source.licence
    assert all(Path(file).is_file() for file in source.files)
    assert list(source.misfits("visual", is_benchmark=False)) == []
    rows = source.read()
    assert isinstance(rows, Iterator)
    assert isinstance(next(rows), Example)
    assert all(isinstance(item, Example | PutAside) for item in rows)
    assert source.size in (None, 3)


def test_naming_sources_loads_nothing_heavy() -> None:
    code = "import sys, reassess.sources; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "reassess.sources.jsonl" in loaded
    assert not {
        "numpy",
        "pyarrow",
        "datasets",
        "openpyxl",
        "PIL",
        "sklearn",
        "torch",
        "reassess.sources.scenes",
    } & set(loaded)


def test_json_lines_are_examples(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(png())
    full = {"options": ["x", "y"], "rationales": ["because"], "family": "f", "difficulty": 3}
    full |= {"kind": "mcq", "gold": "B"}
    text = base64.b64encode(png()).decode()
    lines = [
        b"\xef\xbb\xbf" + json.dumps(line(0, **full, metadata='{"k": 1}', image="images/a.png")).encode(),
        b"",
        line(1, image=f"data:image/png;base64,{text}", metadata={"b": "é", "a": 1}),
        line(2, image_base64=text[:20] + "\n" + text[20:]),
        line(3, image=None, options=None, family=None, difficulty=None, metadata=None),
    ]
    found = list(jsonl(tmp_path / "mine.jsonl", lines).read())
    assert found == [
        Example("r0", (png(),), "question 0?", ("x", "y"), "B", "mcq", ("because",), "mine", "f", 3, '{"k": 1}'),
        Example("r1", (png(),), "question 1?", (), "1", "numeric", (), "mine", "", 0, '{"a": 1, "b": "é"}'),
        Example("r2", (png(),), "question 2?", (), "2", "numeric", (), "mine", "", 0),
        Example("r3", (), "question 3?", (), "3", "numeric", (), "mine", "", 0),
    ]


OUT = "the path leads out of the folder of images"
ODD: list[tuple[Any, str, str]] = [
    (b'{"id": "r', "not JSON", ""),
    (b'{"id": "\xff"}', "not JSON", ""),
    (b"[" * 100_000, "not JSON", ""),
    ([1, 2], "not a JSON object", ""),
    (line(1, gold="left out"), "gold is missing", "gold"),
    (line(1, rationale="because"), "unknown key 'rationale'", "rationale"),
    (line(1, gold=7), "gold: should be a valid string", "gold"),
    (line(1, gold=None), "gold: should be a valid string", "gold"),
    (line(1, options="x"), "options: should be a valid array", "options"),
    (line(1, options=["x", None]), "options: should be a valid string", "options"),
    (line(1, difficulty=True), "difficulty: should be a valid integer", "difficulty"),
    (line(1, difficulty=2**63), "difficulty: should be less than 9223372036854775808", "difficulty"),
    (line(1, question="\ud800"), "not JSON", ""),
    (line(1, metadata=[1]), "metadata: should be text or a JSON object", "metadata"),
    (line(1, image="nowhere.png"), "no such image file", "image"),
    (line(1, images=["."]), "no such image file", "images"),
    (line(1, image="../secret.png"), OUT, "image"),
    (line(1, image="images/../../secret.png"), OUT, "image"),
    (line(1, image="/etc/hostname"), OUT, "image"),
    (line(1, image="link.png"), OUT, "image"),
    (line(1, image="a\0b"), "the image file cannot be read", "image"),
    (line(1, image="x." * 2500), "the image file cannot be read", "image"),
    (line(1, image="loop"), "the image file cannot be read", "image"),
    (line(1, image="data:image/svg+xml,<svg/>"), "a data: URI that is not base64", "image"),
    (line(1, image="data:image/png;base64,???"), "not base64", "image"),
    (line(1, image_base64="é"), "not base64", "image_base64"),
    (line(1, image_base64="AAAA", image="a.png"), "image and image_base64: give one of them", "image"),
]


def test_a_line_that_is_no_example_is_put_aside_with_its_number(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(png())
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "loop").symlink_to(folder / "loop")
    file = folder / "mine.jsonl"
    lines = [item for odd, _, _ in ODD for item in (line(0), odd)]
    found = list(jsonl(file, lines).read())
    assert [item.id for item in found[::2]] == ["r0"] * len(ODD)
    wanted = [PutAside(f"mine.jsonl:{2 * i + 2}", str(file), *why) for i, (_, *why) in enumerate(ODD)]
    assert found[1::2] == wanted


def test_a_pool_of_json_lines_counts_what_is_put_aside(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [*(line(i) for i in range(40)), b"{", line(41, gold=1), b"]", line(43, image_base64="AAAA")]
    source = jsonl(tmp_path / "mine.jsonl", lines)
    data = read_yaml(root / "studies/tiny.yaml")
    data["pools"] = {"mine": {"sources": [source.model_dump()], "max_put_aside": 0.1, "modality": "text"}}
    study = graph.parse(data, "test")
    assert study["pool", "mine"].inputs == (str(tmp_path / "mine.jsonl"),)
    build_examples(study, study["pool", "mine"])
    record = json.loads(Path(paths.pool("mine", "manifest.json")).read_text())
    reasons = {"not JSON": 2, "gold: should be a valid string": 1, "image cannot be decoded": 1}
    assert (record["n"], record["put_aside"], record["licences"]) == (40, reasons, {"mine": "MIT"})
    put_aside = Path(paths.pool("mine", "put_aside.jsonl")).read_text().splitlines()
    assert json.loads(put_aside[0]) == {
        "id": "mine.jsonl:41",
        "source": str(tmp_path / "mine.jsonl"),
        "reason": "not JSON",
        "column": "",
    }
    data["pools"]["mine"]["sources"][0]["path"] = "nowhere.jsonl"
    with pytest.raises(StudyError) as error:
        graph.parse(data, "test")
    assert str(error.value) == "test: pools.mine.sources.0.path: no such file: 'nowhere.jsonl'"
    del data["pools"]["mine"]["sources"][0]["licence"]
    with pytest.raises(StudyError, match=r"pools\.mine\.sources\.0\.licence: required, but missing"):
        graph.parse(data, "test")


def test_json_lines_are_read_one_at_a_time(tmp_path: Path) -> None:
    """The second line is written after the first was read."""
    file = tmp_path / "mine.jsonl"
    rows = jsonl(file, [line(0, metadata="x" * 2**17)]).read()
    assert next(rows).id == "r0"
    with file.open("ab") as handle:
        handle.write(json.dumps(line(1)).encode())
    assert [item.id for item in rows] == ["r1"]


@pytest.mark.parametrize("groups", [2000, 100])
def test_a_parquet_file_is_read_without_holding_it(tmp_path: Path, groups: int) -> None:
    n, size = 2000, 20_000
    pictures = ({"path": None, "bytes": os.urandom(size)} for _ in range(n))
    rows = [{**row(EXAMPLE), "id": str(i), "image": picture} for i, picture in enumerate(pictures)]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    # Pages of 100 rows: of one page nothing less can be read.
    pq.write_table(table, tmp_path / "mine.parquet", row_group_size=groups, write_batch_size=100)
    del table
    before, most, found = pa.total_allocated_bytes(), 0, 0
    for item in ParquetSource(kind="parquet", path=str(tmp_path), licence="MIT").read():
        most = max(most, pa.total_allocated_bytes() - before)
        found += item.id == str(found)
    assert found == n
    assert most < n * size / 3


def test_a_parquet_file_without_metadata_is_read(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([row(EXAMPLE)], schema=SCHEMA).drop_columns(["metadata"])
    pq.write_table(table, tmp_path / "mine.parquet")
    source = ParquetSource(kind="parquet", path=str(tmp_path), licence="MIT")
    assert [item.metadata for item in source.read() if isinstance(item, Example)] == [""]


def test_a_parquet_file_with_a_column_twice_is_one_error(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([row(EXAMPLE)], schema=SCHEMA)
    pq.write_table(table.append_column("gold", table["gold"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: columns that stand twice: gold"):
        list(ParquetSource(kind="parquet", path=str(tmp_path), licence="MIT").read())


def test_a_damaged_or_empty_parquet_source_is_one_error(tmp_path: Path) -> None:
    source = ParquetSource(kind="parquet", path=str(tmp_path), licence="MIT")
    with pytest.raises(DataError, match=r"no \*\.parquet files"):
        list(source.read())
    pq.write_table(
        pa.Table.from_pylist([row(EXAMPLE)] * 500, schema=SCHEMA), tmp_path / "a.parquet", compression="none"
    )
    file = tmp_path / "a.parquet"
    whole = bytearray(file.read_bytes())
    whole[4:2000] = os.urandom(1996)
    file.write_bytes(whole)
    with pytest.raises(DataError, match=r"a\.parquet: not a readable Parquet file"):
        list(source.read())
    pq.write_table(pa.table({name: [1] for name in SCHEMA.names}), file)
    with pytest.raises(DataError, match=r"a\.parquet: columns are not of the types of an example record"):
        list(source.read())
