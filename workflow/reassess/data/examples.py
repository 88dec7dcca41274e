"""Builds sets of examples that are made from pools or from other sets, also of what a model said to them."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from reassess.data.asked import PUT_ASIDE, Answered, asked_of
from reassess.data.collection import Collection, made_from, read_manifest
from reassess.data.held_out import trainable, training
from reassess.data.parquet import read_parquet
from reassess.data.tally import ASKED, Tally
from reassess.example import DataError, PutAside, Scored
from reassess.graph import Graph, Job
from reassess.steps.base import Asks
from reassess.steps.score import Score
from reassess.work import records
from reassess.work.provenance import provenance
from reassess.work.records import file_sha256

# What the manifest repeats of the record of responses, or of values.
_OF_RESPONSES = (
    *("cell", "model", "checkpoints", "engine", "decoding", "think", "prompt_sha256", "generated", "costs"),
    *("endpoint", "reproducible", "served", "usage"),
)
_OF_VALUES = ("cell", "model", "checkpoint", "engine", "prompt_sha256", "values", "costs")


class Measured:
    """The examples of a pool that may be trained on, or of a set, that have values of a measure.

    Args:
        folder: the directory of the pool or the set.
        values: `values.parquet` of the measure, in the order of the examples.
    """

    def __init__(self, folder: Path, values: Path) -> None:
        self._folder = folder
        self._values = values

    def __iter__(self) -> Iterator[Scored]:
        rows = read_parquet(self._values, ("id", "nll", "tokens"))
        row = next(rows, None)
        for example in training(self._folder):
            if row is not None and row["id"] == example.id:
                yield Scored(example, found=row)
                row = next(rows, None)

    def ids(self) -> list[str]:
        """Return the ids of those that have values."""
        return [row["id"] for row in read_parquet(self._values, ("id",))]


class Unasked:
    """The examples of a pool that may be trained on, or of a set, to which nothing was said.

    Args:
        folder: the directory of the pool or the set.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __iter__(self) -> Iterator[Scored]:
        return map(Scored, training(self._folder))

    def ids(self) -> list[str]:
        """Return their ids."""
        return trainable(self._folder).column("id")


def build_set(graph: Graph, job: Job, workers: int = 1) -> None:
    """Make a set of examples from the pools and sets that its step reads, and from what was said to them.

    Args:
        graph: the study.
        job: the making of the set.
        workers: processes that judge.

    Raises:
        DataError: no example is kept, or nobody was asked yet.
        RecordError: what it reads is not there, or its manifest is broken.
    """
    start = time.monotonic()
    made = graph.set_of(job)
    assert made is not None
    step = graph.study.examples[made.name]
    manifests = {read.key: read_manifest(Path(read.folder)) for read in made.reads}
    licences = {source: licence for found in manifests.values() for source, licence in found["licences"].items()}
    with Collection(Path(job.record).parent, "dropped.jsonl") as collection:
        asked = _write(collection, graph, job, workers)
        if not collection.n:
            raise DataError(
                f"examples.{made.name}: no example of {', '.join(step.INPUTS)} is kept ({collection.why()})"
                + ("; ask another model, or for more samples" if isinstance(step, Asks) else "")
            )
        manifest = {
            "name": made.name,
            "spec": json.loads(job.spec),
            **collection.described(),
            "licences": licences,
            "read": made_from(manifests),
            "dropped": dict(collection.reasons),
            **({"asked": asked} if asked else {}),
            "provenance": provenance(),
            "seconds": round(time.monotonic() - start, 2),
        }
        collection.put_in_place(manifest)
    print(f"{job.key}: {collection.n} examples, {collection.put_aside} dropped ({collection.why() or 'none'})")


def _write(collection: Collection, graph: Graph, job: Job, workers: int) -> dict[str, Any]:
    """Write the examples of a set, and return what a manifest says of who was asked, nothing where nobody was."""
    made, seed = graph.set_of(job), graph.study.seed
    assert made is not None
    step, folders = graph.study.examples[made.name], [Path(read.folder) for read in made.reads]
    if isinstance(step, Asks):
        (asks,) = graph.needed(job, "generate")
        told, responses = _told(asks, _OF_RESPONSES, "responses_sha256"), Path(asks.outputs[1])
        answered = Answered(asked_of(folders[0], step, seed), responses, step.JUDGES, workers)
        tally = Tally(answered, collection.beside(ASKED))
        rows = itertools.chain(step.make({step.on: tally}, seed), _put_aside(asks))
        collection.write(rows, told=tally.keep)
        return told | tally.described()
    if isinstance(step, Score):
        (asks,) = graph.needed(job, "measure")
        told = _told(asks, _OF_VALUES, "values_sha256")
        measured = Measured(folders[0], Path(asks.outputs[1]))
        collection.write(itertools.chain(step.make({step.on: measured}, seed), _put_aside(asks)))
        return told
    inputs = {name: Unasked(folder) for name, folder in zip(step.INPUTS, folders, strict=True)}
    collection.write(step.make(inputs, seed))
    return {}


def _told(asks: Job, fields: Sequence[str], named: str) -> dict[str, Any]:
    """Return what a manifest says of who was asked, and the hash of what came of it under a name.

    Raises:
        DataError: nobody was asked yet.
    """
    found = records.read(asks.record, files=dict)
    if found is None:
        raise DataError(f"{asks.record}: not there; make it first: reassess {asks.rule} {asks.key}")
    told = {name: found[name] for name in fields if name in found}
    return {**told, named: file_sha256(asks.outputs[1])}


def _put_aside(asks: Job) -> Iterator[PutAside]:
    """Yield the examples that the model could not be asked."""
    file = Path(asks.record).with_name(PUT_ASIDE)
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield PutAside(row["id"], row["source"], f"cannot be asked: {row['reason']}")
