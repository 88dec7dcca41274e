"""The parquet source: questions of your own in Parquet files."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from reassess.example import DataError, Example, PutAside, RowError
from reassess.paths import RESULTS
from reassess.sources import pictures
from reassess.sources.base import FileSource, Row
from reassess.sources.values import Unreadable
from reassess.spec import RowsPath

# Rows that are decoded at once: images are large.
ROWS = 64
# Bytes read at once: without a limit a column of a whole row group is, and many files have one row group. With
# `pre_buffer`, pyarrow's default, it would keep the whole file until its end.
BUFFER = 2**20


class ParquetSource(FileSource):
    """Questions of your own in Parquet files, with the columns of an example record or others."""

    kind: Literal["parquet"]
    """Read from files."""
    path: RowsPath
    """A Parquet file, or a directory of them; hidden files and what begins with `_` is passed over."""

    @property
    def files(self) -> list[str]:
        return files_below(self.path)

    def described(self) -> str:
        """Return which shape the rows have, in one line. Raises DataError."""
        return "example records" if self._has_records() else super().described()

    def read(self) -> Iterator[Example | PutAside]:
        """Yield the rows as examples, file by file.

        Raises:
            DataError: there is no file, one is not Parquet, or its columns are not of the types of an example record,
                or do not say where question and answer are.
        """
        return self._records() if self._has_records() else super().read()

    def rows(self) -> Iterator[Row | PutAside]:
        for file in self._files():
            name = os.path.relpath(file, self.folder)
            for number, values in enumerate(_rows(file)):
                yield Row(f"{name} row {number}", values)

    def _files(self) -> list[str]:
        if found := self.files:
            return found
        raise DataError(f"{self.path}: no *.parquet files")

    def _has_records(self) -> bool:
        """Whether the first file has the columns of example records, of which the study says nothing else."""
        if self.columns or self.answers or self.name:
            return False
        import pyarrow as pa
        import pyarrow.parquet as pq

        from reassess.sources.rows import IMAGE, IMAGES, OPTIONAL, SCHEMA

        file = self._files()[0]
        try:
            there = set(pq.read_schema(file).names)
            return {*SCHEMA.names} - {IMAGES, *OPTIONAL} <= there and bool(there & {IMAGE, IMAGES})
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file}: not a readable Parquet file ({error})") from None

    def _records(self) -> Iterator[Example | PutAside]:
        from reassess.sources.rows import IMAGES, example

        for file in self._files():
            name = os.path.relpath(file, self.folder)
            for number, row in enumerate(_typed_rows(file)):
                place = f"{name} row {number}"
                try:
                    if wrong := next((key for key, value in row.items() if isinstance(value, Unreadable)), None):
                        row = {key: None if isinstance(value, Unreadable) else value for key, value in row.items()}
                        raise RowError("a value that cannot be read", wrong)
                    for key in ("options", "rationales"):
                        if None in (row[key] or ()):
                            raise RowError(f"{key} has an empty value", key)
                    find = functools.partial(self.picture, place=place)
                    images = pictures.pictures(row[IMAGES], IMAGES, find)
                except RowError as error:
                    yield PutAside(row["id"] or place, row["source"] or "", error.reason, error.column)
                    continue
                yield example({**row, IMAGES: [{"bytes": image} for image in images]})


def files_below(path: str) -> list[str]:
    """Return a file itself, or the Parquet files of a directory in the order of their names.

    Hidden files and directories and those that begin with `_` are left out, as pyarrow does, and the results of the
    study, which may lie inside.
    """
    if not Path(path).is_dir():
        return [path]
    found: list[str] = []
    results = Path(RESULTS).resolve()
    for folder, folders, files in os.walk(path):
        folders[:] = [name for name in folders if _is_data(name) and (Path(folder) / name).resolve() != results]
        found += [str(Path(folder) / name) for name in files if _is_data(name) and name.endswith(".parquet")]
    return sorted(found)


def _is_data(name: str) -> bool:
    return not name.startswith((".", "_"))


def _rows(file: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file with all of its columns, a few at a time. Raises DataError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False) as opened:
            _check_names(opened.schema_arrow.names, file)
            labels = labels_of(opened.schema_arrow)
            for batch in opened.iter_batches(ROWS):
                yield from plain_rows(pa.Table.from_batches([batch]), labels)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: not a readable Parquet file ({error})") from None


def plain_rows(table: Any, labels: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Return the rows of an Arrow table.

    Args:
        table: what is in memory of the rows.
        labels: by column, the names behind whole numbers.
    """
    import pyarrow as pa

    for index, field in enumerate(table.schema):
        if field.type in (pa.float16(), pa.float32()):
            # By its shortest spelling, 0.1 stays 0.1.
            column = table[field.name].cast(pa.float32()).cast(pa.string()).cast(pa.float64())
            table = table.set_column(index, field.name, column)
    rows = py_rows(table)
    for row in rows:
        for column, names in labels.items():
            number = row[column]
            if isinstance(number, int):
                row[column] = names[number] if 0 <= number < len(names) else None
    return rows


