"""Builds sets of examples that are made from pools or from other sets, also of what a model said to them."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reassess.data.asked import Answered, asked_of
from reassess.data.collection import Collection, made_from, read_manifest
from reassess.data.held_out import not_trained_on, training
from reassess.data.shards import Shards
from reassess.data.tally import ASKED, Tally
from reassess.example import DataError, PutAside, Scored
from reassess.graph import Graph, Job
from reassess.steps.base import Asks
from reassess.work import records
from reassess.work.provenance import provenance
from reassess.work.records import file_sha256

# What the manifest repeats of the record of responses.
_OF_RESPONSES = (
    *("cell", "model", "checkpoints", "engine", "decoding", "think", "prompt_sha256", "generated", "costs"),
    *("endpoint", "reproducible", "served", "usage"),
)


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
        kept_back = not_trained_on(self._folder)
        return [id_ for id_ in Shards(self._folder).column("id") if id_ not in kept_back]


def build_set(graph: Graph, job: Job, workers: int = 1) -> None:
    """Make a set of examples from the pools and sets that its step reads, and from what was said to them.

    Args:
        graph: the study.
        job: the making of the set.
        workers: processes that judge.

    Raises:
        DataError: no example is kept, or there are no responses.
        RecordError: what it reads is not there, or its manifest is broken.
    """
    start = time.monotonic()
    made = graph.set_of(job)
    assert made is not None
    step, seed = graph.study.examples[made.name], graph.study.seed
    folders = {read.key: Path(read.folder) for read in made.reads}
    manifests = {key: read_manifest(folder) for key, folder in folders.items()}
    licences = {source: licence for found in manifests.values() for source, licence in found["licences"].items()}
    with Collection(Path(job.record).parent, "dropped.jsonl") as collection:
        tally = None
        if isinstance(step, Asks):
            (folder,) = folders.values()
            (asks,) = graph.needed(job, "generate")
            record = _responses(asks)
            responses = Path(asks.outputs[1])
            answered = Answered(asked_of(folder, step, seed), responses, step.JUDGES, workers)
            tally = Tally(answered, collection.beside(ASKED))
            rows = itertools.chain(step.make({step.on: tally}, seed), _put_aside(asks))
            collection.write(rows, told=tally.keep)
        else:
            inputs = {name: Unasked(folder) for name, folder in zip(step.INPUTS, folders.values(), strict=True)}
            collection.write(step.make(inputs, seed))
        if not collection.n:
            raise DataError(
                f"examples.{made.name}: no example of {', '.join(step.INPUTS)} is kept ({collection.why()})"
                + ("; ask another model, or for more samples" if tally else "")
            )
        manifest = {
            "name": made.name,
            "spec": json.loads(job.spec),
            **collection.described(),
            "licences": licences,
            "read": made_from(manifests),
            "dropped": dict(collection.reasons),
            **({"asked": {**_told(record, asks), **tally.described()}} if tally else {}),
            "provenance": provenance(),
            "seconds": round(time.monotonic() - start, 2),
        }
        collection.put_in_place(manifest)
    print(f"{job.key}: {collection.n} examples, {collection.put_aside} dropped ({collection.why() or 'none'})")


def _responses(asks: Job) -> dict[str, Any]:
    """Return the record of responses. Raises DataError where there is none, or the responses are not its own."""
    found = records.read(asks.record, checkpoints=list, files=dict)
    if found is None:
        raise DataError(f"{asks.record}: not there; make it first: reassess generate {asks.key}")
    return found


def _told(record: Mapping[str, Any], asks: Job) -> dict[str, Any]:
    """Return what a manifest says of who was asked, and of the responses."""
    told = {name: record[name] for name in _OF_RESPONSES if name in record}
    return {**told, "responses_sha256": file_sha256(asks.outputs[1])}


def _put_aside(asks: Job) -> Iterator[PutAside]:
    """Yield the examples that the model could not be asked."""
    file = Path(asks.record).with_name("put_aside.jsonl")
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield PutAside(row["id"], row["source"], f"cannot be asked: {row['reason']}")
