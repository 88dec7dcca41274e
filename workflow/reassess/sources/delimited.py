"""Rows of delimited text (CSV and TSV), one at a time, and how such a file is encoded."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from reassess.example import DataError, PutAside
from reassess.sources.base import Row

# Characters of one field: a picture in base64 is one, and so is a list of them. Behind a quote that nobody closed the
# rest of the file is one field, which must not fill the memory.
_FIELD = 2**28
_CHUNK = 2**20
_SAMPLE = 2**16
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# What Excel on Windows calls CSV; it has all of Latin-1 that one can see.
_WINDOWS = "cp1252"
# So many letters beyond ASCII in a row are of no western language: they are of GBK, Shift-JIS or Cyrillic.
_OTHER_SCRIPT = re.compile(rb"[\x80-\xff]{4}")
# Accents and quotation marks as UTF-8 has them, which would be "Ã©" and "â€™" in Windows-1252: files were joined.
_SOME_UTF8 = re.compile(rb"(?<![\x80-\xff])(?:\xc3[\x80-\xbf]|\xe2\x80[\x80-\xbf])(?![\x80-\xff])")

# Errors of csv behind which the rows that follow are lost.
_FATAL = ("unexpected end", "field larger")

RAGGED = "not as many fields as there are columns"
QUOTED = "a quote inside a field is not doubled"


class Format(NamedTuple):
    """How a file is written.

    Attributes:
        encoding: as Python names it.
        delimiter: what parts fields.
    """

    encoding: str
    delimiter: str


def encoding_of(file: Path) -> str:
    """Return the encoding of a text file: what its byte order mark says, else UTF-8, else Windows-1252.

    Raises:
        DataError: it is none of these.
    """
    with file.open("rb") as handle:
        begin = handle.read(4)
    for mark, name in _MARKS.items():
        if begin.startswith(mark):
            return name
    if _is_all(file, "utf-8"):
        return "utf-8"
    if _has(file, _SOME_UTF8):
        raise DataError(f"{file}: some of its lines are UTF-8 and others are not; save it as UTF-8")
    if _is_all(file, _WINDOWS) and not _has(file, _OTHER_SCRIPT):
        print(f"{file}: not UTF-8; read as Windows-1252 (Latin-1). If letters come out wrong, save it as UTF-8")
        return _WINDOWS
    raise DataError(f"{file}: neither UTF-8 nor Windows-1252 (Latin-1); save it as UTF-8")


def _is_all(file: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with file.open("rb") as handle:
        try:
            while chunk := handle.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _has(file: Path, pattern: re.Pattern[bytes]) -> bool:
    with file.open("rb") as handle:
        return any(pattern.search(line) for line in handle)


def format_of(file: Path) -> Format:
    """Return how a CSV file is written: of comma and semicolon the one that parts its header into more fields.

    Raises:
        DataError: it cannot be read.
    """
    try:
        encoding = encoding_of(file)
        with file.open(encoding=encoding, newline="") as handle:
            header = handle.read(_SAMPLE)
    except (OSError, UnicodeError) as error:
        raise DataError(f"{file}: {error}") from None
    counts = {delimiter: len(next(csv.reader([*_first(header)], delimiter=delimiter), [])) for delimiter in ",;"}
    return Format(encoding, max(counts, key=counts.__getitem__))


def _first(sample: str) -> list[str]:
    return next(([line] for line in sample.splitlines() if line.strip()), [])


def rows(lines: Iterable[str], delimiter: str, name: str, file: Path) -> Iterator[Row | PutAside]:
    """Yield the rows below a header.

    Args:
        lines: of the file, with their ends.
        delimiter: what parts fields.
        name: what the examples are called by.
        file: for messages.

    Raises:
        DataError: the header is not one, a quote is never closed, or the text is not of its encoding.
    """
    reader = _reader(lines, delimiter)
    columns: list[str] | None = None
    while True:
        place = f"{file.name}:{reader.line_num + 1}"
        try:
            fields = next(reader)
        except StopIteration:
            return
        except UnicodeError as error:
            raise DataError(f"{place}: {error}") from None
        except csv.Error as error:
            if columns is None or any(words in str(error) for words in _FATAL):
                raise DataError(f"{file}: the row that begins in line {place.rpartition(':')[2]}: {error}") from None
            yield PutAside(place, name, QUOTED)
            continue
        if not any(field.strip() for field in fields):
            continue
        if columns is None:
            columns = _header(fields, file)
        elif len(fields) != len(columns):
            yield PutAside(place, name, RAGGED)
        else:
            yield Row(place, dict(zip(columns, fields, strict=True)))


def records(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """Yield the fields of each line that has any, the header's among them. Raises csv.Error."""
    return (fields for fields in _reader(lines, delimiter) if any(field.strip() for field in fields))


def _reader(lines: Iterable[str], delimiter: str) -> Any:
    csv.field_size_limit(_FIELD)
    return csv.reader(lines, delimiter=delimiter, strict=True)


def _header(fields: list[str], file: Path) -> list[str]:
    columns = [field.strip() for field in fields]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise DataError(f"{file}: columns that stand twice: {', '.join(map(repr, twice))}")
    return columns