def py_rows(table: Any) -> list[dict[str, Any]]:
    """Return the rows of an Arrow table as Python has them; of a cell that is no value `Unreadable`."""
    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    # Text that is not UTF-8, and dates that Python has not: one such cell is one row's.
    except (ValueError, OverflowError):
        columns = {name: [_cell(value) for value in table[name]] for name in table.schema.names}
        return [{name: column[index] for name, column in columns.items()} for index in range(len(table))]
    return rows


def _cell(value: Any) -> Any:
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        return Unreadable()


def labels_of(schema: Any) -> dict[str, list[str]]:
    """Return the names behind columns of whole numbers, which `datasets.ClassLabel` writes beside them."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: feature["names"]
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and column in schema.names
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _check_names(there: list[str], file: str) -> None:
    twice = sorted({name for name in there if there.count(name) > 1})
    if twice:
        raise DataError(f"{file}: columns that stand twice: {', '.join(twice)}")


def _typed_rows(file: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file with the columns of an example record, a few of a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from reassess.sources.rows import IMAGE, IMAGES, OPTIONAL, SCHEMA

    schema = pa.schema(list(SCHEMA))
    try:
        with pq.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False) as opened:
            there = opened.schema_arrow.names
            _check_names(there, file)
            is_single = IMAGE in there and IMAGES not in there
            names = [IMAGE if is_single and name == IMAGES else name for name in schema.names]
            missing = [name for name in names if name not in (*there, *OPTIONAL)]
            if IMAGE in there and IMAGES in there:
                raise DataError(f"{file}: columns {IMAGE} and {IMAGES}: give one of them")
            if missing:
                raise DataError(f"{file}: columns missing: {', '.join(missing)}; expected {', '.join(schema.names)}")
            for batch in opened.iter_batches(ROWS, columns=[name for name in names if name in there]):
                table = pa.Table.from_batches([batch])
                if is_single:
                    table = table.append_column(IMAGES, _listed(table[IMAGE]))
                for name in OPTIONAL:
                    if name not in there:
                        table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
                try:
                    rows = py_rows(table.select(schema.names).cast(schema))
                except (pa.ArrowException, ValueError) as error:
                    raise DataError(f"{file}: columns are not of the types of an example record ({error})") from None
                yield from rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: not a readable Parquet file ({error})") from None


def _listed(images: Any) -> Any:
    """Return a column of images as a column of lists of at most one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = images.combine_chunks()
    there = column.is_valid()
    if pa.types.is_struct(column.type):
        # What was null comes from some writers as a struct of nulls.
        there = pc.and_(there, functools.reduce(pc.or_, (field.is_valid() for field in column.flatten())))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(there.cast(pa.int32()))])
    return pa.ListArray.from_arrays(offsets, column.filter(there))
