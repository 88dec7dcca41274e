"""The rows of data files of every form, whole and damaged, a few in memory at a time."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reassess.example import DataError
from reassess.sources import formats

ROWS = [{"question": f"What is {i}?", "answer": f"a\n{i}"} for i in range(100)]
LABELS = datasets.Features({"answer": datasets.ClassLabel(names=["no", "yes"]), "level": datasets.Value("float32")})


def read(data: bytes, name: str, **options: Any) -> list[formats.Found]:
    return list(formats.read(io.BytesIO(data), name, **options))


def arrow(writer: Any) -> bytes:
    buffer, table = io.BytesIO(), pa.Table.from_pylist(ROWS)
    with writer(buffer, table.schema) as out:
        out.write_table(table, max_chunksize=70)
    return buffer.getvalue()


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


LINES = "\n".join(map(json.dumps, ROWS)).encode()
TABLE = pa.Table.from_pylist(ROWS)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.parquet", parquet(TABLE)),
        ("x.arrow", arrow(pa.ipc.new_stream)),
        ("x.arrow", arrow(pa.ipc.new_file)),
        ("x.jsonl", b"\xef\xbb\xbf" + LINES + b"\n\n"),
        ("x.jsonl.gz", gzip.compress(LINES)),
        ("x.json", LINES),
        ("x.json", json.dumps(ROWS, indent=1).encode()),
        ("x.json", b"\xef\xbb\xbf" + json.dumps(ROWS).encode()),
        ("x.csv", TABLE.to_pandas().to_csv(index=False).encode()),
        ("x.tsv", b"\xef\xbb\xbf" + TABLE.to_pandas().to_csv(index=False, sep="\t").encode()),
    ],
)
def test_every_form_gives_the_same_rows(name: str, data: bytes) -> None:
    assert read(data, name) == ROWS


def test_what_is_no_row_is_named_and_the_others_are_read() -> None:
    assert read(b'{"a": 1}\n{"a":\n[2]\n{"a": 3}\n', "x.jsonl") == [
        {"a": 1},
        "not JSON",
        "not a JSON object",
        {"a": 3},
    ]
    assert read(b'[{"a": 1}, 2, {"a": 3.5}]', "x.json") == [{"a": 1}, "not a JSON object", {"a": 3.5}]
    assert read(b"a,b\n1,2\n3\nNA,\n", "x.csv") == [
        {"a": "1", "b": "2"},
        "not as many cells as columns",
        {"a": "NA", "b": ""},
    ]
    assert read(b"[" * 100_000 + b"\n" + b'{"a": 1}', "x.jsonl") == ["not JSON", {"a": 1}]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.parquet", b"PAR1", "x.parquet: not a readable Parquet file"),
        ("x.parquet", parquet(TABLE)[:-20], "x.parquet: not a readable Parquet file"),
        ("x.arrow", b"ARROW1 or not", "x.arrow: not a readable Arrow file"),
        ("x.json", b'[{"a": 1}, {"a"', "x.json: not a readable JSON file"),
        ("x.csv", b"a\n\xff\n", "x.csv: not a readable CSV file"),
        ("x.jsonl.gz", b'{"a": 1}', "x.jsonl.gz: not a readable JSON lines file"),
        ("x.jsonl.gz", gzip.compress(LINES)[:-20], "x.jsonl.gz: not a readable JSON lines file"),
        ("x.png", b"", "x.png: not a data file; those that are read end in .parquet, .arrow"),
        ("x.parquet.gz", b"", "x.parquet.gz: not a data file"),
    ],
)
def test_a_damaged_file_is_named(name: str, data: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read(data, name)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_labels_are_names_where_that_is_asked_for() -> None:
    table = datasets.Dataset.from_dict({"answer": [1, 0], "level": [0.1, 2]}, features=LABELS).data.table
    assert [row["answer"] for row in read(parquet(table), "x.parquet") if isinstance(row, dict)] == [1, 0]
    assert read(parquet(table), "x.parquet", labels=True) == [
        {"answer": "yes", "level": 0.1},
        {"answer": "no", "level": 2.0},
    ]


PEAK = """
import sys
from pathlib import Path
from reassess.sources import formats
with Path(sys.argv[1]).open("rb") as opened:
    print(sum(len(row["image"]) for row in formats.read(opened, "x.parquet")))
# Not `ru_maxrss`, in which the process that this one was forked from counts.
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """All of it in one row group, as many writers do; pages are the least that can be read."""
    file = tmp_path / "x.parquet"
    schema = pa.schema([("image", pa.binary())])
    with pq.ParquetWriter(file, schema, compression="none", use_dictionary=False, write_batch_size=8) as writer:
        writer.write_table(pa.table({"image": [bytes([i % 256]) * 500_000 for i in range(240)]}, schema=schema), 1000)
    done = subprocess.run([sys.executable, "-c", PEAK, str(file)], capture_output=True, text=True, check=True)
    total, peak = map(int, done.stdout.split())
    assert total == 120_000_000
    assert peak < 200_000, f"{peak} kB for a file of 120 MB"
