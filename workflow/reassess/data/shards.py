"""The Parquet form of example records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reassess.example import Example

# Columns that a user's file may lack.
OPTIONAL = ("metadata",)
SHARD_ROWS = 2000

# The image column has the layout of `datasets.Image`, and says so, so that `datasets.load_dataset("parquet", ...)`
# shows pictures.
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("image", _IMAGE),
        ("question", pa.string()),
        ("options", pa.list_(pa.string())),
        ("gold", pa.string()),
        ("kind", pa.string()),
        ("rationales", pa.list_(pa.string())),
        ("source", pa.string()),
        ("family", pa.string()),
        ("difficulty", pa.int64()),
        ("metadata", pa.string()),
    ]
).with_metadata(
    {
        "huggingface": json.dumps(
            {
                "info": {
                    "features": {
                        **{
                            key: {"dtype": "string", "_type": "Value"}
                            for key in ("id", "question", "gold", "kind", "source", "family", "metadata")
                        },
                        "image": {"_type": "Image"},
                        "options": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"},
                        "rationales": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"},
                        "difficulty": {"dtype": "int64", "_type": "Value"},
                    }
                }
            }
        )
    }
)


def write_shards(directory: str | Path, examples: Sequence[Example]) -> list[str]:
    """Write examples as Parquet shards of `SHARD_ROWS` rows and return the file names."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    total = max(1, -(-len(examples) // SHARD_ROWS))
    names = []
    for i in range(total):
        rows = [_row(example) for example in examples[i * SHARD_ROWS : (i + 1) * SHARD_ROWS]]
        name = f"examples-{i:05d}-of-{total:05d}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / name)
        names.append(name)
    return names


def read_shards(directory: str | Path, ids: Iterable[str] | None = None) -> list[Example]:
    """Return the examples of a pool or benchmark directory, in file order, or those of `ids` in their order.

    Raises:
        FileNotFoundError: the directory has no shards.
        KeyError: an id is not there.
    """
    examples = [example(row) for file in _shards(directory) for row in pq.read_table(file).to_pylist()]
    if ids is None:
        return examples
    by_id = {item.id: item for item in examples}
    missing = [id_ for id_ in ids if id_ not in by_id]
    if missing:
        raise KeyError(f"{directory}: {len(missing)} ids are not there, the first is {missing[0]!r}")
    return [by_id[id_] for id_ in ids]


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
        for row in pq.read_table(file, columns=there).to_pylist():
            found[row["id"]] = {**dict.fromkeys(columns), **row}
    return found


def example(row: dict[str, Any]) -> Example:
    """Return the example in one row of a Parquet file with the columns of `SCHEMA`."""
    image = row["image"]
    return Example(
        id=row["id"] or "",
        image=image["bytes"] if image else None,
        question=row["question"] or "",
        options=tuple(row["options"] or ()),
        gold=row["gold"] or "",
        kind=row["kind"] or "",
        rationales=tuple(row["rationales"] or ()),
        source=row["source"] or "",
        family=row["family"] or "",
        difficulty=row["difficulty"] or 0,
        metadata=row.get("metadata") or "",
    )


def _row(item: Example) -> dict[str, Any]:
    row = {key: getattr(item, key) for key in SCHEMA.names if key != "image"}
    row["image"] = None if item.image is None else {"bytes": item.image, "path": None}
    row["options"], row["rationales"] = list(item.options), list(item.rationales)
    return row
