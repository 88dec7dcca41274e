"""Data sets that are known by name: where they are published, and how their rows, or a copy of them, are read.

A module of one (`benchmarks/x.py`, `sources/sets/x.py`) has `SOURCE` (a `Hub`), `MODALITY`, `VERSION` (raised when rows
become other examples), `CARD`, `example(row)`, and `PICTURES` where some columns hold paths of pictures.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from reassess.example import DataError, Example, PutAside
from reassess.sources.base import Row

# The licence of a data set that declares none.
UNDECLARED = "not declared"
# Rows that are in memory at once: a hundred pictures.
_BATCH = 100


class Hub(NamedTuple):
    """Where rows are published on the Hugging Face hub.

    Attributes:
        path: the data set, `owner/name`.
        split: the split that is read.
        revision: the commit, 40 hex digits; None where none is known for sure, which is for the study to say then.
        licence: of the data; None where none is declared.
        configs: configurations whose rows are read one after the other; none for the data set's default one.
        files: the files of the repository that hold the rows, where they are not what `configs` and `split` find.
        archives: zip files of the repository, in parts or not, in which paths of pictures are looked up.
        rows: how many rows it is published with, None where that is not known.
    """

    path: str
    split: str
    revision: str | None
    licence: str | None
    configs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    rows: int | None = None

    def __str__(self) -> str:
        """The data set as a message names it."""
        return f"{self.path} (split {self.split}{f', revision {self.revision}' if self.revision else ''})"


class Card(NamedTuple):
    """What a reader of `docs/data.md` should know of a data set.

    Attributes:
        what: what it asks or holds, in one sentence.
        traps: what has misled people about it, a sentence each.
        prompt: the prompt that its authors, or the harness that is followed, ask with; of a training set none.
        metric: how it is scored there, in one sentence; of a training set none.
    """

    what: str
    traps: tuple[str, ...] = ()
    prompt: str = ""
    metric: str = ""


class Published(NamedTuple):
    """A data set that is known by name, read like a source.

    Attributes:
        of: its name.
        module: the path of its module.
        location: where its rows are, with the revision that the study says.
        path: a copy of the rows, in place of the hub: a file, or a directory of files; None for the hub.
        image_root: a directory in which paths of pictures are looked up.
        licence: of the data.
    """

    of: str
    module: str
    location: Hub
    path: str | None
    image_root: str | None
    licence: str

    @property
    def files(self) -> list[str]:
        """The user's files that the rows are read from."""
        if self.path is None:
            return []
        root = Path(self.path)
        return [str(file) for file in sorted(root.rglob("*.parquet"))] if root.is_dir() else [self.path]

    @property
    def size(self) -> int | None:
        """The number of examples: only reading tells."""
        return None

    def identity(self) -> dict[str, Any]:
        """Return what the examples depend on, besides the content of the user's files."""
        where = {"path": self.path} if self.path is not None else {"revision": self.location.revision}
        return {"of": self.of, **where, "version": self._module.VERSION}

    def provenance(self) -> dict[str, dict[str, Any]]:
        """Return what the manifest says of files that were read and are not the user's: size and hash by name."""
        return {}

    def read(self) -> Iterator[Example | PutAside]:
        """Yield the rows as examples; those without an id of their own get one from their place.

        Raises:
            DataError: there are no files, or one is not readable or has not the published columns.
        """
        make = self._module.example
        for number, row in enumerate(self._rows()):
            try:
                found: Example | PutAside = make(row.values)
            except DataError as error:
                raise DataError(f"{row.place}: {error}") from None
            yield found if found.id else _with_id(found, f"{self.of}-{number:05d}")

    @property
    def _module(self) -> ModuleType:
        return importlib.import_module(self.module)

    def _rows(self) -> Iterator[Row]:
        if not self.files:
            raise DataError(f"{self.path}: no *.parquet files")
        for file in self.files:
            for place, values in enumerate(_rows(file)):
                yield Row(f"{file}: row {place}", values)


def _rows(file: str) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(_BATCH):
                yield from batch.to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{file}: not a readable Parquet file ({error})") from None


def _with_id(found: Example | PutAside, id_: str) -> Example | PutAside:
    return replace(found, id=id_) if isinstance(found, Example) else found._replace(id=id_)
