"""A benchmark's own rows: where they are published, what they hold, and how a copy of them is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from reassess.benchmarks import module
from reassess.example import DataError, Example, PutAside

# Rows that are in memory at once: a hundred pictures.
_BATCH = 100


class Hub(NamedTuple):
    """Where a benchmark's rows are published on the Hugging Face hub.

    Attributes:
        path: the data set, `owner/name`.
        split: the split that is evaluated.
        revision: the commit, 40 hex digits; None where none is known for sure, which is for the study to say then.
        licence: of the data; None where none is declared, which is for the study to say then.
    """

    path: str
    split: str
    revision: str | None
    licence: str | None

    def __str__(self) -> str:
        """The data set as a message names it."""
        return f"{self.path} (split {self.split}{f', revision {self.revision}' if self.revision else ''})"


class OwnRows(NamedTuple):
    """A copy of a benchmark's own rows, read like a source: in a study `benchmarks: {chartqa: {path: rows/}}`.

    That the rows are the benchmark's own is said of the benchmark and not of a source, because it decides more than how
    rows are read: modality and rule follow. And `path` says one thing alone, where a copy lies, so that what is left
    without it, `chartqa: {}`, means the same rows from where the benchmark is published.

    Attributes:
        of: the benchmark's name in `KNOWN`.
        path: a Parquet file with the published columns, or a directory of them.
        licence: of the data.
    """

    of: str
    path: str
    licence: str

    @property
    def files(self) -> list[str]:
        """The files that the rows are read from."""
        root = Path(self.path)
        return [str(file) for file in sorted(root.rglob("*.parquet"))] if root.is_dir() else [self.path]

    @property
    def size(self) -> int | None:
        """The number of examples: only reading tells."""
        return None

    def identity(self) -> dict[str, Any]:
        """Return what the examples depend on, besides the content of the files."""
        return {"of": self.of, "path": self.path, "version": module(self.of).VERSION}

    def read(self) -> Iterator[Example | PutAside]:
        """Yield the rows as examples; those without an id of their own get one from their place in the copy.

        Raises:
            DataError: there are no files, or one is not Parquet or has not the published columns.
        """
        files = self.files
        if not files:
            raise DataError(f"{self.path}: no *.parquet files")
        make, number = module(self.of).example, 0
        for file in files:
            for place, row in enumerate(_rows(file)):
                try:
                    found: Example | PutAside = make(row)
                except DataError as error:
                    raise DataError(f"{file}: row {place}: {error}") from None
                yield found if found.id else _with_id(found, f"{self.of}-{number:05d}")
                number += 1


def text(row: Mapping[str, Any], column: str) -> str:
    """Return a row's text, empty where it is null. Raises DataError where the column is missing or holds no text."""
    value = _value(row, column)
    if value is not None and not isinstance(value, str):
        raise DataError(f"column {column!r}: expected text, got {type(value).__name__}")
    return value or ""


def texts(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """Return a row's texts, of one or of a list, without nulls. Raises DataError as `text` does."""
    value = _value(row, column)
    found = [item for item in (value if isinstance(value, list) else [value]) if item is not None]
    return tuple(text({column: item}, column) for item in found)


def images(row: Mapping[str, Any], *columns: str) -> tuple[bytes, ...]:
    """Return a row's encoded images: columns as `datasets.Image` writes them, or lists of such; without nulls.

    Raises:
        DataError: a column is missing or holds no image, or a path in place of one.
    """
    found: list[bytes | None] = []
    for column in columns:
        value = _value(row, column)
        found += [_image(item, column) for item in (value if isinstance(value, list) else [value])]
    return tuple(image for image in found if image is not None)


def _image(value: Any, column: str) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not {"bytes", "path"} <= value.keys():
        raise DataError(f"column {column!r}: expected an image (`bytes` and `path`), got {type(value).__name__}")
    if value["bytes"] is None and value["path"]:
        raise DataError(
            f"column {column!r} names its image by path ({value['path']!r}); put the bytes into the file, as "
            "`datasets` does with `embed_external_files=True`"
        )
    found: bytes | None = value["bytes"]
    return found


def _value(row: Mapping[str, Any], column: str) -> Any:
    if column not in row:
        raise DataError(f"no column {column!r}; the columns are {', '.join(row)}")
    return row[column]


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
