"""Reads the fields of a published data set's rows: what its module (`benchmarks/x.py`, `sources/sets/x.py`) is made of.

A column that is not there, or that holds another type than was published, is a `DataError`: the rows are not those of
that data set. What is null or damaged in one row puts that row aside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.example import DataError


def text(row: Mapping[str, Any], column: str) -> str:
    """Return a row's text, empty where it is null. Raises DataError where the column is missing or holds no text."""
    found = value(row, column)
    if found is not None and not isinstance(found, str):
        raise DataError(f"column {column!r}: expected text, got {type(found).__name__}")
    return found or ""


def texts(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """Return a row's texts, of one or of a list, without nulls. Raises DataError as `text` does."""
    there = value(row, column)
    found = [item for item in (there if isinstance(there, list) else [there]) if item is not None]
    return tuple(text({column: item}, column) for item in found)


def images(row: Mapping[str, Any], *columns: str) -> tuple[bytes, ...]:
    """Return a row's encoded images: columns as `datasets.Image` writes them, or lists of such; without nulls.

    Raises:
        DataError: a column is missing or holds no image, or a path in place of one.
    """
    found: list[bytes | None] = []
    for column in columns:
        there = value(row, column)
        found += [_image(item, column) for item in (there if isinstance(there, list) else [there])]
    return tuple(image for image in found if image is not None)


def _image(there: Any, column: str) -> bytes | None:
    if there is None:
        return None
    if not isinstance(there, dict) or not {"bytes", "path"} <= there.keys():
        raise DataError(f"column {column!r}: expected an image (`bytes` and `path`), got {type(there).__name__}")
    if there["bytes"] is None and there["path"]:
        raise DataError(
            f"column {column!r} names its image by path ({there['path']!r}); put the bytes into the file, as "
            "`datasets` does with `embed_external_files=True`"
        )
    found: bytes | None = there["bytes"]
    return found


def value(row: Mapping[str, Any], column: str) -> Any:
    """Return what a row has in a column. Raises DataError where there is no such column."""
    if column not in row:
        raise DataError(f"no column {column!r}; the columns are {', '.join(row)}")
    return row[column]
