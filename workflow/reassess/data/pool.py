"""Builds pools and benchmarks from their sources; rows that cannot be used are put aside and counted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reassess import paths
from reassess.benchmarks.rules import RuleError, missing_metadata
from reassess.data.collection import Collection, made_from, read_manifest
from reassess.data.held_out import FILE, Groups, HeldOut
from reassess.data.shards import stream
from reassess.example import KINDS, DataError, Example, PutAside
from reassess.graph import Graph, Job
from reassess.prompts import MAX_OPTIONS, misplaced
from reassess.study.data import Benchmark, FromSources, Pool
from reassess.work.provenance import provenance
from reassess.work.records import file_sha256

if TYPE_CHECKING:
    from reassess.data.decontaminate import Decontamination


def build_examples(graph: Graph, job: Job) -> None:
    """Build a pool or a benchmark. Raises DataError."""
    study = graph.study
    manifests = {need.key: read_manifest(Path(need.record).parent) for need in graph.needed(job, "pool", "benchmark")}
    identity = json.loads(job.spec)
    root = Path(job.record).parent
    if job.rule == "benchmark":
        benchmark = study.benchmarks[job.key]
        held_out = None
        if benchmark.pool is not None:
            licences = manifests[benchmark.pool]["licences"]
            held_out = HeldOut(Path(paths.pool(benchmark.pool)), benchmark.modality, licences)
        build(job.key, benchmark, root, identity, made_from(manifests), held_out=held_out)
        return
    pool = study.pools[job.key]
    decontamination = None
    if pool.decontaminate is not None:
        # SciPy, which it needs, takes a second to import.
        from reassess.data.decontaminate import Decontamination

        against = {name: stream(paths.benchmark(name)) for name in manifests}
        decontamination = Decontamination(pool.decontaminate, against, study.prompt.instruction)
    build(job.key, pool, root, identity, made_from(manifests), decontamination)


def build(
    name: str,
    spec: FromSources,
    root: Path,
    identity: dict[str, Any],
    read: dict[str, Any] | None = None,
    decontamination: Decontamination | None = None,
    held_out: HeldOut | None = None,
) -> None:
    """Write the examples of a pool's sources as shards, row by row, and the manifest.

    Args:
        name: the pool's.
        spec: the pool or benchmark.
        root: where it is written.
        identity: what it depends on, for the manifest.
        read: what the manifest says of the pool or the benchmarks that were read.
        decontamination: the benchmarks whose rows are taken out.
        held_out: what is read in place of sources.

    Raises:
        DataError: a source cannot be read, more rows than `max_put_aside` cannot be used, none can, an id stands
            twice, or a row lacks what the benchmark's rule reads.
    """
    start = time.monotonic()
    licences: dict[str, str] = {}
    groups = Groups(name, spec.held_out) if isinstance(spec, Pool) and spec.held_out else None
    with Collection(name, root, "put_aside.jsonl") as made:
        found = rows(name, spec, licences) if held_out is None else _held_out(name, spec, held_out, licences)
        if decontamination is not None:
            decontamination.count(item for source in spec.origins for item in source.read())
            found = decontamination.kept(found, made.beside("decontaminated.jsonl"))
        made.write(found if groups is None else groups.seen(found))
        total = made.n + made.put_aside
        if made.first is not None and made.put_aside > spec.max_put_aside * total:
            raise DataError(
                f"{name}: {made.put_aside} of {total} rows cannot be used ({made.why()}; the first is "
                f"{made.first.id!r}), more than max_put_aside {spec.max_put_aside}; mend the source, set "
                "`modality`, or raise max_put_aside"
            )
        if not made.n:
            removed = f"; {decontamination.removed} stand in benchmarks" if decontamination else ""
            why = made.why() or "the sources are empty"
            raise DataError(f"{name}: not one of {total} rows can be used ({why}){removed}")
        manifest: dict[str, Any] = {
            "name": name,
            "spec": identity,
            **made.described(),
            "licences": licences,
            "put_aside": dict(made.reasons),
            **(decontamination.described() if decontamination else {}),
            **({"held_out": groups.write(made.beside(FILE))} if groups else {}),
            **({"read": read} if read else {}),
            "modality": spec.modality,
            "files": _files(spec),
            "provenance": provenance(),
            "seconds": round(time.monotonic() - start, 2),
        }
        made.put_in_place(manifest)
    removed = f", {decontamination.removed} taken out that stand in benchmarks" if decontamination else ""
    print(f"{name}: {made.n} examples, {made.put_aside} put aside{removed}")


def _files(spec: FromSources) -> dict[str, dict[str, Any]]:
    """Return size and hash of each file that was read, by name; of the hub's, what is known of them."""
    own = {file: {"bytes": Path(file).stat().st_size, "sha256": file_sha256(file)} for file in spec.files}
    return own | {name: told for source in spec.origins for name, told in source.provenance().items()}


def rows(name: str, spec: FromSources, licences: dict[str, str]) -> Iterator[Example | PutAside]:
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


def _held_out(
    name: str, spec: FromSources, held_out: HeldOut, licences: dict[str, str]
) -> Iterator[Example | PutAside]:
    for item in held_out.read():
        licences[item.source] = held_out.licences[item.source]
        reason = _unsuited(name, spec, item)
        yield item if reason is None else PutAside(item.id, item.source, reason)


def _unsuited(name: str, spec: FromSources, item: Example) -> str | None:
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
