"""The append-only store of responses: what one checkpoint has said, whatever study or suite asked for it.

A response is on disk within about a second of being finished, so a killed evaluation continues where it stopped. Every
writer has a file of its own and readers read all files of the directory, so concurrent jobs need no lock (locks are
unreliable on the network file systems of clusters) and no job ever cuts the line that another one is still writing.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, get_args

from reassess.engines.base import FinishReason, Response

# Longer than any file: 256 TiB.
_LONGEST = 2**48
# Files that are open for reading at once: far fewer than a process may have (1,024 on most machines).
_OPEN_FILES = 128


class StoreError(ValueError):
    """A damaged store file: the message names file and line."""


def key(parts: Mapping[str, Any]) -> str:
    """Return the SHA-256 over the canonical JSON of everything that a response depends on."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class Store:
    """Responses by key. Reads all files of a directory at the start; appends to one file of its own.

    Only where each response stands is in memory, about 200 bytes; `get` reads it again. A last line without its newline
    is what a killed writer left (or what a living one is writing): it does not count, and its response is generated
    again. A failed response is kept for the record but not offered for reuse.

    Args:
        directory: `paths.store(fingerprint)`; made when the first response is appended.

    Raises:
        StoreError: a complete line is not a response.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.torn = 0
        self._file: BinaryIO | None = None
        # By the digest of a key, the place of its line: the number of its file times `_LONGEST`, and its first byte.
        self._places: dict[bytes, int] = {}
        self._paths: list[Path] = []
        self._open: dict[int, BinaryIO] = {}
        for path in sorted(self.directory.glob("*.jsonl")):
            self._paths.append(path)
            self._index(path)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: str) -> bool:
        return _digest(name) in self._places

    def get(self, name: str) -> Response | None:
        """Return the response of a key, None where there is none yet or it failed.

        Raises:
            StoreError: its line is another one than when the store was opened.
        """
        place = self._places.get(_digest(name))
        if place is None:
            return None
        number, start = divmod(place, _LONGEST)
        file = self._reader(number)
        file.seek(start)
        said = _parsed(file.readline())
        if said is None or said[0] != name:
            file.seek(0)
            raise StoreError(_damage(self._paths[number], file.read(start).count(b"\n") + 1))
        return said[1]

    def append(self, responses: Mapping[str, Response]) -> None:
        """Add finished responses; when this returns they are on disk."""
        if not responses:
            return
        if self._file is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            # The time sorts files, so that the earliest of several responses to one key is the one that counts.
            name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}.jsonl"
            self._file = (self.directory / name).open("xb")
            self._paths.append(self.directory / name)
        start = self._file.tell()
        lines = [
            (json.dumps({"key": name, **response._asdict()}, ensure_ascii=False) + "\n").encode()
            for name, response in responses.items()
        ]
        self._file.write(b"".join(lines))
        self._file.flush()
        os.fsync(self._file.fileno())
        for (name, response), line in zip(responses.items(), lines, strict=True):
            self._remember(name, response, start)
            start += len(line)

    def close(self) -> None:
        """Close the files; what was appended stays readable through `get`, which opens them again."""
        if self._file is not None:
            self._file.close()
            self._file = None
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _reader(self, number: int) -> BinaryIO:
        """Return the open file of a number."""
        if number not in self._open:
            if len(self._open) == _OPEN_FILES:
                self._open.pop(next(iter(self._open))).close()
            self._open[number] = self._paths[number].open("rb")
        return self._open[number]

    def _remember(self, name: str, response: Response, start: int) -> None:
        """Note where a response stands in the newest file, unless there was one before."""
        if response.finish_reason != "error":
            self._places.setdefault(_digest(name), (len(self._paths) - 1) * _LONGEST + start)

    def _index(self, path: Path) -> None:
        start = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    # Its writer may be adding to it: what comes next is not a line of its own.
                    self.torn += 1
                    break
                said = _parsed(line)
                if said is None:
                    raise StoreError(_damage(path, number))
                self._remember(*said, start)
                start += len(line)


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _parsed(line: bytes) -> tuple[str, Response] | None:
    """Return key and response of a line, None where it is not a stored response."""
    try:
        row = json.loads(line)
        name, response = row.pop("key"), Response(**row)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    valid = isinstance(name, str) and isinstance(response.response, str)
    return (name, response) if valid and response.finish_reason in get_args(FinishReason) else None


def _damage(path: Path, number: int) -> str:
    return (
        f"{path}, line {number}: not a stored response; delete this line and run again, what it held is generated again"
    )
