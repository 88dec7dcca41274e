"""The rows of an opened data file, whatever form it has: Parquet, Arrow, JSON lines, a JSON list, CSV or TSV."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from reassess.example import DataError

# Rows that are in memory at once: images are large.
ROWS = 32
# Bytes read at once: without a limit a column of a whole row group is, and many files have one row group. With
# `pre_buffer`, pyarrow's default, it would keep the whole file until its end.
BUFFER = 2**20
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


def read(opened: BinaryIO, name: str) -> Iterator[Found]:
    """Yield the rows of a file, a few in memory at a time.

    Args:
        opened: the file; of Parquet one that can seek.
        name: its name, by which its form is known and errors name it.

    Raises:
        DataError: it is of another form, or damaged as a whole.
    """
    import pyarrow as pa

    form = format_of(name)
    if not form:
        raise DataError(f"{name}: not a data file; those that are read end in {', '.join(FORMATS)}")
    reader = {".parquet": _parquet, ".arrow": _arrow, ".json": _json, ".csv": _cells, ".tsv": _cells}.get(form, _lines)
    try:
        source = gzip.GzipFile(fileobj=opened) if name.endswith(".gz") else opened
        yield from reader(source, form)  # type: ignore[arg-type]
    except (pa.ArrowException, csv.Error, UnicodeDecodeError, EOFError, gzip.BadGzipFile, _DamagedError) as error:
        raise DataError(f"{name}: not a readable {NAMES[form]} file ({error})") from None


class _DamagedError(Exception):
    """A file is not what its name says."""


def _parquet(opened: BinaryIO, _: str) -> Iterator[Found]:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(opened, buffer_size=BUFFER, pre_buffer=False) as parquet:
            for batch in parquet.iter_batches(ROWS, use_threads=False):
                yield from batch.to_pylist()
    except OSError as error:
        # What pyarrow says of damaged pages; an error of the disk has a number.
        if error.errno is not None:
            raise
        raise _DamagedError(str(error)) from None


def _arrow(opened: BinaryIO, _: str) -> Iterator[Found]:
    import pyarrow as pa

    is_file = opened.read(6) == b"ARROW1"
    opened.seek(0)
    # `datasets` writes streams.
    with pa.ipc.open_file(opened) if is_file else pa.ipc.open_stream(opened) as reader:
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches)) if is_file else reader
        for batch in batches:
            for start in range(0, batch.num_rows, ROWS):
                yield from batch.slice(start, ROWS).to_pylist()


def _lines(opened: BinaryIO, _: str) -> Iterator[Found]:
    for number, line in enumerate(opened):
        text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 0 else line.strip()
        if text:
            try:
                yield _object(json.loads(text))
            except (ValueError, RecursionError):
                yield "not JSON"


def _object(value: Any) -> Found:
    return value if isinstance(value, dict) else "not a JSON object"


def _json(opened: BinaryIO, form: str) -> Iterator[Found]:
    """Yield the rows of a JSON list, or of JSON lines, which are often called `.json` as well."""
    start = opened.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    opened.seek(0)
    if not start.startswith(b"["):
        yield from _lines(opened, form)
        return
    yield from _elements(io.TextIOWrapper(opened, encoding="utf-8-sig"))


def _elements(text: io.TextIOWrapper) -> Iterator[Found]:
    """Yield the elements of a JSON list, holding one and what is read with it."""
    decoder, blank = json.JSONDecoder(), re.compile(r"[\s,]*")
    buffer, size = text.read(BUFFER), BUFFER
    at = buffer.index("[") + 1
    while True:
        match = blank.match(buffer, at)
        at = match.end() if match else at
        if buffer.startswith("]", at):
            return
        try:
            value, end = decoder.raw_decode(buffer, at)
            # What stands at the end may go on.
            is_whole = end < len(buffer)
        except (ValueError, RecursionError):
            is_whole = False
        if is_whole:
            yield _object(value)
            at, size = end, BUFFER
        elif more := text.read(size):
            # An element that is longer than what is read is not read over and over.
            buffer, at, size = buffer[at:] + more, 0, size * 2
        else:
            raise _DamagedError("the list does not end, or holds what is not JSON")


def _cells(opened: BinaryIO, form: str) -> Iterator[Found]:
    # Pictures in base64 are longer than the default limit of a cell.
    csv.field_size_limit(2**31 - 1)
    text = io.TextIOWrapper(opened, encoding="utf-8-sig", newline="")
    rows = csv.reader(text, delimiter="\t" if form == ".tsv" else ",")
    header = next(rows, None)
    for cells in rows:
        if header is not None and cells:
            yield dict(zip(header, cells, strict=True)) if len(cells) == len(header) else "not as many cells as columns"
