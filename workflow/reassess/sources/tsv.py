"""The tsv source: questions of your own in a file of tab-separated values, as VLMEvalKit has them."""

from __future__ import annotations

import codecs
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from reassess.example import DataError, PutAside
from reassess.sources import delimited
from reassess.sources.base import FileSource, Row
from reassess.sources.pictures import SHORT
from reassess.spec import RowsFile

# VLMEvalKit's columns of a row's name, and of its image.
_INDEX, _IMAGE = "index", "image"
# Rows that point at another row's image stand close together, often all at the same one.
_KEPT = 4


class TsvSource(FileSource):
    """Questions of your own in tab-separated values, as VLMEvalKit has them; images lie inside as base64."""

    kind: Literal["tsv"]
    """Read from tab-separated values."""
    path: RowsFile
    """A file with a header, in UTF-8, quoted as CSV is. The columns are VLMEvalKit's (`index`, `question`, `answer`,
    `image`, `A`, `B`, ..., `hint`, `category`, ...) or others. An `image` that is another row's `index` is that row's
    image."""

    @property
    def files(self) -> list[str]:
        return [self.path]

    def rows(self) -> Iterator[Row | PutAside]:
        file = Path(self.path)
        try:
            starts = self._starts()
            kept: Callable[[str], str] = functools.lru_cache(_KEPT)(lambda index: self._image_at(starts[index]))
            with file.open("rb") as handle:
                for row in delimited.rows(_Lines(handle, file), "\t", self.called, file):
                    if isinstance(row, Row) and len(stated := row.values.get(_IMAGE, "")) <= SHORT and stated in starts:
                        row.values[_IMAGE] = kept(stated)
                    yield row
        except OSError as error:
            raise DataError(f"{file}: {error.strerror}") from None

    def _starts(self) -> dict[str, int]:
        """Return by index the byte before each row with an image of its own; nothing where no row points at one."""
        file, starts, has_pointers = Path(self.path), dict[str, int](), False
        with file.open("rb") as handle:
            lines = _Lines(handle, file)
            begin = 0
            for row in delimited.rows(lines, "\t", self.called, file):
                if isinstance(row, Row) and {_INDEX, _IMAGE} <= row.values.keys():
                    if len(row.values[_IMAGE]) > SHORT:
                        starts.setdefault(row.values[_INDEX], begin)
                    else:
                        has_pointers = has_pointers or bool(row.values[_IMAGE])
                begin = lines.read
        return starts if has_pointers else {}

    def _image_at(self, start: int) -> str:
        """Return the image of the row that begins at a byte of the file; at its first byte the header begins."""
        file = Path(self.path)
        with file.open("rb") as handle:
            header = next(delimited.records(_Lines(handle, file), "\t"))
            handle.seek(start)
            found = delimited.records(_Lines(handle, file), "\t")
            fields = next(row for row in found if row != header)
        return fields[header.index(_IMAGE)]


class _Lines:
    """The lines of a file in UTF-8, and how many bytes of it were read. Raises DataError where it is not UTF-8."""

    def __init__(self, handle: BinaryIO, file: Path) -> None:
        self.read = 0
        self._handle = handle
        self._file = file

    def __iter__(self) -> Iterator[str]:
        for line in self._handle:
            text = line.removeprefix(codecs.BOM_UTF8) if not self.read else line
            self.read += len(line)
            try:
                yield text.decode()
            except UnicodeDecodeError:
                raise DataError(f"{self._file}: not UTF-8; save it as UTF-8") from None
