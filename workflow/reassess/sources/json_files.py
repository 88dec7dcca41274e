"""JSON as files have it: lines, or the elements of one array, one at a time; of an object each key stands once."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from reassess.sources.values import Unreadable

_CHUNK = 2**16
# Characters of one element, as of one field of a table: behind a quote that nobody closed the rest of the file is one.
_ELEMENT = 2**28
_SPACE = re.compile(r"\s*")
# Characters in which the first one of a file stands that is no white space.
_BEGIN = 1024


def lines(handle: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file without white space at their ends, empty ones among them."""
    for number, line in enumerate(handle):
        yield (line if number else line.removeprefix(codecs.BOM_UTF8)).strip()


def begins_array(handle: BinaryIO) -> bool:
    """Return whether a file, which is at its beginning and stays there, holds an array."""
    begin = handle.read(_BEGIN).removeprefix(codecs.BOM_UTF8).lstrip()
    handle.seek(0)
    return begin.startswith(b"[")


def parsed(text: bytes) -> Any:
    """Return what a line holds; of a key that stands twice in an object, with other values, `Unreadable`.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("more lists in lists than Python reads") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; what stands twice in it, with other values, is `Unreadable`."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = {key for key, value in pairs if found[key] != value}
        found |= dict.fromkeys(twice, Unreadable("the key stands twice, with two values"))
    return found


def elements(handle: BinaryIO) -> Iterator[Any]:
    """Yield the elements, with NaN, numbers of any size and halves of surrogate pairs as Python's `json` has them.

    Raises:
        ValueError: it is not JSON, or more follows the array.
    """
    text = _Text(handle)
    if text.mark() != "[":
        raise ValueError("it does not begin with [")
    text.end += 1
    separator = ""
    while (mark := text.mark()) != "]" or separator:
        if separator or text.is_first:
            yield text.value()
            separator = ""
        elif mark == ",":
            text.end += 1
            separator = mark
        else:
            raise ValueError("no comma between two elements" if mark else "it ends before its ]")
    text.end += 1
    if text.mark():
        raise ValueError("more follows its ]")


class _Text:
    """What is in memory of a file."""

    def __init__(self, handle: BinaryIO) -> None:
        self._reader = codecs.getreader("utf-8-sig")(handle)
        self._decoder = json.JSONDecoder(object_pairs_hook=_unique)
        self._text = ""
        self.end = 0
        """Where what was taken ends."""
        self.is_first = True

    def mark(self) -> str:
        """Return the next character that is no white space, without taking it; empty at the end of the file."""
        while (end := self._skip()) == len(self._text) and self._more(_CHUNK):
            pass
        self.end = end
        return self._text[end : end + 1]

    def value(self) -> Any:
        """Return the value that begins here. Raises ValueError."""
        size = _CHUNK
        while True:
            try:
                found, end = self._decoder.raw_decode(self._text, self.end)
            except json.JSONDecodeError as error:
                if size > _ELEMENT or not self._more(size):
                    raise ValueError(error.msg) from None
            except RecursionError:
                raise ValueError("more lists in lists than Python reads") from None
            else:
                # A number may go on.
                if end < len(self._text) or not self._more(size):
                    self.end, self.is_first = end, False
                    return found
            # What was read is read again, so that twice as much comes each time.
            size *= 2

    def _skip(self) -> int:
        found = _SPACE.match(self._text, self.end)
        return found.end() if found else self.end

    def _more(self, size: int) -> bool:
        read = self._reader.read(size)
        self._text, self.end = self._text[self.end :] + read, 0
        return bool(read)
