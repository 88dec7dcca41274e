"""Builds pools and benchmarks from their sources; rows that cannot be used are put aside and counted."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from reassess.benchmarks.rules import RuleError, missing_metadata
from reassess.data.circular import rotations
from reassess.data.collection import Collection, counted_as
from reassess.data.right import right
from reassess.example import DataError, Example, PutAside
from reassess.graph import Graph, Job
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
        DataError: a source cannot be read, more rows than `max_put_aside` cannot be used, or none can.
    """
    start = time.monotonic()
    licences: dict[str, str] = {}
    noted: Counter[str] = Counter()
    with Collection(root, "put_aside.jsonl") as made:
        made.write(_rows(spec, licences, noted))
        total = made.n + made.put_aside
        if made.first is not None and made.put_aside > spec.max_put_aside * total:
            raise DataError(
                f"{name}: {made.put_aside} of {total} rows cannot be used ({made.why()}; the first is "
                f"{made.first.id!r}, all are listed in {made.keep_left_out()}), more than max_put_aside "
                f"{spec.max_put_aside}; {_advice(made.reasons)}"
            )
        if not made.n:
            raise DataError(f"{name}: not one of {total} rows can be used ({made.why() or 'the sources are empty'})")
        manifest: dict[str, Any] = {
            "name": name,
            "spec": identity,
            **made.described(),
            "licences": licences,
            "put_aside": dict(made.reasons),
            "noted": {what: n for what, n in noted.items() if n},
            "modality": spec.modality,
            "provenance": provenance(),
            "seconds": round(time.monotonic() - start, 2),
        }
        made.put_in_place(manifest)
    print(f"{name}: {made.n} examples, {made.put_aside} put aside")


def usable(spec: Pool, found: Iterable[Example | PutAside], noted: Counter[str]) -> Iterator[Example | PutAside]:
    """Yield what a source has as a pool or benchmark uses it; what it cannot use is put aside with a reason.

    Args:
        spec: the pool or benchmark.
        found: what a source has.
        noted: see `right`.
    """
    circular = isinstance(spec, Benchmark) and spec.circular
    for item in found:
        checked = item if isinstance(item, PutAside) else right(item, noted)
        if isinstance(checked, Example) and (reason := _unsuited(spec, checked)):
            checked = PutAside(checked.id, checked.source, reason[1], reason[0])
        if circular and isinstance(checked, Example):
            yield from rotations(checked)
        else:
            yield checked


def _rows(spec: Pool, licences: dict[str, str], noted: Counter[str]) -> Iterator[Example | PutAside]:
    """Yield what all sources have, see `usable`; `licences` gets those of the sources' names."""
    for source in spec.origins:
        for item in usable(spec, source.read(), noted):
            if isinstance(item, Example):
                whose = counted_as(item.source, licences)
                said = licences.setdefault(whose, source.licence)
                if source.licence not in said.split("; "):
                    licences[whose] = f"{said}; {source.licence}"
            yield item


def _unsuited(spec: Pool, item: Example) -> tuple[str, str] | None:
    """Return column and reason why a pool or benchmark cannot have an example, None where it can."""
    if spec.modality != "mixed" and bool(item.images) != (spec.modality == "visual"):
        return "images", f"modality is not {spec.modality}"
    if isinstance(spec, Benchmark) and spec.rule is not None:
        try:
            lacking = missing_metadata(spec.rule, item.metadata)
        except RuleError:
            return "metadata", "metadata is no JSON object"
        if lacking:
            return "metadata", f"metadata has no {lacking[0]!r}, which rule {spec.rule!r} reads"
    return None


def _advice(reasons: Iterable[str]) -> str:
    """Return what to do about rows that cannot be used."""
    found = " ".join(reasons)
    options = ["mend the source"]
    options += ["set `modality`"] if "modality is not" in found else []
    options += ["say `rule: null`"] if ", which rule " in found else []
    return ", ".join(options) + ", or raise max_put_aside"
