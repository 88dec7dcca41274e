"""Builds pools and benchmarks from their sources; rows that cannot be used are put aside and counted."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reassess import paths
from reassess.benchmarks.rules import RuleError, missing_metadata
from reassess.data.circular import rotations
from reassess.data.collection import Collection, counted_as, made_from, read_manifest
from reassess.data.held_out import FILE, Groups, HeldOut
from reassess.data.right import right
from reassess.data.shards import stream
from reassess.example import DataError, Example, PutAside
from reassess.graph import Graph, Job
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
        DataError: a source cannot be read, more rows than `max_put_aside` cannot be used, or none can.
    """
    start = time.monotonic()
    licences: dict[str, str] = {}
    noted: Counter[str] = Counter()
    groups = Groups(name, spec.held_out) if isinstance(spec, Pool) and spec.held_out else None
    with Collection(root, "put_aside.jsonl") as made:
        found = rows(spec, licences, noted) if held_out is None else _held_out(spec, held_out, licences, noted)
        if decontamination is not None:
            decontamination.count(item for source in spec.origins for item in source.read())
            found = decontamination.kept(found, made.beside("decontaminated.jsonl"))
        is_circular = isinstance(spec, Benchmark) and spec.circular
        made.write(found, groups.add if groups else None, rotations if is_circular else None)
        removed = decontamination.removed if decontamination else 0
        _check(name, spec, made, removed)
        manifest: dict[str, Any] = {
            "name": name,
            "spec": identity,
            **made.described(),
            "licences": licences,
            "put_aside": dict(made.reasons),
            "noted": {what: n for what, n in noted.items() if n},
            **(decontamination.described() if decontamination else {}),
            **({"held_out": groups.write(made.beside(FILE))} if groups else {}),
            **({"read": read} if read else {}),
            "modality": spec.modality,
            "files": _files(spec),
            "provenance": provenance(),
            "seconds": round(time.monotonic() - start, 2),
        }
        made.put_in_place(manifest)
    taken = f", {removed} taken out that stand in benchmarks" if decontamination else ""
    print(f"{name}: {made.n} examples, {made.put_aside} put aside{taken}")


def _check(name: str, spec: FromSources, made: Collection, removed: int) -> None:
    """Raise DataError where too much is put aside, or nothing is left; `removed` stand in benchmarks."""
    total = made.used + made.put_aside
    if made.first is not None and made.put_aside > spec.max_put_aside * total:
        raise DataError(
            f"{name}: {made.put_aside} of {total} rows cannot be used ({made.why()}; the first is {made.first.id!r}, "
            f"all are listed in {made.keep_left_out()}), more than max_put_aside {spec.max_put_aside}; "
            f"{_advice(made.reasons)}"
        )
    if not made.n:
        why = made.why() or "the sources are empty"
        also = f"; {removed} stand in benchmarks" if removed else ""
        raise DataError(f"{name}: not one of {total} rows can be used ({why}){also}")


def _files(spec: FromSources) -> dict[str, dict[str, Any]]:
    """Return size and hash of each file that was read, by name; of the hub's, what is known of them."""
    own = {file: {"bytes": Path(file).stat().st_size, "sha256": file_sha256(file)} for file in spec.files}
    return own | {name: told for source in spec.origins for name, told in source.provenance().items()}


def usable(spec: FromSources, found: Iterable[Example | PutAside], noted: Counter[str]) -> Iterator[Example | PutAside]:
    """Yield what a source has as a pool or benchmark uses it; what it cannot use is put aside with a reason.

    Args:
        spec: the pool or benchmark.
        found: what a source has.
        noted: see `right`.
    """
    for item in found:
        checked = item if isinstance(item, PutAside) else right(item, noted)
        if isinstance(checked, Example) and (reason := _unsuited(spec, checked)):
            checked = PutAside(checked.id, checked.source, reason[1], reason[0])
        yield checked


def rows(spec: FromSources, licences: dict[str, str], noted: Counter[str]) -> Iterator[Example | PutAside]:
    """Yield what all sources have, see `usable`; `licences` gets those of the sources' names."""
    for source in spec.origins:
        for item in usable(spec, source.read(), noted):
            if isinstance(item, Example):
                whose = counted_as(item.source, licences)
                said = licences.setdefault(whose, source.licence)
                if source.licence not in said.split("; "):
                    licences[whose] = f"{said}; {source.licence}"
            yield item


def _held_out(
    spec: FromSources, held_out: HeldOut, licences: dict[str, str], noted: Counter[str]
) -> Iterator[Example | PutAside]:
    for item in usable(spec, held_out.read(), noted):
        if isinstance(item, Example):
            whose = counted_as(item.source, held_out.licences)
            licences[whose] = held_out.licences[whose]
        yield item


def _unsuited(spec: FromSources, item: Example) -> tuple[str, str] | None:
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
    if "id stands twice" in found:
        options += ["give each source a `name` of its own", "number the rows (`columns: {id: ''}`)"]
    options += ["say `rule: null`"] if ", which rule " in found else []
    return ", ".join(options) + ", or raise max_put_aside"
