"""Reads the fields of a published data set's rows: what its module (`benchmarks/x.py`, `sources/sets/x.py`) is made of.

A column that is not there is a `DataError`: the file is not that data set. A value of another type than was published
is a `RowError`, which puts that row aside; where all rows have it, the job ends because none can be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.example import DataError, RowError


def text(row: Mapping[str, Any], column: str) -> str:
    """Return a row's text, empty where it is null.

    Raises:
        DataError: there is no such column.
        RowError: it holds no text.
    """
    found = value(row, column)
    if found is not None and not isinstance(found, str):
        raise RowError(f"expected text, got {type(found).__name__}", column)
    return found or ""


def texts(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """Return a row's texts, of one or of a list, without nulls. Raises as `text` does."""
    there = value(row, column)
    found = [item for item in (there if isinstance(there, list) else [there]) if item is not None]
    return tuple(text({column: item}, column) for item in found)


def answer(row: Mapping[str, Any], column: str) -> str:
    """Return a row's text, or its number as text (3.0 as "3"), empty where it is null.

    Raises:
        DataError: there is no such column.
        RowError: it holds neither.
    """
    found = value(row, column)
    if found is None or isinstance(found, str):
        return found or ""
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise RowError(f"expected text or a number, got {type(found).__name__}", column)
    return str(int(found) if float(found).is_integer() else found)


def images(row: Mapping[str, Any], *columns: str) -> tuple[bytes, ...]:
    """Return a row's encoded images: columns as `datasets.Image` writes them, or lists of such; without nulls.

    Raises:
        DataError: there is no such column.
        RowError: it holds no image, or a path in place of one.
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
        raise RowError(f"expected an image (`bytes` and `path`), got {type(there).__name__}", column)
    if there["bytes"] is None and there["path"]:
        raise RowError("its picture is a path without a file", column)
    found: bytes | None = there["bytes"]
    return found


def value(row: Mapping[str, Any], column: str) -> Any:
    """Return what a row has in a column. Raises DataError where there is no such column."""
    if column not in row:
        raise DataError(f"no column {column!r}; the columns are {', '.join(row)}")
    return row[column]
