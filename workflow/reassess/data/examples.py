"""Builds sets of examples that are made from pools or from other sets."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from reassess.data.collection import Collection
from reassess.data.shards import stream
from reassess.example import DataError
from reassess.graph import Graph, Job
from reassess.work import records
from reassess.work.provenance import provenance


def build_set(graph: Graph, job: Job) -> None:
    """Make a set of examples from the pools and sets that its step reads.

    Raises:
        DataError: no example is kept.
        RecordError: what it reads is not there, or its manifest is broken.
    """
    start = time.monotonic()
    step = graph.study.examples[job.key]
    folders = {name: Path(file).parent for name, file in zip(step.INPUTS, job.inputs, strict=True)}
    manifests = {name: _manifest(folder) for name, folder in folders.items()}
    read = {name: {key: found[key] for key in ("n", "content_sha256")} for name, found in manifests.items()}
    licences = {source: licence for found in manifests.values() for source, licence in found["licences"].items()}
    with Collection(Path(job.record).parent, "dropped.jsonl") as made:
        made.write(step.make({name: stream(folder) for name, folder in folders.items()}))
        if not made.n:
            raise DataError(f"examples.{job.key}: no example of {', '.join(step.INPUTS)} is kept ({made.why()})")
        made.put_in_place(
            {
                "name": job.key,
                "spec": json.loads(job.spec),
                **made.described(),
                "licences": licences,
                "read": read,
                "dropped": dict(made.reasons),
                "provenance": provenance(),
                "seconds": round(time.monotonic() - start, 2),
            }
        )
    print(f"{job.key}: {made.n} examples, {made.put_aside} dropped")


def _manifest(folder: Path) -> dict[str, Any]:
    file = folder / "manifest.json"
    found = records.read(file, n=int, content_sha256=str, licences=dict)
    if found is None:
        raise records.RecordError(f"{file}: is not there; run the study, which makes it first")
    return found
