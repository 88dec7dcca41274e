"""The Parquet form of example records."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from reassess.example import Example

# Columns that a user's file may lack.
OPTIONAL = ("metadata",)

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


def row(item: Example) -> dict[str, Any]:
    """Return an example as a row with the columns of `SCHEMA`."""
    fields = {key: getattr(item, key) for key in SCHEMA.names if key != "image"}
    fields["image"] = None if item.image is None else {"bytes": item.image, "path": None}
    fields["options"], fields["rationales"] = list(item.options), list(item.rationales)
    return fields
