"""What every kind of source says of itself before it is read, and the rows of files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from reassess.example import DataError, Example, PutAside, RowError
from reassess.sources import compose, pictures, shapes
from reassess.spec import ExistingPath, RowsPath, Strict

Modality = Literal["visual", "text", "mixed"]

# Rows that are looked at before the first becomes an example.
_HEAD = 32


class Row(NamedTuple):
    """A row as a file has it.

    Attributes:
        place: the file's name and where in it the row stands: `train.csv:12`, `test.parquet row 3`.
        values: by column, of whatever type the file has.
    """

    place: str
    values: dict[str, Any]


class SourceOptions(Strict):
    """Base of the kinds of sources.

    A kind has besides `kind`, `licence` (of the data, for the manifest) and `read`, which yields its examples, and
    what cannot be one as `PutAside`, without holding more than a few.
    """

    @property
    def files(self) -> list[str]:
        """The user's files that are read: where one is newer than what was made from it, that is made again."""
        return []

    @property
    def size(self) -> int | None:
        """The number of examples, None where only reading tells."""
        return None

    @property
    def most(self) -> int | None:
        """The number of examples at most, as far as it is known without reading."""
        return self.size

    def read(self) -> Iterator[Example | PutAside]:
        """Yield the examples, and what cannot be one as put aside. Raises DataError where a source cannot be read."""
        raise NotImplementedError

    def sample(self, n: int) -> Iterator[Example | PutAside]:
        """Yield the first `n` of what `read` yields, for a look at it. Raises DataError."""
        return itertools.islice(self.read(), n)

    def identity(self) -> dict[str, Any]:
        """Return what the examples depend on, besides the content of the user's files."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"licence"})

    def provenance(self) -> dict[str, dict[str, Any]]:
        """Return what the manifest says of files that were read and are not the user's: size and hash by name."""
        return {}

    def misfits(self, modality: Modality, is_benchmark: bool) -> Iterator[str]:
        """Yield why the examples do not suit a pool or a benchmark of a modality."""
        yield from ()


class RowsSource(SourceOptions):
    """Base of the kinds of sources that read rows of files, whatever their columns are.

    A kind gives `files`, `rows()`, `called` where it has no name, and `picture()`.
    """

    licence: str
    """Licence of the data, recorded in the manifest."""
    name: str = ""
    """What the examples are called by in tables and manifests; by default the file's or the data set's name."""
    columns: shapes.Columns | None = None
    """Which columns hold what; by default they are recognised by their usual names."""
    answers: Literal["math", "numeric", "mcq", "text"] | None = None
    """How all answers are compared; by default this is told from each row."""
    image_root: ExistingPath | None = None
    """The directory below which paths of images are looked up; by default that of the file."""

    @property
    def called(self) -> str:
        """What the examples are called by."""
        raise NotImplementedError

    @property
    def is_uniform(self) -> bool:
        """Whether all rows of a file have the same columns; in JSON each row has its own."""
        return True

    def rows(self) -> Iterator[Row | PutAside]:
        """Yield the rows as the files have them, and what is damaged as put aside.

        Raises:
            DataError: a file cannot be read.
        """
        raise NotImplementedError

    def picture(self, path: str, place: str) -> bytes:
        """Return the image that a row names by path.

        Args:
            path: as the row has it.
            place: where the row stands.

        Raises:
            RowError: there is none, or it lies outside of the directory of images.
        """
        raise NotImplementedError

    def described(self) -> str:
        """Return which shape the rows have and which columns hold what, in one line.

        Raises:
            DataError: a file cannot be read, or its columns do not say where question and answer are.
        """
        head = [row for row in itertools.islice(self.rows(), _HEAD) if isinstance(row, Row)]
        return self._recognised(head, self.is_uniform).described if head else "no rows"

    def read(self) -> Iterator[Example | PutAside]:
        """Yield the rows as examples; a row that cannot be one is put aside, under its id or its place.

        Raises:
            DataError: a file cannot be read, or its columns do not say where question and answer are.
        """
        # It is asked once: a source may have to look at its files for it.
        rows, is_uniform = self.rows(), self.is_uniform
        head = list(itertools.islice(rows, _HEAD))
        if looked_at := [row for row in head if isinstance(row, Row)]:
            self._recognised(looked_at, is_uniform)
        del looked_at
        unseen = {column for _, column in self.columns.stated()} if self.columns else set()
        for number, row in enumerate(itertools.chain(_taken(head), rows)):
            if isinstance(row, Row):
                unseen -= row.values.keys()
                yield self._example(number, row, is_uniform)
            else:
                yield row
        if unseen:
            raise DataError(f"{self.called}: no row has a column {min(unseen)!r}, which `columns` names")

    def _recognised(self, rows: list[Row], is_uniform: bool) -> shapes.Roles:
        """Return which columns of some rows hold what. Raises DataError."""
        columns = tuple(dict.fromkeys(column for row in rows for column in row.values))
        if is_uniform and (problem := shapes.unknown(self.columns, columns)):
            raise DataError(f"{rows[0].place}: {problem}")
        roles = shapes.roles_of(columns, self.columns)
        if roles.missing:
            raise DataError(f"{rows[0].place}: {shapes.unrecognised(roles, columns)}")
        return roles

    def _example(self, number: int, row: Row, is_uniform: bool) -> Example | PutAside:
        """Return the example in a row. Raises DataError where its columns do not say where question and answer are."""
        id_ = ""
        try:
            if is_uniform:
                roles = self._recognised([row], is_uniform)
            elif (roles := shapes.roles_of(tuple(row.values), self.columns)).missing:
                raise RowError(f"no key is known to hold {roles.missing}")
            if self.name:
                roles = roles._replace(source=None)
            id_ = compose.own_id(row.values, roles)
            source = compose.Source(self.called, self.answers, lambda path: self.picture(path, row.place))
            return compose.example(row.values, roles, id_ or f"{self.called}-{number:06d}", source)
        except RowError as error:
            return PutAside(id_ or row.place, self.called, error.reason, error.column)


class FileSource(RowsSource):
    """Base of the kinds of sources that read a file, or a directory of files, at a path."""

    path: RowsPath
    """The file."""

    @property
    def called(self) -> str:
        path = Path(self.path).absolute()
        return self.name or (path.name if path.is_dir() else path.stem)

    @property
    def folder(self) -> Path:
        """The directory below which paths of images are looked up."""
        path = Path(self.path)
        return Path(self.image_root) if self.image_root else path if path.is_dir() else path.parent

    def picture(self, path: str, place: str) -> bytes:
        return pictures.below(self.folder, path)


def _taken(head: list[Row | PutAside]) -> Iterator[Row | PutAside]:
    """Yield rows without keeping them."""
    while head:
        yield head.pop(0)
