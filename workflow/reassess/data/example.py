"""The example record that pools, benchmarks, training and evaluation share, and its Parquet form."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = ("math", "numeric", "mcq", "text")
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


class DataError(ValueError):
    """Data that cannot be used: the message names the file or the row and what was expected."""


@dataclass(frozen=True)
class Example:
    """One question.

    Attributes:
        id: unique within a pool or benchmark.
        image: an encoded image (PNG, JPEG, ...), None for a text-only question.
        question: the question alone; options and instruction are added by `prompts.messages`.
        options: texts of the options of a multiple-choice question, else empty.
        gold: the right answer; for `mcq` a letter.
        kind: how the judge compares: one of `KINDS`.
        rationales: reference chains of reasoning, none or more; SFT imitates the first.
        source: where the example comes from.
        family: task family or category within the source.
        difficulty: number of reasoning steps, or the source's own level; 0 where unknown.
        metadata: a JSON object of the benchmark's own columns that its official rule reads, or empty.
    """

    id: str
    image: bytes | None
    question: str
    options: tuple[str, ...]
    gold: str
    kind: str
    rationales: tuple[str, ...]
    source: str
    family: str
    difficulty: int
    metadata: str = ""

    def pil(self) -> Image | None:
        """Return the decoded image in RGB. Raises OSError where it cannot be decoded."""
        return decode(self.image) if self.image is not None else None

    def image_sha256(self) -> str | None:
        """Return the hash of the decoded pixels (size and RGB values), None without an image."""
        picture = self.pil()
        if picture is None:
            return None
        header = f"{picture.width}x{picture.height}:".encode()
        return hashlib.sha256(header + picture.tobytes()).hexdigest()

    def content_sha256(self) -> str:
        """Return the hash of what a model sees: pixels, question and options. Equal hashes are one question."""
        parts = [self.image_sha256() or "", self.question, *self.options]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def record_sha256(item: Example) -> str:
    """Return the hash of everything that training or scoring reads of an example."""
    parts = [item.content_sha256(), item.gold, item.kind, item.family, str(item.difficulty), *item.rationales]
    parts += [item.metadata] if item.metadata else []
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def decode(data: bytes) -> Image:
    """Return an encoded image in RGB. Raises OSError where it cannot be decoded."""
    from PIL import Image as PilImage

    try:
        with PilImage.open(io.BytesIO(data)) as picture:
            return picture.convert("RGB")
    except (ValueError, SyntaxError, PilImage.DecompressionBombError) as error:
        raise OSError(str(error)) from None


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
