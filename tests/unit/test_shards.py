"""Shards: in order, read where they lie and as they are drawn, in any process, and in little memory."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from reassess.data import shards
from reassess.data.shards import Shards, read_columns, stream, write_shards
from reassess.example import DataError, Example


def example(i: int, images: tuple[bytes, ...] = (), **fields: str) -> Example:
    return Example(f"s{i}", images, f"{i}?", ("a", "b"), "A", "mcq", ("so",) * (i % 3), "mine", "f", i, **fields)


def several(n: int) -> Iterator[Example]:
    return (example(i, (b"x" * i,) * (i % 2)) for i in range(n))


def store(folder: Path, examples: Iterable[Example]) -> Path:
    write_shards(folder / "shards", examples)
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows in a batch and a shard, few shards open, and pages given back at once."""
    for name, value in {"BATCH_ROWS": 3, "SHARD_BYTES": 1000, "OPEN": 2, "DRAWN": 1}.items():
        monkeypatch.setattr(shards, name, value)


@pytest.mark.usefixtures("small")
def test_every_example_comes_back_in_any_order(tmp_path: Path) -> None:
    written = list(several(40))
    names = write_shards(tmp_path / "shards", written)
    assert names == [f"examples-{number:05d}.arrow" for number in range(len(names))]
    assert len(names) > 3
    assert list(stream(tmp_path)) == written
    found = Shards(tmp_path)
    assert len(found) == 40
    assert list(found) == written
    assert [found[i] for i in (39, 0, 17, -2)] == [written[i] for i in (39, 0, 17, -2)]
    assert list(found[5:30:7]) == written[5:30:7]
    assert list(found.take([30, 2, 2])[1:]) == [written[2], written[2]]
    with pytest.raises(IndexError):
        found[40]
    assert len(found._open) == 2


@pytest.mark.usefixtures("small")
def test_ids_choose_examples_in_their_order(tmp_path: Path) -> None:
    found = Shards(store(tmp_path, several(20)), ["s7", "s3", "s19"])
    assert [item.id for item in found] == found.column("id") == ["s7", "s3", "s19"]
    assert found.column("difficulty") == [7, 3, 19]
    assert found.lengths("images") == [1, 1, 1]
    assert found.lengths("rationales") == [1, 0, 1]
    assert found.take([2]).column("id") == ["s19"]
    with pytest.raises(DataError, match="2 ids are not there, the first is 'x'"):
        Shards(tmp_path, ["s7", "x", "y"])
    assert read_columns(tmp_path, ["id", "gold"])["s4"] == {"id": "s4", "gold": "A"}


def test_a_shard_is_limited_by_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "BATCH_BYTES", 2_000)
    monkeypatch.setattr(shards, "SHARD_BYTES", 5_000)
    # The second is larger than any batch.
    sizes = [900, 9_000, *[900] * 10]
    written = [example(i, (b"x" * size,)) for i, size in enumerate(sizes)]
    names = write_shards(tmp_path / "shards", written)
    assert list(stream(tmp_path)) == written
    lengths = [pa.ipc.open_file(tmp_path / "shards" / name).read_all().num_rows for name in names]
    assert lengths == [2, 3, 3, 4]


def test_a_row_that_is_not_drawn_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path, several(600))
    decoded: list[str] = []
    made = shards.example
    monkeypatch.setattr(shards, "example", lambda fields: decoded.append(fields["id"]) or made(fields))
    found = Shards(tmp_path, [f"s{i}" for i in range(0, 600, 2)])
    assert (len(found), len(found.column("family")), sum(found.lengths("images"))) == (300, 300, 0)
    assert decoded == []
    assert found[3].id == "s6"
    assert decoded == ["s6"]


@pytest.mark.usefixtures("small")
def test_another_process_reads_on(tmp_path: Path) -> None:
    written = list(several(30))
    found = Shards(store(tmp_path, written)).take(range(10, 30))
    assert found[2] == written[12]
    again = pickle.loads(pickle.dumps(found))
    assert (again[2], len(again)) == (written[12], 20)
    # Without the maps that are open, and the rows that are not drawn.
    assert len(pickle.dumps(found)) < 5_000


