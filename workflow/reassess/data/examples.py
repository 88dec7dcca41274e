"""Builds sets of examples that are made from pools or from other sets."""

from __future__ import annotations

import json
import time
from pathlib import Path

from reassess.data.collection import Collection, made_from, read_manifest
from reassess.data.held_out import training
from reassess.example import DataError
from reassess.graph import Graph, Job
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
    manifests = {name: read_manifest(folder) for name, folder in folders.items()}
    licences = {source: licence for found in manifests.values() for source, licence in found["licences"].items()}
    with Collection(Path(job.record).parent, "dropped.jsonl") as made:
        made.write(step.make({name: training(folder) for name, folder in folders.items()}))
        if not made.n:
            raise DataError(f"examples.{job.key}: no example of {', '.join(step.INPUTS)} is kept ({made.why()})")
        made.put_in_place(
            {
                "name": job.key,
                "spec": json.loads(job.spec),
                **made.described(),
                "licences": licences,
                "read": made_from(manifests),
                "dropped": dict(made.reasons),
                "provenance": provenance(),
                "seconds": round(time.monotonic() - start, 2),
            }
        )
    print(f"{job.key}: {made.n} examples, {made.put_aside} dropped")
