"""Directories of Parquet shards: writing and reading examples a few rows at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reassess.example import Example
from reassess.sources.rows import SCHEMA, example, row

SHARD_ROWS = 2000
# Rows of a row group of a shard. At most two groups are in memory when shards are written or read: images are large.
GROUP_ROWS = 250


def write_shards(directory: str | Path, examples: Iterable[Example]) -> list[str]:
    """Write examples as Parquet shards of `SHARD_ROWS` rows as they come, one at least, and return the file names."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    groups = _groups(examples)
    group = next(groups, [])
    while group or not names:
        names.append(f"examples-{len(names):05d}.parquet")
        with pq.ParquetWriter(folder / names[-1], SCHEMA) as writer:
            for _ in range(SHARD_ROWS // GROUP_ROWS):
                writer.write_table(pa.Table.from_pylist([row(item) for item in group], schema=SCHEMA))
                group = next(groups, [])
                if not group:
                    break
    return names


def _groups(examples: Iterable[Example]) -> Iterator[list[Example]]:
    rest = iter(examples)
    while group := list(itertools.islice(rest, GROUP_ROWS)):
        yield group


def stream(directory: str | Path) -> Iterator[Example]:
    """Yield the examples of a pool, set or benchmark directory in file order, holding a few at a time.

    Raises:
        FileNotFoundError: the directory has no shards.
    """
    for file in _shards(directory):
        # `pre_buffer` would keep all that was read until the end of the file.
        with pq.ParquetFile(file, pre_buffer=False) as opened:
            for batch in opened.iter_batches(GROUP_ROWS):
                yield from map(example, batch.to_pylist())


def read_shards(directory: str | Path, ids: Iterable[str] | None = None) -> list[Example]:
    """Return the examples of a pool or benchmark directory, in file order, or those of `ids` in their order.

    Raises:
        FileNotFoundError: the directory has no shards.
        KeyError: an id is not there.
    """
    if ids is None:
        return list(stream(directory))
    wanted = list(ids)
    there = set(wanted)
    by_id = {item.id: item for item in stream(directory) if item.id in there}
    missing = [id_ for id_ in wanted if id_ not in by_id]
    if missing:
        raise KeyError(f"{directory}: {len(missing)} ids are not there, the first is {missing[0]!r}")
    return [by_id[id_] for id_ in wanted]


def _shards(directory: str | Path) -> list[Path]:
    files = sorted(Path(directory).glob("shards/*.parquet"))
    if not files:
        raise FileNotFoundError(f"{directory}: no shards/*.parquet")
    return files


def read_columns(directory: str | Path, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return some columns of a pool or benchmark directory by id, None where shards are older than a column.

    Raises:
        FileNotFoundError: the directory has no shards.
    """
    found = {}
    for file in _shards(directory):
        there = [name for name in columns if name in pq.read_schema(file).names]
        for fields in pq.read_table(file, columns=there).to_pylist():
            found[fields["id"]] = {**dict.fromkeys(columns), **fields}
    return found
