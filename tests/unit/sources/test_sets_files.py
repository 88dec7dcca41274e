"""Known training sets as whole copies: files as they are published, with their pictures beside them or in archives."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pydantic import TypeAdapter

from reassess.example import Example, PutAside
from reassess.sources import Source


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def read(name: str, path: Path, **more: Any) -> list[Example | PutAside]:
    source = TypeAdapter(Source).validate_python({"kind": "set", "name": name, "path": str(path), **more})
    return list(source.read())


def test_a_table_with_an_archive_of_pictures(tmp_path: Path) -> None:
    """ViRL39K: paths in a list, none of them unpacked, and rows for text alone."""
    shared = {"category": "Geometry", "source": "x", "PassRate_32BTrained": 0.5, "PassRate_7BBase": -1.0}
    rows = [
        {"question": "<image>Find x.", "answer": "\\boxed{3}", "qid": "one", "image": ["images/a.png"], **shared},
        {
            "question": "<image><image>Which?",
            "answer": "\\boxed{A}",
            "qid": "two",
            "image": ["images/a.png"] * 2,
            **shared,
        },
        {"question": "What is 1+1?", "answer": "\\boxed{2}", "qid": "text", "image": [], **shared},
        {"question": "<image>Find y.", "answer": "\\boxed{4}", "qid": "lost", "image": ["images/no.png"], **shared},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "39Krelease.parquet")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("images/a.png", png("red"))
    one, two, text, lost = read("virl39k", tmp_path)
    assert isinstance(one, Example)
    assert (one.id, one.images, one.gold) == ("one", (png("red"),), "3")
    assert isinstance(two, Example)
    assert two.images == (png("red"),) * 2
    assert isinstance(text, Example)
    assert text.images == ()
    assert isinstance(lost, PutAside)
    assert (lost.id, lost.column) == ("virl39k-00003", "image")


def test_lines_with_an_archive_in_parts(tmp_path: Path) -> None:
    """LLaVA-CoT: rows without a picture, and conversations of several turns."""
    said = "<REASONING>It is red.</REASONING><CONCLUSION>red</CONCLUSION>"
    talk = [{"from": "human", "value": "Which colour?"}, {"from": "gpt", "value": said}]
    rows = [
        {"id": "a", "image": "vqa/a.png", "conversations": talk},
        {"id": "b", "conversations": talk},
        {"id": "c", "image": "vqa/a.png", "conversations": talk * 2},
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("vqa/a.png", png("red"))
    data = whole.getvalue()
    for part, start in (("aa", 0), ("ab", len(data) // 2)):
        (tmp_path / f"image.zip.part-{part}").write_bytes(data[start : len(data) // 2 if start == 0 else None])
    first, second, third = read("llava-cot", tmp_path)
    assert isinstance(first, Example)
    assert (first.images, first.gold, first.rationales) == ((png("red"),), "red", ("It is red.",))
    assert isinstance(second, Example)
    assert second.images == ()
    assert third == PutAside("llava-cot-00002", "llava-cot", "a conversation of several turns", "conversations")


def test_json_lines_called_json_with_unpacked_pictures(tmp_path: Path) -> None:
    """VLAA-Thinking: a path may begin with a slash, and means the directory of pictures."""
    (tmp_path / "pictures/allava/images").mkdir(parents=True)
    (tmp_path / "pictures/allava/images/1.png").write_bytes(png("blue"))
    row = {"question": "How many?", "gt": 3, "answer": "<think>Two and one.</think><answer>3</answer>"}
    rows = [
        {"id": "allava-1", "image": "/allava/images/1.png", **row},
        {"id": "allava-2", "image": "../outside.png", **row},
    ]
    file = tmp_path / "VLAA-Thinking-SFT-126K.json"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "outside.png").write_bytes(png("red"))
    first, second = read("vlaa-thinking-sft", file, image_root=str(tmp_path / "pictures"))
    assert isinstance(first, Example)
    assert (first.images, first.gold, first.family) == ((png("blue"),), "3", "allava")
    assert isinstance(second, PutAside)
    assert second.column == "image"
