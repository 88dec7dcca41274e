"""The rows of an opened data file, whatever form it has: Parquet, Arrow, JSON lines, a JSON list, CSV or TSV."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from reassess.example import DataError
from reassess.sources.json_files import begins_array, elements, lines, parsed
from reassess.sources.parquet import BUFFER, labels_of, plain_rows, py_rows

# Rows that are in memory at once: images are large.
ROWS = 32
NAMES = {
    ".parquet": "Parquet",
    ".arrow": "Arrow",
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
    ".json": "JSON",
    ".csv": "CSV",
    ".tsv": "TSV",
}
FORMATS = tuple(NAMES)

# A row, or the reason for which what stands there is none.
Found = dict[str, Any] | str


def format_of(name: str) -> str:
    """Return the form of a file by its name, one of `FORMATS`, else empty; text may be compressed (`.gz`)."""
    suffix = PurePosixPath(name.removesuffix(".gz")).suffix.lower()
    if suffix not in FORMATS or (name.endswith(".gz") and suffix in (".parquet", ".arrow")):
        return ""
    return suffix


def read(opened: BinaryIO, name: str, labels: bool = False) -> Iterator[Found]:
    """Yield the rows of a file, a few in memory at a time.

    Args:
        opened: the file, which can seek.
        name: its name, by which its form is known and errors name it.
        labels: whether a class label is its name in place of its number.

    Raises:
        DataError: it is of another form, or damaged as a whole.
    """
    import pyarrow as pa

    form = format_of(name)
    if not form:
        raise DataError(f"{name}: not a data file; those that are read end in {', '.join(FORMATS)}")
    source = cast(BinaryIO, gzip.GzipFile(fileobj=opened)) if name.endswith(".gz") else opened
    try:
        if form in (".parquet", ".arrow"):
            yield from _columns(_parquet(source) if form == ".parquet" else _arrow(source), labels)
        elif form in (".csv", ".tsv"):
            yield from _cells(source, "\t" if form == ".tsv" else ",")
        else:
            yield from _json(source) if form == ".json" else _lines(source)
    except (pa.ArrowException, csv.Error, UnicodeDecodeError, EOFError, gzip.BadGzipFile, _DamagedError) as error:
        raise DataError(f"{name}: not a readable {NAMES[form]} file ({error})") from None


class _DamagedError(Exception):
    """A file is not what its name says."""


def _columns(tables: Iterator[Any], labels: bool) -> Iterator[Found]:
    for table in tables:
        yield from plain_rows(table, labels_of(table.schema)) if labels else py_rows(table)


def _parquet(opened: BinaryIO) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(opened, buffer_size=BUFFER, pre_buffer=False) as parquet:
            for batch in parquet.iter_batches(ROWS, use_threads=False):
                yield pa.Table.from_batches([batch])
    except OSError as error:
        # What pyarrow says of damaged pages; an error of the disk has a number.
        if error.errno is not None:
            raise
        raise _DamagedError(str(error)) from None


def _arrow(opened: BinaryIO) -> Iterator[Any]:
    import pyarrow as pa

    is_file = opened.read(6) == b"ARROW1"
    opened.seek(0)
    # `datasets` writes streams.
    with pa.ipc.open_file(opened) if is_file else pa.ipc.open_stream(opened) as reader:
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches)) if is_file else reader
        for batch in batches:
            yield from (pa.Table.from_batches([batch.slice(at, ROWS)]) for at in range(0, batch.num_rows, ROWS))


def _lines(opened: BinaryIO) -> Iterator[Found]:
    for text in filter(None, lines(opened)):
        try:
            yield _object(parsed(text))
        except ValueError:
            yield "not JSON"


def _object(value: Any) -> Found:
    return value if isinstance(value, dict) else "not a JSON object"


def _json(opened: BinaryIO) -> Iterator[Found]:
    """Yield the rows of a JSON list, or of JSON lines, which are often called `.json` as well."""
    if not begins_array(opened):
        yield from _lines(opened)
        return
    try:
        for value in elements(opened):
            yield _object(value)
    except ValueError as error:
        raise _DamagedError(str(error)) from None


def _cells(opened: BinaryIO, delimiter: str) -> Iterator[Found]:
    # Pictures in base64 are longer than the default limit of a cell.
    csv.field_size_limit(2**31 - 1)
    text = io.TextIOWrapper(opened, encoding="utf-8-sig", newline="")
    rows = csv.reader(text, delimiter=delimiter)
    header = next(rows, None)
    for cells in rows:
        if header is not None and cells:
            yield dict(zip(header, cells, strict=True)) if len(cells) == len(header) else "not as many cells as columns"
