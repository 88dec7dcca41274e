"""Files of rows as Parquet, of which few are in memory at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reassess.work.records import file_sha256

# Rows that are Python objects at once: with responses of 4,096 tokens, 16 KB each, 8 MB.
ROWS = 512
# A row group ends after so many rows, or where its columns have so many bytes.
GROUP_ROWS, GROUP_BYTES = 50_000, 2**25
# What is read of a file at a time.
_READ_BYTES = 2**20


def write_parquet(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> str:
    """Write the rows aside as they come, rename the file, and return its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.tmp")
    rest = iter(rows)
    try:
        with pq.ParquetWriter(aside, schema) as writer:
            while group := list(_group(rest, schema)):
                writer.write_table(pa.concat_tables(group).combine_chunks())
        digest = file_sha256(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return digest


def _group(rows: Iterator[dict[str, Any]], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the parts of one row group; nothing where no row is left."""
    n = size = 0
    while size < GROUP_BYTES and (some := list(itertools.islice(rows, min(ROWS, GROUP_ROWS - n)))):
        part = pa.Table.from_pylist(some, schema=schema)
        n, size = n + len(some), size + part.nbytes
        yield part


def read_parquet(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file with some of its columns, few of which are in memory at once."""
    with pq.ParquetFile(path, buffer_size=_READ_BYTES) as file:
        # One group after the other: a reader of several keeps what it has read of each.
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(ROWS, row_groups=[group], columns=list(columns)):
                yield from batch.to_pylist()
