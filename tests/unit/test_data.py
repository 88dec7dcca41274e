"""Pools, benchmarks and subsets: nested, hashed, and with every unusable row put aside and counted."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from reassess import graph, paths
from reassess.analyse.statistics import floor_hits
from reassess.data.collection import content_sha256
from reassess.data.pool import build, build_examples
from reassess.data.shards import BATCH_ROWS, Shards, stream
from reassess.data.subset import build_subset
from reassess.example import DataError, Example, PutAside, record_sha256
from reassess.graph import Graph
from reassess.sources.base import SourceOptions
from reassess.sources.rows import SCHEMA
from reassess.study.data import Pool
from reassess.study.read import read_yaml

# What a user's file has whose questions have one image each.
SINGLE = pa.schema([pa.field("image", field.type.value_type) if field.name == "images" else field for field in SCHEMA])


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
    data = read_yaml(root / "studies/tiny.yaml")
    file = tmp_path / "mine.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=SINGLE), file)
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
    with pytest.raises(
        DataError,
        match=r"1 of 4 rows cannot be used \(1 x gold is empty; the first is 'r1', all .* in .*put_aside.jsonl\)",
    ):
        build_pool(study)
    assert not Path(paths.pool("mine", "manifest.json")).exists()


def test_of_an_id_that_stands_twice_the_first_row_stays(root: Path, tmp_path: Path) -> None:
    rows = [row(0), row(1, gold=""), row(0, question="another?"), row(1, question="once more?")]
    build_pool(study_of(root, rows, tmp_path, max_put_aside=0.5))
    assert [item.question for item in stream(paths.pool("mine"))] == ["question 0?", "once more?"]
    assert manifest("mine")["put_aside"] == {"id stands twice": 1, "gold is empty": 1}
    lines = [json.loads(line) for line in Path(paths.pool("mine", "put_aside.jsonl")).read_text().splitlines()]
    assert lines[1] == {"id": "r0", "source": "mine", "reason": "id stands twice", "column": "id"}
    with pytest.raises(DataError, match="a `name` of its own, number the rows"):
        build_pool(study_of(root, [row(0), row(0)], tmp_path))


def test_files_of_one_name_have_other_ids_by_the_names_of_their_sources(root: Path, tmp_path: Path) -> None:
    sources = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "train.jsonl"
        file.write_text('{"question": "1 + 2?", "answer": 3}\n')
        sources.append({"kind": "jsonl", "path": str(file), "licence": "MIT", "name": name})
    data = read_yaml(root / "studies/tiny.yaml")
    data["pools"] = {"mine": {"sources": sources, "modality": "text"}}
    data.update(sizes=[2], exclude=[])
    build_pool(graph.parse(data, "test"))
    assert [item.id for item in stream(paths.pool("mine"))] == ["a-000000", "b-000000"]


def test_wrong_columns_are_named(root: Path, tmp_path: Path) -> None:
    study = study_of(root, [row(0)], tmp_path)
    pq.write_table(pa.table({"id": ["a"], "question": ["?"]}), tmp_path / "mine.parquet")
    with pytest.raises(DataError, match=r"mine\.parquet row 0: no column is known to hold the right answer; the col"):
        build_pool(study)
    (tmp_path / "mine.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"mine\.parquet: not a readable Parquet file"):
        build_pool(study)


def test_an_image_in_two_columns_is_refused(root: Path, tmp_path: Path) -> None:
    study = study_of(root, [row(0)], tmp_path)
    both = pa.Table.from_pylist([{**row(0), "images": []}])
    pq.write_table(both, tmp_path / "mine.parquet")
    with pytest.raises(DataError, match=r"mine\.parquet: columns image and images: give one of them"):
        build_pool(study)


def test_image_forms_are_read_as_rgb(root: Path, tmp_path: Path) -> None:
    forms = [("RGB", "PNG"), ("L", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("CMYK", "JPEG"), ("RGB", "WEBP")]
    rows = [row(i, image={"bytes": image(mode=m, form=f), "path": None}) for i, (m, f) in enumerate(forms)]
    build_pool(study_of(root, rows, tmp_path))
    examples = stream(paths.pool("mine"))
    assert [picture.mode for item in examples for picture in item.pil()] == ["RGB"] * 6


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
    with pytest.raises(DataError, match=r"51 is larger than 'mine' \(results/pools/mine\), which has 50 examples"):
        build_subset(study["subset", "mine/seed1/51"])
    Path(paths.pool("mine"), "manifest.json").unlink()
    with pytest.raises(DataError, match=r"manifest\.json: not there; make it first: reassess pool mine"):
        build_subset(study["subset", "mine/seed1/51"])


def test_a_rebuilt_pool_has_the_same_hash_and_a_changed_pixel_another(root: Path, tmp_path: Path) -> None:
    hashes = []
    for colour in ("red", "red", "#fe0000"):
        study = study_of(root, [row(0), row(1, image={"bytes": image(colour), "path": None})], tmp_path)
        build_pool(study)
        hashes.append(manifest("mine")["content_sha256"])
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_text_benchmark_takes_no_images(root: Path, tmp_path: Path) -> None:
    data = read_yaml(root / "studies/tiny.yaml")
    pq.write_table(pa.Table.from_pylist([row(0), row(1, image=None)], schema=SINGLE), tmp_path / "mine.parquet")
    source = {"kind": "parquet", "path": str(tmp_path / "mine.parquet"), "licence": "MIT"}
    data["benchmarks"]["toy-text"] = {"modality": "text", "max_put_aside": 0.6, "sources": [source]}
    study = graph.parse(data, "test")
    build_examples(study, study["benchmark", "toy-text"])
    record = json.loads(Path(paths.benchmark("toy-text", "manifest.json")).read_text())
    assert (record["n"], record["put_aside"]) == (1, {"modality is not text": 1})


def test_datasets_reads_the_shards(root: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    build_pool(study_of(root, [row(0), row(1)], tmp_path))
    files = str(Path(paths.pool("mine")) / "shards" / "*.arrow")
    loaded = datasets.load_dataset("arrow", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert [picture.size for picture in loaded[0]["images"]] == [(8, 6)]
    assert loaded.features["options"] == datasets.List(datasets.Value("string"))


def test_a_changed_gold_or_rationale_is_another_pool(root: Path, tmp_path: Path) -> None:
    hashes = set()
    for change in ({}, {"gold": "7"}, {"rationales": ["because"]}, {"kind": "text"}, {"difficulty": 2}):
        build_pool(study_of(root, [row(0), row(1, **change)], tmp_path))
        hashes.add(manifest("mine")["content_sha256"])
    assert len(hashes) == 5


def test_an_image_given_by_path_is_not_taken_for_none(root: Path, tmp_path: Path) -> None:
    study = study_of(root, [row(0), row(1, image={"bytes": None, "path": "x.png"})], tmp_path)
    with pytest.raises(DataError, match=r"1 of 2 rows cannot be used \(1 x no such image file; the first is 'r1'"):
        build_pool(study)
    (tmp_path / "x.png").write_bytes(image("blue"))
    build_pool(study)
    assert [item.images for item in stream(paths.pool("mine"))] == [(image(),), (image("blue"),)]


class Counted(SourceOptions):
    """A source that knows how many of its rows are in memory."""

    n: int
    broken: int = 0
    licence: str = "MIT"

    def read(self) -> Iterator[Example | PutAside]:
        for i in range(self.n):
            item = Example(f"c{i}", (), "?", (), "" if i < self.broken else "1", "numeric", (), "mine", "f", 1)
            LIVE.append(weakref.ref(item))
            if not i % 50:
                MOST.append(sum(ref() is not None for ref in LIVE))
            yield item


LIVE: list[weakref.ref[Example]] = []
MOST: list[int] = []


def test_a_pool_is_built_without_holding_its_rows() -> None:
    LIVE.clear()
    MOST.clear()
    pool = Pool.model_construct(sources=(Counted(n=4300, broken=1500),), max_put_aside=0.5, modality="text")
    build("mine", pool, Path(paths.pool("mine")), {})
    assert max(MOST) <= 2 * BATCH_ROWS
    record = manifest("mine")
    assert (record["n"], record["put_aside"]) == (2800, {"gold is empty": 1500})
    assert [item.id for item in stream(paths.pool("mine"))] == [f"c{i}" for i in range(1500, 4300)]


def test_a_value_for_each_row_is_not_counted_for_each(root: Path, tmp_path: Path) -> None:
    rows = [row(i, family=f"f{i}", source=f"s{i // 2}", kind="numeric") for i in range(1100)]
    graph = study_of(root, rows, tmp_path)
    build_pool(graph)
    record = manifest("mine")
    assert record["counts"]["family"] == {**{f"f{i}": 1 for i in range(1000)}, "(others)": 100}
    assert len(record["counts"]["source"]) == len(record["licences"]) == 550
    job = graph["subset", "mine/seed1/50"]
    build_subset(job)
    assert sum(json.loads(Path(job.record).read_text())["counts"]["family"].values()) == 50


def is_whole(pool: str) -> bool:
    """Whether there is a manifest that describes the shards beside it."""
    hashes = [(item.id, record_sha256(item)) for item in stream(paths.pool(pool))]
    record = manifest(pool)
    return (record["n"], record["content_sha256"]) == (len(hashes), content_sha256(hashes))


KILLED = """
import os, signal
from pathlib import Path
from reassess.data import collection
from reassess.data.pool import build
from reassess.example import Example
from reassess.sources.base import SourceOptions
from reassess.study.data import Pool

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

