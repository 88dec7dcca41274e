"""Rows as vision benchmarks publish them, with small pictures, and what is done with them in tests."""

from __future__ import annotations

import functools
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from reassess.benchmarks import KNOWN, module, rules
from reassess.benchmarks.item import Outcome
from reassess.data.right import right
from reassess.example import Example, PutAside
from reassess.judge import judge
from reassess.judge.extract import read_gold
from reassess.sources.published import Published


@functools.cache
def png(colour: str) -> bytes:
    """Return a small picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def picture(colour: str = "red") -> dict[str, Any]:
    """Return a picture as `datasets` writes one into a file."""
    return {"bytes": png(colour), "path": f"{colour}.png"}


def made(name: str, row: Mapping[str, Any]) -> Example:
    """Return a row of a benchmark as an example."""
    found = module(name).example(row)
    assert isinstance(found, Example), found
    return found


def official(name: str, item: Example, answer: str, model_answer: str | None = None) -> Outcome:
    """Return the verdict of a benchmark's own rule on a response, as evaluation asks for it."""
    response = f"<think>so it is</think><answer>{answer}</answer>"
    known = {} if model_answer is None else {rules.request_key(item.id, response): model_answer}
    return rules.apply(name, asdict(item), response, known)


def accepts_its_gold(item: Example) -> bool:
    """Whether a pool can have an example, and the judge takes its gold, each of several, for a right answer."""
    usable = right(replace(item, id=item.id or "numbered"), Counter())
    assert isinstance(usable, Example), usable
    return all(
        judge(f"<answer>{gold}</answer>", item.gold, item.kind, item.options or None).correct is True
        for gold in read_gold(item.gold)
    )


def through_a_file(name: str, rows: list[dict[str, Any]], root: Path) -> list[Example | PutAside]:
    """Return what becomes of rows that stand in a Parquet file."""
    file = root / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    return list(Published(name, KNOWN[name], module(name).SOURCE, str(file), None, "none").read())