def test_forked_processes_read_on(tmp_path: Path) -> None:
    store(tmp_path, several(30))
    # In a process of its own, as workers of a DataLoader are forked: this one has threads of the tests.
    code = (
        "import multiprocessing, sys; from reassess.data.shards import Shards\n"
        "found = Shards(sys.argv[1]); assert found[2].id\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool: read = pool.map(found.__getitem__, range(30))\n"
        "assert [item.id for item in read] == found.column('id') and all(item.question for item in read)\n"
        "print(len(read))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert (done.stdout.strip(), done.stderr) == ("30", "")


def test_what_is_no_shard_is_one_error(tmp_path: Path) -> None:
    todo = r"delete \S+ and run the study again"
    (tmp_path / "shards").mkdir()
    # As earlier versions wrote them.
    (tmp_path / "shards/examples-00000.parquet").write_bytes(b"PAR1")
    for read in (Shards, lambda folder: list(stream(folder)), lambda folder: read_columns(folder, ["id"])):
        with pytest.raises(DataError, match=rf"no shards/\*\.arrow; {todo}"):
            read(tmp_path)
    (name,) = write_shards(tmp_path / "shards", several(300))
    file = tmp_path / "shards" / name
    whole = file.read_bytes()
    for broken in (b"", b"ARROW1", whole[:-40], whole[: len(whole) // 2]):
        file.write_bytes(broken)
        with pytest.raises(DataError, match=rf"examples-00000\.arrow: not readable \(.*\); {todo}"):
            Shards(tmp_path)
    with pa.ipc.new_file(str(file), pa.schema([("id", pa.string())])) as writer:
        writer.write_table(pa.table({"id": ["a"]}))
    with pytest.raises(DataError, match="its columns are not those of an example record"):
        Shards(tmp_path)


def test_damaged_offsets_are_an_error_and_not_a_crash(tmp_path: Path) -> None:
    (name,) = write_shards(tmp_path / "shards", several(300))
    file = tmp_path / "shards" / name
    offsets = pa.ipc.open_file(file).get_batch(0)["id"].buffers()[1].to_pybytes()
    data = file.read_bytes()
    assert data.count(offsets[:64]) >= 1
    file.write_bytes(data.replace(offsets[:64], b"\x7f" * 64, 1))
    with pytest.raises(DataError, match="not readable"):
        Shards(tmp_path).column("id")
    with pytest.raises(DataError, match="not readable"):
        list(stream(tmp_path))


# Builds a pool of large pictures in a process of its own, draws a subset, and reads, and prints by how many bytes the
# peak of resident memory has grown since the imports.
LARGE = """
import io, json, os, resource, sys
from pathlib import Path
import numpy as np
from PIL import Image
from reassess import graph, paths
from reassess.data.pool import build
from reassess.data.shards import Shards, read_columns, stream
from reassess.data.subset import build_subset
from reassess.example import Example
from reassess.sources.base import SourceOptions
from reassess.study.data import Pool

N, SIDE = 600, 500
pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)

def png(i):
    buffer = io.BytesIO()
    Image.fromarray(np.roll(pixels, i)).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()

class Noise(SourceOptions):
    licence: str = "MIT"

    def read(self):
        for i in range(N):
            yield Example(f"n{i}", (png(i),), "?", (), "1", "numeric", ("so",), "mine", "f", i)

def grown():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before

job = graph.load(sys.argv[1])["subset", "toy/seed1/16"]
png(0)
before = 0
before = grown()
found = {}
pool = Pool.model_construct(sources=(Noise(),), max_put_aside=0.5, modality="visual")
build("toy", pool, Path(paths.pool("toy")), {})
found["build"] = grown()
build_subset(job)
found["subset"] = grown()
assert sum(1 for _ in stream(paths.pool("toy"))) == N
found["stream"] = grown()
rows = Shards(paths.pool("toy"))
assert sum(len(rows[i * 7 % N].images) for i in range(2 * N)) == 2 * N
found["draw"] = grown()
found["size"] = sum(file.stat().st_size for file in Path(paths.pool("toy")).glob("shards/*"))
print(json.dumps(found))
"""


def test_memory_does_not_grow_with_a_pool(tmp_path: Path, root: Path) -> None:
    """A pool of 450 MB, of which less than half is resident at any time, with all that decodes pictures."""
    out = subprocess.run(
        [sys.executable, "-c", LARGE, str(root / "studies/tiny.yaml")],
        cwd=tmp_path, check=True, capture_output=True, text=True, env=os.environ,
    )  # fmt: skip
    found = json.loads(out.stdout.splitlines()[-1])
    size = found.pop("size")
    assert size > 440e6
    assert max(found.values()) < size / 2, found
