"""Pools that are built from files, and what came of each row."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from pydantic import TypeAdapter

from reassess.data.pool import build
from reassess.data.shards import stream
from reassess.example import Example
from reassess.sources import Source
from reassess.study.data import Pool


class Built(NamedTuple):
    """A pool: its examples by id, and of each row put aside reason and column by its id."""

    examples: dict[str, Example]
    aside: dict[str, tuple[str, str]]
    sources: set[str]


def png(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def source(kind: str, path: Path | str, **options: Any) -> Any:
    return TypeAdapter(Source).validate_python({"kind": kind, "path": str(path), "licence": "MIT", **options})


def pool(root: Path, kind: str, path: Path, **options: Any) -> Built:
    """Build a pool of one source below a directory."""
    spec = Pool(sources=(source(kind, path, **options),), max_put_aside=1, modality="mixed")
    made = root / "built"
    build("mine", spec, made, {})
    manifest = json.loads((made / "manifest.json").read_text())
    examples = {item.id: item for item in stream(made)}
    lines = [json.loads(line) for line in (made / "put_aside.jsonl").read_text().splitlines()]
    aside = {line["id"]: (line["reason"], line["column"]) for line in lines}
    assert manifest["n"] == len(examples)
    assert sum(manifest["put_aside"].values()) == len(lines) == len(aside)
    return Built(examples, aside, {line["source"] for line in lines} | set(manifest["licences"]))
