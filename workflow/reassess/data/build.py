"""Builds pools, benchmarks and subsets, each with a manifest; unusable rows are put aside and counted."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reassess.benchmarks.own import OwnRows
from reassess.benchmarks.rules import RuleError, missing_metadata
from reassess.data.shards import OPTIONAL, SCHEMA, example, write_shards
from reassess.example import KINDS, DataError, Example, PutAside, record_sha256
from reassess.graph import Graph, Job
from reassess.prompts import MAX_OPTIONS
from reassess.sources import Source
from reassess.sources.parquet import ParquetSource
from reassess.study.data import Benchmark, Pool
from reassess.work import records
from reassess.work.provenance import provenance


def build_examples(graph: Graph, job: Job) -> None:
    """Build a pool or a benchmark. Raises DataError."""
    study = graph.study
    spec = study.pools[job.key] if job.rule == "pool" else study.benchmarks[job.key]
    _build(job.key, spec, Path(job.record).parent, job.spec)


def build_subset(job: Job) -> None:
    """Write the first ids of the pool's shuffle under the seed: a smaller subset is a prefix of a larger one.

    Raises:
        DataError: the pool has fewer usable examples.
    """
    pool, seed, n = job.at.pool, job.at.seed, job.at.size
    assert pool is not None
    assert seed is not None
    assert n is not None
    root = Path(job.inputs[0]).parent
    manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    columns = ["id", "source", "family", "difficulty", "kind"]
    rows = pq.read_table(root / "shards", columns=columns).to_pylist()
    if n > len(rows):
        put_aside = sum(manifest["put_aside"].values())
        raise DataError(f"sizes: {n} is larger than pool {pool!r}, which has {len(rows)} ({put_aside} put aside)")
    by_id = {row["id"]: row for row in rows}
    rows = [by_id[id_] for id_ in shuffled(pool, seed, by_id)]
    ids = [row["id"] for row in rows[:n]]
    record = {
        "pool": pool,
        "seed": seed,
        "n": n,
        "spec": json.loads(job.spec),
        "ids": ids,
        "ids_sha256": ids_sha256(ids),
        "pool_content_sha256": manifest["content_sha256"],
        "counts": _counts(rows[:n]),
    }
    records.write(job.record, record)


def shuffled(pool: str, seed: int, ids: Iterable[str]) -> list[str]:
    """Return a pool's ids in the order of one seed, in whatever order they are given."""
    found = sorted(ids)
    random.Random(f"subset {pool} {seed}").shuffle(found)
    return found


def content_sha256(hashes: Iterable[tuple[str, str]]) -> str:
    """Return the hash of a pool: over ids and hashes (`record_sha256`) of its examples, in order."""
    return hashlib.sha256("".join(f"{id_}:{digest}\n" for id_, digest in hashes).encode()).hexdigest()


