"""Builds pools and benchmarks from their sources; rows that cannot be used are put aside and counted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reassess.benchmarks.rules import RuleError, missing_metadata
from reassess.data.collection import Collection
from reassess.example import KINDS, DataError, Example, PutAside
from reassess.graph import Graph, Job
from reassess.prompts import MAX_OPTIONS, misplaced
from reassess.study.data import Benchmark, Pool
from reassess.work.provenance import provenance


def build_examples(graph: Graph, job: Job) -> None:
    """Build a pool or a benchmark. Raises DataError."""
    study = graph.study
    spec = study.pools[job.key] if job.rule == "pool" else study.benchmarks[job.key]
    build(job.key, spec, Path(job.record).parent, json.loads(job.spec))


def build(name: str, spec: Pool, root: Path, identity: dict[str, Any]) -> None:
    """Write the examples of a pool's sources as shards, row by row, and the manifest.

    Args:
        name: the pool's.
        spec: the pool or benchmark.
        root: where it is written.
        identity: what it depends on, for the manifest.

    Raises:
        DataError: a source cannot be read, more rows than `max_put_aside` cannot be used, none can, or a row lacks what
            the benchmark's rule reads.
    """
    start = time.monotonic()
    licences: dict[str, str] = {}
    with Collection(root, "put_aside.jsonl") as made:
        made.write(_rows(name, spec, licences))
        total = made.n + made.put_aside
        if made.first is not None and made.put_aside > spec.max_put_aside * total:
            raise DataError(
                f"{name}: {made.put_aside} of {total} rows cannot be used ({made.why()}; the first is "
                f"{made.first.id!r}), more than max_put_aside {spec.max_put_aside}; mend the source, set "
                "`modality`, or raise max_put_aside"
            )
        if not made.n:
            raise DataError(f"{name}: not one of {total} rows can be used ({made.why() or 'the sources are empty'})")
        manifest: dict[str, Any] = {
            "name": name,
            "spec": identity,
            **made.described(),
            "licences": licences,
            "put_aside": dict(made.reasons),
            "modality": spec.modality,
            "provenance": provenance(),
            "seconds": round(time.monotonic() - start, 2),
        }
        made.put_in_place(manifest)
    print(f"{name}: {made.n} examples, {made.put_aside} put aside")


def _rows(name: str, spec: Pool, licences: dict[str, str]) -> Iterator[Example | PutAside]:
    """Yield what the sources have, what cannot be used as put aside; `licences` gets those of the sources' names."""
    for source in spec.origins:
        for item in source.read():
            if isinstance(item, PutAside):
                yield item
                continue
            licences[item.source] = source.licence
            reason = problem(item)
            if reason is None:
                reason = _unsuited(name, spec, item)
            yield item if reason is None else PutAside(item.id, item.source, reason)


def _unsuited(name: str, spec: Pool, item: Example) -> str | None:
    """Return why a pool or benchmark cannot have an example, None where it can. Raises DataError."""
    if spec.modality != "mixed" and bool(item.images) != (spec.modality == "visual"):
        return f"modality is not {spec.modality}"
    if isinstance(spec, Benchmark) and spec.rule is not None:
        try:
            lacking = missing_metadata(spec.rule, item.metadata)
        except RuleError as error:
            raise DataError(f"{name}: row {item.id!r}: {error}") from None
        if lacking:
            raise DataError(
                f"{name}: row {item.id!r} has no {lacking[0]!r} in its metadata, which rule {spec.rule!r} reads; add "
                "the benchmark's own column, or say `rule: null`"
            )
    return None


def problem(item: Example) -> str | None:
    """Return why an example cannot be used, None where it can."""
    if not item.id:
        return "id is empty"
    if item.kind not in KINDS:
        return f"kind is not one of {', '.join(KINDS)}"
    if not item.gold.strip():
        return "gold is empty"
    if not item.question.strip():
        return "question is empty"
    if item.kind == "mcq" and len(item.options) < 2:
        return "mcq without options"
    if len(item.options) > MAX_OPTIONS:
        return f"more than {MAX_OPTIONS} options"
    try:
        item.pil()
    except OSError:
        return "image cannot be decoded"
    return misplaced(item.question, item.options, len(item.images))
