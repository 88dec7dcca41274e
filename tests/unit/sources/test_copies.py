"""Which files of a copy hold the rows of a published data set, and where its pictures are."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reassess.example import DataError, Example, PutAside
from reassess.sources import copies, fields
from reassess.sources.published import Published
from reassess.sources.repository import Hub

LOCATION = Hub("owner/name", "test", None, None)
# This file is the module of a data set.
VERSION = 1
PICTURES = ("picture",)


def example(row: Mapping[str, Any]) -> Example:
    """A row of a data set whose pictures are paths."""
    return Example("", fields.images(row, "picture", "struct"), "?", (), "red", "text", (), "drawn", "", 0)


CARD = """---
license: mit
configs:
- config_name: b
  data_files: [{split: train, path: b/train*}, {split: test, path: [b/one*, b/two*]}]
- config_name: a
  default: true
  data_files: [{split: test, path: "a*/*.parquet"}]
---
# A card
"""


@pytest.mark.parametrize(
    ("files", "changes", "chosen"),
    [
        (["x.parquet", "y.csv", "README.txt", ".cache/z.parquet"], {}, ["x.parquet", "y.csv"]),
        (["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"], {}, ["data/test-00000-of-00001.p"]),
        (["train.jsonl", "eval.jsonl"], {}, ["eval.jsonl"]),
        (["train.jsonl", "dev.jsonl"], {}, []),
        (["train.jsonl", "val.jsonl"], {"split": "validation"}, ["val.jsonl"]),
        (["testmini.parquet", "testmini_text_only.parquet"], {"split": "testmini"}, ["testmini.parquet"]),
        (["b/test-0.parquet", "a/test-0.parquet", "c/test-0.parquet"], {"configs": ("b", "a")}, ["a/test", "b/test"]),
        (["README.md", "a1/x.parquet", "b/one.parquet", "b/two.csv", "b/train.csv"], {}, ["a1/x.parquet"]),
        (["README.md", "a/x.parquet", "b/two.csv", "b/one.csv"], {"configs": ("b", "a")}, ["b/one", "b/two", "a/x"]),
        (["deep/39Krelease.parquet", "other.parquet"], {"files": ("deep/39K*",)}, ["deep/39Krelease.parquet"]),
        (["39Krelease.parquet", "other.parquet"], {"files": ("deep/39K*",)}, ["39Krelease.parquet"]),
    ],
)
def test_the_split_of_a_copy(tmp_path: Path, files: list[str], changes: dict[str, Any], chosen: list[str]) -> None:
    for name in files:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(CARD if name == "README.md" else "")
    found = [str(Path(file).relative_to(tmp_path)) for file in copies.row_files(tmp_path, LOCATION._replace(**changes))]
    assert len(found) == len(chosen)
    assert all(name.startswith(begin) for name, begin in zip(found, chosen, strict=True)), found


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    assert copies.row_files(tmp_path / "train.jsonl", LOCATION) == [str(tmp_path / "train.jsonl")]


def read(path: Path, image_root: Path | None = None, **changes: Any) -> list[Example | PutAside]:
    root = str(image_root) if image_root else None
    return list(Published("drawn", __name__, LOCATION._replace(**changes), str(path), root, "MIT").read())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy with pictures by path, in a column of paths and in one as `datasets.Image` writes it."""
    folder = tmp_path / "copy"
    (folder / "images").mkdir(parents=True)
    rows = [
        {"picture": "images/1.png", "struct": {"bytes": None, "path": "2.png"}},
        {"picture": ["images/1.png"], "struct": None},
        {"picture": "images/3.png", "struct": None},
        {"picture": 7, "struct": None},
    ]
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nnot JSON\n")
    return folder


def checked(found: list[Example | PutAside], first: tuple[bytes, ...], reason: str) -> None:
    assert [item.images if isinstance(item, Example) else (item.id, item.reason) for item in found[:3]] == [
        first,
        first[:1],
        ("drawn-00002", reason),
    ]
    fourth, fifth = found[3:]
    assert isinstance(fourth, PutAside)
    assert (fourth.reason, fourth.column) == ("expected an image (`bytes` and `path`), got int", "picture")
    assert isinstance(fifth, PutAside)
    assert fifth.reason == "not JSON"


def test_pictures_beside_a_copy(copy: Path) -> None:
    (copy / "images/1.png").write_bytes(b"one")
    (copy / "2.png").write_bytes(b"two")
    checked(read(copy), (b"one", b"two"), "no such image file")
    checked(read(copy / "test.jsonl"), (b"one", b"two"), "no such image file")
    copy.rename(copy.with_name("pictures"))
    (copy.with_name("rows.jsonl")).write_text((copy.with_name("pictures") / "test.jsonl").read_text())
    found = read(copy.with_name("rows.jsonl"), copy.with_name("pictures"))
    checked(found, (b"one", b"two"), "no such image file")


def test_pictures_in_archives_of_a_copy(copy: Path) -> None:
    with zipfile.ZipFile(copy / "images.zip", "w") as archive:
        archive.writestr("1.png", b"one")
    with zipfile.ZipFile(copy / "more.zip", "w") as archive:
        archive.writestr("2.png", b"two")
    found = read(copy, archives=("images.zip", "folder/more.zip"))
    checked(found, (b"one", b"two"), "no such image file")


def test_a_copy_without_the_split_is_said(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"no data files \(\.parquet, .*\) of split 'test'; give the files"):
        read(tmp_path)
