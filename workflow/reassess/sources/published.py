"""Data sets that are known by name: where they are published, and how their rows, or a copy of them, are read.

A module of one (`benchmarks/x.py`, `sources/sets/x.py`) has `SOURCE` (a `Hub`), `MODALITY`, `VERSION` (raised when rows
become other examples), `CARD`, `example(row)`, and `PICTURES` where some columns hold paths of pictures.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

from reassess.example import DataError, Example, PutAside, RowError
from reassess.sources import copies, repository
from reassess.sources.archives import Pictures
from reassess.sources.base import Row
from reassess.sources.formats import FORMATS, read
from reassess.sources.repository import Hub

__all__ = ["UNDECLARED", "Card", "Hub", "Published"]

# The licence of a data set that declares none.
UNDECLARED = "not declared"


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
        return [] if self.path is None else copies.row_files(Path(self.path), self.location)

    @property
    def size(self) -> int | None:
        """The number of examples: only reading tells."""
        return None

    @property
    def most(self) -> int | None:
        """The number of rows that it is published with; of a copy only reading tells."""
        return self.location.rows if self.path is None else None

    def identity(self) -> dict[str, Any]:
        """Return what the examples depend on, besides the content of the user's files."""
        where = {"path": self.path} if self.path is not None else {"revision": self.location.revision}
        pictures = {} if self.image_root is None else {"image_root": self.image_root}
        return {"of": self.of, **where, **pictures, "version": self._module.VERSION}

    def provenance(self) -> dict[str, dict[str, Any]]:
        """Return what the manifest says of files that were read and are not the user's. Raises DataError."""
        return repository.provenance(self.location) if self.path is None else {}

    def read(self) -> Iterator[Example | PutAside]:
        """Yield the rows as examples; those without an id of their own get one from their place.

        Raises:
            DataError: it cannot be fetched, there are no files, or one is not readable or has not the published
                columns.
        """
        there, published = 0, self.location.rows
        for found in self._examples(whole=True):
            there += 1
            yield found
        if published is not None and there != published:
            print(f"{self.of}: {there:,} rows; the data set is published with {published:,}")

    def sample(self, n: int) -> Iterator[Example | PutAside]:
        """Yield the first rows as `read` does, without fetching whole files from the hub."""
        return islice(self._examples(whole=False), n)

    @property
    def _module(self) -> ModuleType:
        return importlib.import_module(self.module)

    def _examples(self, whole: bool) -> Iterator[Example | PutAside]:
        """Yield an example, or what is put aside, for each row; errors and `whole` as in `repository.rows`."""
        make, columns = self._module.example, getattr(self._module, "PICTURES", ())
        with self._pictures(whole) as pictures:
            for number, row in enumerate(self._rows(whole)):
                if isinstance(row, PutAside):
                    yield row
                    continue
                found: Example | PutAside
                try:
                    found = make({**row.values, **_resolved(row.values, columns, pictures)})
                except DataError as error:
                    raise DataError(f"{row.place}: {error}") from None
                except RowError as error:
                    found = PutAside("", self.of, error.reason, error.column)
                yield found if found.id else _with_id(found, f"{self.of}-{number:05d}")

    def _rows(self, whole: bool) -> Iterator[Row | PutAside]:
        if self.path is None:
            yield from repository.rows(self.location, whole)
            return
        if not self.files:
            raise DataError(
                f"{self.path}: no data files ({', '.join(FORMATS)}) of split {self.location.split!r}; give the files "
                "of that split alone, or one file"
            )
        for file in self.files:
            try:
                with Path(file).open("rb") as opened:
                    for number, values in enumerate(read(opened, file)):
                        place = f"{file}: row {number}"
                        yield PutAside(place, self.of, values) if isinstance(values, str) else Row(place, values)
            except OSError as error:
                raise DataError(f"{file}: cannot be read ({error})") from None

    @contextmanager
    def _pictures(self, whole: bool) -> Iterator[Pictures]:
        """Give the pictures that rows name by path. Raises DataError."""
        root = Path(self.image_root) if self.image_root is not None else None
        if self.path is None:
            with repository.pictures(self.location, root, whole) as found:
                yield found
            return
        copy = Path(self.path)
        archives = {} if root is not None else copies.archive_files(copy, self.location)
        with ExitStack() as stack:
            opened: dict[str, list[BinaryIO]] = {
                name: [stack.enter_context(part.open("rb")) for part in parts] for name, parts in archives.items()
            }
            yield Pictures(opened, root or (copy if copy.is_dir() else copy.parent))


def _resolved(values: dict[str, Any], columns: tuple[str, ...], pictures: Pictures) -> dict[str, Any]:
    """Return the columns with paths of pictures, with the pictures in place of the paths. Raises RowError."""
    return {
        column: _with_bytes(value, column, column in columns, pictures)
        for column, value in values.items()
        if column in columns or _is_image(value) or (isinstance(value, list) and any(map(_is_image, value)))
    }


def _is_image(value: Any) -> bool:
    """Return whether a value is an image as `datasets.Image` writes it."""
    return isinstance(value, dict) and value.keys() == {"bytes", "path"}


def _with_bytes(value: Any, column: str, is_path: bool, pictures: Pictures) -> Any:
    if isinstance(value, list):
        return [_with_bytes(item, column, is_path, pictures) for item in value]
    path = value["path"] if _is_image(value) and value["bytes"] is None else value if is_path else None
    if not isinstance(path, str):
        return value
    return {"bytes": pictures.read(path, column), "path": path} if path else None


def _with_id(found: Example | PutAside, id_: str) -> Example | PutAside:
    return replace(found, id=id_) if isinstance(found, Example) else found._replace(id=id_)