def ids_sha256(ids: Iterable[str]) -> str:
    """Return the hash of ids in their order."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


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
        item.image_sha256()
    except OSError:
        return "image cannot be decoded"
    return None


def _build(name: str, spec: Pool, root: Path, identity_: str) -> None:
    start = time.monotonic()
    usable: list[Example] = []
    rejected: list[PutAside] = []
    hashes: dict[str, str] = {}
    licences: dict[str, str] = {}
    total = 0
    for source in spec.origins:
        drawn, licence = _read(source)
        total += len(drawn)
        for item in drawn:
            licences[item.source] = licence
            if isinstance(item, PutAside):
                rejected.append(item)
                continue
            reason = problem(item)
            if reason is None and item.id in hashes:
                raise DataError(f"{name}: the id {item.id!r} stands twice; ids must be unique within a pool")
            if reason is None and isinstance(spec, Benchmark) and (item.image is None) != (spec.modality == "text"):
                reason = f"modality is not {spec.modality}"
            if reason is None and isinstance(spec, Benchmark) and spec.rule is not None:
                try:
                    lacking = missing_metadata(spec.rule, item.metadata)
                except RuleError as error:
                    raise DataError(f"{name}: row {item.id!r}: {error}") from None
                if lacking:
                    raise DataError(
                        f"{name}: row {item.id!r} has no {lacking[0]!r} in its metadata, which rule {spec.rule!r} "
                        "reads; add the benchmark's own column, or say `rule: null`"
                    )
            if reason is not None:
                rejected.append(PutAside(item.id, item.source, reason))
                continue
            hashes[item.id] = record_sha256(item)
            usable.append(item)
    counts = Counter(row.reason for row in rejected)
    if len(rejected) > spec.max_put_aside * total:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in counts.most_common())
        raise DataError(
            f"{name}: {len(rejected)} of {total} rows cannot be used ({reasons}; the first is {rejected[0].id!r}), "
            f"more than max_put_aside {spec.max_put_aside}; mend the source or raise max_put_aside"
        )
    shutil.rmtree(root / "shards", ignore_errors=True)
    write_shards(root / "shards", usable)
    lines = "".join(json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in rejected)
    (root / "put_aside.jsonl").write_text(lines, encoding="utf-8")
    manifest: dict[str, Any] = {
        "name": name,
        "spec": json.loads(identity_),
        "n": len(usable),
        "content_sha256": content_sha256((item.id, hashes[item.id]) for item in usable),
        "counts": _counts([{key: getattr(item, key) for key in _COUNTED} for item in usable]),
        "licences": licences,
        "put_aside": dict(counts),
    }
    if isinstance(spec, Benchmark):
        manifest["modality"] = spec.modality
    manifest["provenance"] = provenance()
    manifest["seconds"] = round(time.monotonic() - start, 2)
    records.write(root / "manifest.json", manifest)
    print(f"{name}: {len(usable)} examples, {len(rejected)} put aside")


_COUNTED = ("source", "family", "difficulty", "kind")


def _counts(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    return {key: dict(sorted(Counter(str(row[key]) for row in rows).items())) for key in _COUNTED}


def _read(source: Source | OwnRows) -> tuple[Sequence[Example | PutAside], str]:
    """Return the examples of a source, unusable ones included, and the licence."""
    if isinstance(source, OwnRows):
        return list(source.read()), source.licence
    if isinstance(source, ParquetSource):
        return read_parquet(source.path), source.licence
    from reassess.sources import scenes as toy

    return toy.draw(source), toy.LICENCE


def read_parquet(path: str) -> list[Example]:
    """Return the rows of a user's Parquet file or directory as examples.

    Raises:
        DataError: a file is not Parquet, or its columns are not those of an example record.
    """
    root = Path(path)
    files = sorted(root.rglob("*.parquet")) if root.is_dir() else [root]
    if not files:
        raise DataError(f"{path}: no *.parquet files")
    examples: list[Example] = []
    for file in files:
        try:
            table = pq.read_table(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{file}: not a readable Parquet file ({error})") from None
        for column in OPTIONAL:
            if column not in table.column_names:
                table = table.append_column(column, pa.nulls(len(table), SCHEMA.field(column).type))
        missing = [column for column in SCHEMA.names if column not in table.column_names]
        if missing:
            raise DataError(f"{file}: columns missing: {', '.join(missing)}; expected {', '.join(SCHEMA.names)}")
        try:
            rows = table.select(SCHEMA.names).cast(pa.schema(list(SCHEMA))).to_pylist()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            raise DataError(f"{file}: columns are not of the types of an example record ({error})") from None
        for row in rows:
            if row["image"] and row["image"]["bytes"] is None and row["image"]["path"]:
                raise DataError(
                    f"{file}: row {row['id']!r} names its image by path ({row['image']['path']!r}); put the bytes into "
                    "the file, as `datasets` does with `embed_external_files=True`"
                )
        examples += [example(row) for row in rows]
    return examples
