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
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, get_args

from reassess.engines.base import FinishReason, Response


class StoreError(ValueError):
    """A damaged store file: the message names file and line."""


def key(parts: Mapping[str, Any]) -> str:
    """Return the SHA-256 over the canonical JSON of everything that a response depends on."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class Store:
    """Responses by key. Reads all files of a directory at the start; appends to one file of its own.

    A last line without its newline is what a killed writer left (or what a living one is writing): it does not count,
    and its response is generated again. A failed response is kept for the record but not offered for reuse.

    Args:
        directory: `paths.store(fingerprint)`; made when the first response is appended.

    Raises:
        StoreError: a complete line is not a response.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.torn = 0
        self._file: BinaryIO | None = None
        self._responses: dict[str, Response] = {}
        for path in sorted(self.directory.glob("*.jsonl")):
            for name, response in self._read(path):
                self._remember(name, response)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._responses)

    def get(self, name: str) -> Response | None:
        """Return the response of a key, None where there is none yet or it failed."""
        return self._responses.get(name)

    def append(self, responses: Mapping[str, Response]) -> None:
        """Add finished responses; when this returns they are on disk."""
        if not responses:
            return
        if self._file is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            # The time sorts files, so that the earliest of several responses to one key is the one that counts.
            name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}.jsonl"
            self._file = (self.directory / name).open("xb")
        lines = [
            json.dumps({"key": name, **response._asdict()}, ensure_ascii=False) + "\n"
            for name, response in responses.items()
        ]
        self._file.write("".join(lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        for name, response in responses.items():
            self._remember(name, response)

    def close(self) -> None:
        """Close the file; what was appended stays readable through `get`."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _remember(self, name: str, response: Response) -> None:
        if response.finish_reason != "error":
            self._responses.setdefault(name, response)

    def _read(self, path: Path) -> Iterator[tuple[str, Response]]:
        *lines, rest = path.read_bytes().split(b"\n")
        self.torn += bool(rest)
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                name, response = row.pop("key"), Response(**row)
                valid = isinstance(name, str) and isinstance(response.response, str)
                valid = valid and response.finish_reason in get_args(FinishReason)
            except (ValueError, TypeError, KeyError, AttributeError):
                valid = False
            if not valid:
                raise StoreError(
                    f"{path}, line {number}: not a stored response; delete this line and run again, "
                    "what it held is generated again"
                )
            yield name, response
