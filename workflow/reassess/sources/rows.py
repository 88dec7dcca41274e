"""The Parquet form of example records."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from reassess.example import Example

# Columns that a user's file may lack.
OPTIONAL = ("metadata", "answers", "columns")

# The column of images has the layout of `datasets.Image`, and says so, so that `datasets.load_dataset("parquet", ...)`
# shows pictures.
IMAGES = "images"
# In place of it a user's file may have this one, with one image at most.
IMAGE = "image"
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        (IMAGES, pa.list_(_IMAGE)),
        ("question", pa.string()),
        ("options", pa.list_(pa.string())),
        ("gold", pa.string()),
        ("kind", pa.string()),
        ("rationales", pa.list_(pa.string())),
        ("source", pa.string()),
        ("family", pa.string()),
        ("difficulty", pa.int64()),
        ("metadata", pa.string()),
        ("answers", pa.list_(pa.string())),
        ("columns", pa.string()),
    ]
).with_metadata(
    {
        "huggingface": json.dumps(
            {
                "info": {
                    "features": {
                        **{
                            key: {"dtype": "string", "_type": "Value"}
                            for key in ("id", "question", "gold", "kind", "source", "family", "metadata", "columns")
                        },
                        **{
                            key: {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}
                            for key in ("options", "rationales", "answers")
                        },
                        IMAGES: {"feature": {"_type": "Image"}, "_type": "List"},
                        "difficulty": {"dtype": "int64", "_type": "Value"},
                    }
                }
            }
        )
    }
)


def example(row: dict[str, Any]) -> Example:
    """Return the example in one row of a Parquet file with the columns of `SCHEMA`."""
    return Example(
        id=row["id"] or "",
        images=tuple(image["bytes"] for image in row[IMAGES] or ()),
        question=row["question"] or "",
        options=tuple(row["options"] or ()),
        gold=row["gold"] or "",
        kind=row["kind"] or "",
        rationales=tuple(row["rationales"] or ()),
        source=row["source"] or "",
        family=row["family"] or "",
        difficulty=row["difficulty"] or 0,
        metadata=row.get("metadata") or "",
        answers=tuple(row.get("answers") or ()),
        columns=row.get("columns") or "",
    )


def row(item: Example) -> dict[str, Any]:
    """Return an example as a row with the columns of `SCHEMA`."""
    fields = {key: getattr(item, key) for key in SCHEMA.names}
    fields[IMAGES] = [{"bytes": image, "path": None} for image in item.images]
    for name in ("options", "rationales", "answers"):
        fields[name] = list(fields[name])
    return fields
