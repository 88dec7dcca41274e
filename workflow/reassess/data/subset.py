"""Subsets: the first ids of a pool's shuffle under a seed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from reassess.data.collection import COUNTED, counted_as, read_manifest
from reassess.data.held_out import trainable
from reassess.data.shards import Shards
from reassess.example import DataError
from reassess.graph import Job
from reassess.study.recipes import ALL
from reassess.work import records


def build_subset(job: Job) -> None:
    """Write the first ids of a shuffle under the seed, or all: a smaller subset is a prefix of a larger one.

    Raises:
        DataError: the pool, or the set, is not there, cannot be read, or has fewer usable examples.
        RecordError: its manifest is broken.
    """
    pool, seed, n = job.at.pool, job.at.seed, job.at.size
    assert pool is not None
    assert seed is not None
    root = Path(job.inputs[0]).parent
    manifest = records.read(root / "manifest.json", content_sha256=str)
    if manifest is None:
        raise DataError(f"{root / 'manifest.json'}: not there; make it first: reassess {job.needs[0]}")
    there = usable(job)
    if not there or (n is not None and n > len(there)):
        out, held_out = manifest.get("put_aside", manifest.get("dropped", {})), manifest.get("held_out", {})
        why = f"{sum(out.values()) + sum(held_out.get(part, 0) for part in ('n', 'rest'))} left out"
        if job.inputs[1:]:
            why += f", and those that do not stand in {', '.join(map(_folder, job.inputs[1:]))}"
        raise DataError(
            f"sizes: {n or ALL} is larger than {job.at.pool!r} ({root}), which has {len(there)} examples ({why})"
        )
    ids = shuffled(pool, seed, there)[:n]
    chosen = Shards(root, ids)
    record = {
        "pool": pool,
        "seed": seed,
        "n": len(ids),
        "spec": json.loads(job.spec),
        "ids": ids,
        "ids_sha256": ids_sha256(ids),
        "pool_content_sha256": manifest["content_sha256"],
        **({"held_out": manifest["held_out"]} if "held_out" in manifest else {}),
        **({"only_with": read} if (read := _read(job)) else {}),
        "counts": {key: _counts(chosen.column(key)) for key in COUNTED},
    }
    records.write(job.record, record)


def usable(job: Job) -> list[str]:
    """Return the ids that a subset may have: those of a pool that are not held out, or of a set, which stand in each of
    the sets that have to have them too."""
    first, *others = (Path(file).parent for file in job.inputs)
    there = trainable(first).column("id")
    for folder in others:
        shared = set(Shards(folder).column("id"))
        there = [id_ for id_ in there if id_ in shared]
    return there


def _read(job: Job) -> dict[str, str]:
    """Return the hashes of the sets that have to have an example too, by key."""
    made = (need.removeprefix("examples ") for need in job.needs[1:])
    return {
        key: read_manifest(Path(file).parent)["content_sha256"] for key, file in zip(made, job.inputs[1:], strict=True)
    }


def _folder(manifest: str) -> str:
    return Path(manifest).parent.as_posix()


def shuffled(pool: str, seed: int, ids: Iterable[str]) -> list[str]:
    """Return ids of a pool in the order of one seed, in whatever order they are given.

    By a hash of each id, so that a set that is made from the pool keeps the pool's order.
    """
    return sorted(ids, key=lambda id_: hashlib.sha256(f"{pool} {seed} {id_}".encode()).digest())


def ids_sha256(ids: Iterable[str]) -> str:
    """Return the hash of ids in their order."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


def _counts(values: Iterable[object]) -> dict[str, int]:
    counter: Counter[str] = Counter()
    for value in values:
        counter[counted_as(str(value), counter)] += 1
    return dict(sorted(counter.items()))