class Dying(SourceOptions):
    licence: str = "MIT"

    def read(self):
        for i in range(2600):
            yield Example(f"d{i}", (), "?", (), "1", "numeric", (), "mine", "f", 1)
        WHERE == "reading" and die()

WHERE = "%s"
if WHERE == "last":
    collection.records.write = die
pool = Pool.model_construct(sources=(Dying(),), max_put_aside=0.5, modality="text")
build("mine", pool, Path("results/pools/mine"), {})
"""


def test_a_kill_leaves_the_old_pool_or_none_that_looks_whole(root: Path, tmp_path: Path) -> None:
    study = study_of(root, [row(i) for i in range(40)], tmp_path)
    build_pool(study)
    killed = subprocess.run([sys.executable, "-c", KILLED % "reading"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert manifest("mine")["n"] == 40
    assert is_whole("mine")
    killed = subprocess.run([sys.executable, "-c", KILLED % "last"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not Path(paths.pool("mine", "manifest.json")).exists()
    build_pool(study)
    assert is_whole("mine")
    assert {file.name for file in Path(paths.pool("mine")).iterdir()} == {"manifest.json", "put_aside.jsonl", "shards"}


def test_a_pool_that_fails_leaves_the_one_that_is_there(root: Path, tmp_path: Path) -> None:
    build_pool(study_of(root, [row(i) for i in range(40)], tmp_path))
    for rows in ([row(0), row(0), row(0)], [row(i, gold="") for i in range(32)], []):
        with pytest.raises(DataError):
            build_pool(study_of(root, rows, tmp_path))
        assert manifest("mine")["n"] == 40
        assert is_whole("mine")
        assert not Path(paths.pool("mine", ".aside")).exists()


def test_a_pool_without_a_usable_row_says_so(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mine: not one of 2 rows can be used \(2 x gold is empty\)"):
        build_pool(study_of(root, [row(0, gold=""), row(1, gold="")], tmp_path, max_put_aside=1))
    with pytest.raises(DataError, match=r"mine: not one of 0 rows can be used \(the sources are empty"):
        build_pool(study_of(root, [], tmp_path))


def test_an_empty_option_puts_its_row_aside(root: Path, tmp_path: Path) -> None:
    rows = [row(0), row(1, options=["a", None]), row(2, rationales=[None])]
    build_pool(study_of(root, rows, tmp_path, max_put_aside=0.7))
    assert manifest("mine")["put_aside"] == {"options has an empty value": 1, "rationales has an empty value": 1}


def test_golds_of_one_option_are_one_gold_however_they_are_spelt(root: Path, tmp_path: Path) -> None:
    spelt = ["B", "b", "(B)", "B.", "blue", "1", "Option B", "B: blue"]
    options = ["red", "blue", "green", "white"]
    rows = [row(i, kind="mcq", gold=gold, options=options) for i, gold in enumerate(spelt)]
    build_pool(study_of(root, rows, tmp_path))
    golds = Shards(paths.pool("mine")).column("gold")
    assert golds == ["B"] * len(spelt)
    questions = pd.DataFrame({"benchmark": "mine", "family": "f", "gold": golds})
    assert floor_hits(questions).mean() == 1.0
    assert manifest("mine")["noted"] == {"pictures of a single colour": 8, "gold rewritten": 7}
