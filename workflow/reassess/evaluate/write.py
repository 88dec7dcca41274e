"""What the records of evaluations share: rows as Parquet, and which benchmark it was."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reassess.work.records import file_sha256

# Rows that are in memory at once when they are written.
WRITTEN_ROWS = 50_000


def write_parquet(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> str:
    """Write the rows aside, rename the file, and return its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.tmp")
    rest = iter(rows)
    with pq.ParquetWriter(aside, schema) as writer:
        while some := list(itertools.islice(rest, WRITTEN_ROWS)):
            writer.write_table(pa.Table.from_pylist(some, schema=schema))
    digest = file_sha256(aside)
    aside.replace(path)
    return digest


def described(folder: str) -> dict[str, Any]:
    """Return what a record says of a benchmark, pool or set that was asked: `n`, `content_sha256` and `modality`."""
    manifest = json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))
    return {field: manifest[field] for field in ("n", "content_sha256", "modality") if field in manifest}
