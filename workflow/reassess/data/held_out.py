"""The rows of a pool that nothing is trained on, and the benchmark that they are.

All rows of a pool are in its shards. `held_out.json` beside them has the ids of those that are no training examples:
subsets and steps leave them out, and a benchmark `{pool: ...}` has those that are held out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reassess.data.same_text import normalised
from reassess.data.shards import Shards, stream
from reassess.example import DataError, Example, images_sha256
from reassess.work import records

FILE = "held_out.json"


class Groups:
    """The rows of a pool as they come, those with the same pictures together; a text row goes with its like.

    Args:
        pool: the pool.
        n: how many rows are held out.
    """

    def __init__(self, pool: str, n: int) -> None:
        self._pool = pool
        self._n = n
        self._groups: dict[bytes, list[str]] = {}

    def add(self, item: Example) -> None:
        """Remember the id of an example, and with which others it belongs."""
        self._groups.setdefault(self._rank(item), []).append(item.id)

    def _rank(self, item: Example) -> bytes:
        """Return a hash that decides which groups come first: of the pool's name and of what its rows share."""
        shared = images_sha256(item.pil()) or normalised(item.question)
        return hashlib.sha256(f"{self._pool} held out {shared}".encode()).digest()[:16]

    def parts(self) -> tuple[list[str], list[str]]:
        """Return the ids that are held out, and those of the rest of the last group, which is in neither part.

        Raises:
            DataError: no row would be left to train on.
        """
        ids: list[str] = []
        for rank in sorted(self._groups):
            ids += sorted(self._groups[rank])
            if len(ids) >= self._n:
                break
        total = sum(map(len, self._groups.values()))
        if len(ids) >= total or len(ids) < self._n:
            raise DataError(
                f"held_out: {self._n} of the {total} rows of {self._pool!r} leave none to train on, since rows with "
                "the same pictures stay together; hold out fewer"
            )
        return sorted(ids[: self._n]), sorted(ids[self._n :])

    def write(self, file: Path) -> dict[str, Any]:
        """Write which rows are held out, and return what the manifest says of it. Raises DataError."""
        ids, rest = self.parts()
        records.write(file, {"ids": ids, "rest": rest})
        digest = hashlib.sha256("\n".join([*ids, "", *rest]).encode()).hexdigest()
        return {"n": len(ids), "rest": len(rest), "ids_sha256": digest}


def not_trained_on(directory: Path) -> frozenset[str]:
    """Return the ids of a pool's rows that are no training examples; none where it holds nothing out.

    Raises:
        RecordError: the list of them is broken.
    """
    found = records.read(directory / FILE, ids=list, rest=list)
    return frozenset() if found is None else frozenset([*found["ids"], *found["rest"]])


def trainable(directory: str | Path) -> Shards:
    """Return the examples of a pool that may be trained on, or all of a set or benchmark, in the order of the files.

    Raises:
        DataError: the directory has no shards, or one cannot be read.
        RecordError: the list of what is held out is broken.
    """
    found, left_out = Shards(directory), not_trained_on(Path(directory))
    if not left_out:
        return found
    return found.take([index for index, id_ in enumerate(found.column("id")) if id_ not in left_out])


def training(directory: Path) -> Iterator[Example]:
    """Yield the examples of a pool, or of a set, that may be trained on."""
    left_out = not_trained_on(directory)
    return (item for item in stream(directory) if item.id not in left_out)


class HeldOut:
    """The held-out rows of a pool, read like a source.

    Args:
        directory: the pool's.
        modality: that of the benchmark: a mixed pool has rows of both.
        licences: those of the pool, by the names of its sources.
    """

    def __init__(self, directory: Path, modality: str, licences: dict[str, str]) -> None:
        self.licences = licences
        self._directory = directory
        self._modality = modality

    def read(self) -> Iterator[Example]:
        """Yield them in the pool's order.

        Raises:
            RecordError: the list of them is not there, or broken.
        """
        file = self._directory / FILE
        found = records.read(file, ids=list)
        if found is None:
            raise records.RecordError(f"{file}: is not there; run the study, which makes it first")
        ids = frozenset(found["ids"])
        for item in stream(self._directory):
            if item.id in ids and bool(item.images) == (self._modality == "visual"):
                yield item
