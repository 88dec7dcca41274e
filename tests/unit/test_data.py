"""Pools, benchmarks and subsets: nested, hashed, and with every unusable row put aside and counted."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from reassess.data.build import build_examples, build_subset

from reassess import graph, paths
from reassess.data.shards import SCHEMA, read_shards
from reassess.example import DataError
from reassess.graph import Graph


def image(colour: str = "red", mode: str = "RGB", form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), colour).convert(mode).save(buffer, format=form)
    return buffer.getvalue()


def row(i: int, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": f"r{i}",
        "image": {"bytes": image(), "path": None},
        "question": f"question {i}?",
        "options": [],
        "gold": str(i),
        "kind": "numeric",
        "rationales": [],
        "source": "mine",
        "family": "f",
        "difficulty": 1,
    }
    return {**fields, **changes}


def study_of(root: Path, rows: list[dict[str, Any]], tmp_path: Path, **pool: Any) -> Graph:
    data = json.loads(graph.load(root / "studies/tiny.yaml").study.model_dump_json())
    file = tmp_path / "mine.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), file)
    data["pools"] = {"mine": {"sources": [{"kind": "parquet", "path": str(file), "licence": "MIT"}], **pool}}
    data.update(sizes=[5, 20, 50, 51], seeds=[1, 2], exclude=[])
    return graph.parse(data, "test")


def build_pool(study: Graph) -> None:
    build_examples(study, study["pool", "mine"])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def manifest(pool: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(Path(paths.pool(pool, "manifest.json")).read_text())
    return loaded


def test_unusable_rows_are_put_aside_with_a_reason(root: Path, tmp_path: Path) -> None:
    rows = [row(i) for i in range(6)]
    rows += [row(6, image={"bytes": b"not an image", "path": None}), row(7, gold="  "), row(8, kind="essay")]
    rows += [row(9, kind="mcq", gold="A"), row(10, question=""), row(11, image={"bytes": image()[:45], "path": None})]
    study = study_of(root, rows, tmp_path, max_put_aside=0.5)
    build_pool(study)
    record = manifest("mine")
    assert record["n"] == 6
    assert record["put_aside"] == {
        "image cannot be decoded": 2,
        "gold is empty": 1,
        "kind is not one of math, numeric, mcq, text": 1,
        "mcq without options": 1,
        "question is empty": 1,
    }
    lines = [json.loads(line) for line in Path(paths.pool("mine", "put_aside.jsonl")).read_text().splitlines()]
    assert [line["id"] for line in lines] == ["r6", "r7", "r8", "r9", "r10", "r11"]
    assert record["licences"] == {"mine": "MIT"}
    assert record["counts"]["difficulty"] == {"1": 6}


def test_too_many_unusable_rows_fail_the_job(root: Path, tmp_path: Path) -> None:
    study = study_of(root, [row(0), row(1, gold=""), row(2), row(3)], tmp_path, max_put_aside=0.2)
    with pytest.raises(DataError, match=r"1 of 4 rows cannot be used \(1 x gold is empty; the first is 'r1'\)"):
        build_pool(study)
    assert not Path(paths.pool("mine", "manifest.json")).exists()


def test_an_id_that_stands_twice_is_an_error(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the id 'r0' stands twice"):
        build_pool(study_of(root, [row(0), row(0)], tmp_path))


def test_wrong_columns_are_named(root: Path, tmp_path: Path) -> None:
    study = study_of(root, [row(0)], tmp_path)
    pq.write_table(pa.table({"id": ["a"], "question": ["?"]}), tmp_path / "mine.parquet")
    with pytest.raises(DataError, match=r"mine\.parquet: columns missing: image, options, gold"):
        build_pool(study)
    (tmp_path / "mine.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"mine\.parquet: not a readable Parquet file"):
        build_pool(study)


def test_image_forms_are_read_as_rgb(root: Path, tmp_path: Path) -> None:
    forms = [("RGB", "PNG"), ("L", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("CMYK", "JPEG"), ("RGB", "WEBP")]
    rows = [row(i, image={"bytes": image(mode=m, form=f), "path": None}) for i, (m, f) in enumerate(forms)]
    build_pool(study_of(root, [*rows, row(99, image=None)], tmp_path))
    examples = read_shards(paths.pool("mine"))
    assert [getattr(item.pil(), "mode", None) for item in examples] == ["RGB"] * 6 + [None]


def test_subsets_are_nested_prefixes(root: Path, tmp_path: Path) -> None:
    study = study_of(root, [row(i) for i in range(50)], tmp_path)
    build_pool(study)
    records = {}
    for seed in (1, 2):
        for n in (5, 20, 50):
            job = study["subset", f"mine/seed{seed}/{n}"]
            build_subset(job)
            records[seed, n] = json.loads(Path(job.record).read_text())
    assert records[1, 20]["ids"][:5] == records[1, 5]["ids"]
    assert records[1, 50]["ids"][:20] == records[1, 20]["ids"]
    assert records[1, 20]["ids"] != records[2, 20]["ids"]
    assert len({record["ids_sha256"] for record in records.values()}) == len(records)
    assert records[1, 5]["pool_content_sha256"] == manifest("mine")["content_sha256"]
    with pytest.raises(DataError, match="51 is larger than pool 'mine', which has 50"):
        build_subset(study["subset", "mine/seed1/51"])


def test_a_rebuilt_pool_has_the_same_hash_and_a_changed_pixel_another(root: Path, tmp_path: Path) -> None:
    hashes = []
    for colour in ("red", "red", "#fe0000"):
        study = study_of(root, [row(0), row(1, image={"bytes": image(colour), "path": None})], tmp_path)
        build_pool(study)
        hashes.append(manifest("mine")["content_sha256"])
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_text_benchmark_takes_no_images(tiny: Graph, root: Path, tmp_path: Path) -> None:
    data = json.loads(tiny.study.model_dump_json())
    pq.write_table(pa.Table.from_pylist([row(0), row(1, image=None)], schema=SCHEMA), tmp_path / "mine.parquet")
    source = {"kind": "parquet", "path": str(tmp_path / "mine.parquet"), "licence": "MIT"}
    data["benchmarks"]["toy-text"] = {"modality": "text", "max_put_aside": 0.6, "sources": [source]}
    study = graph.parse(data, "test")
    build_examples(study, study["benchmark", "toy-text"])
    record = json.loads(Path(paths.benchmark("toy-text", "manifest.json")).read_text())
    assert (record["n"], record["put_aside"]) == (1, {"modality is not text": 1})


def test_datasets_reads_the_shards(root: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    build_pool(study_of(root, [row(0), row(1, image=None)], tmp_path))
    files = str(Path(paths.pool("mine")) / "shards" / "*.parquet")
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded[0]["image"].size == (8, 6)
    assert loaded[1]["image"] is None
    assert loaded.features["options"] == datasets.List(datasets.Value("string"))


def test_a_changed_gold_or_rationale_is_another_pool(root: Path, tmp_path: Path) -> None:
    hashes = set()
    for change in ({}, {"gold": "7"}, {"rationales": ["because"]}, {"kind": "text"}, {"difficulty": 2}):
        build_pool(study_of(root, [row(0), row(1, **change)], tmp_path))
        hashes.add(manifest("mine")["content_sha256"])
    assert len(hashes) == 5


def test_an_image_given_by_path_is_not_taken_for_none(root: Path, tmp_path: Path) -> None:
    study = study_of(root, [row(0), row(1, image={"bytes": None, "path": "x.png"})], tmp_path)
    with pytest.raises(DataError, match=r"mine\.parquet: row 'r1' names its image by path \('x\.png'\)"):
        build_pool(study)
