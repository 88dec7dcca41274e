"""The values of a measure that is being taken, on the disk within about a second of being found.

One file beside the record, with a line for each example: its job holds a lock, so that nobody else writes. An attempt
goes on with what an earlier one has left, if that is of the same checkpoint, examples and engine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np


class Values:
    """Values by column and place of an example.

    Args:
        file: where they are kept until the record is written.
        identity: what they depend on; a file of another identity is begun anew.
        columns: their names.
        n: how many examples there are.

    Attributes:
        columns: by column a value for each example, NaN where there is none yet.
    """

    def __init__(self, file: Path, identity: dict[str, Any], columns: Sequence[str], n: int) -> None:
        self.columns = {name: np.full(n, np.nan) for name in columns}
        self._file = file
        self._head = (json.dumps({"identity": identity, "columns": list(columns)}) + "\n").encode()

    def __enter__(self) -> Values:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        whole = self._read()
        self._handle = self._file.open("r+b" if whole else "wb")
        self._handle.seek(whole)
        # What a killed attempt has begun to write.
        self._handle.truncate()
        if not whole:
            self._handle.write(self._head)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.close()

    def _read(self) -> int:
        """Read what is kept, and return the bytes of it that are whole: none of it where it is of something else."""
        if not self._file.exists():
            return 0
        with self._file.open("rb") as handle:
            if handle.readline() != self._head:
                return 0
            whole = handle.tell()
            for line in handle:
                if not line.endswith(b"\n"):
                    break
                try:
                    place, *found = json.loads(line)
                    for name, value in zip(self.columns, found, strict=True):
                        self.columns[name][place] = value
                except (ValueError, TypeError, IndexError):
                    break
                whole += len(line)
        return whole

    def missing(self) -> list[int]:
        """Return the places of the examples that have no value yet."""
        (first, *_) = self.columns.values()
        return [int(place) for place in np.flatnonzero(np.isnan(first))]

    def add(self, found: Mapping[int, Mapping[str, float]]) -> None:
        """Add values by place; when this returns they are on disk."""
        if not found:
            return
        lines = [
            json.dumps([place, *(values[name] for name in self.columns)]) + "\n" for place, values in found.items()
        ]
        self._handle.write("".join(lines).encode())
        self._handle.flush()
        os.fsync(self._handle.fileno())
        for place, values in found.items():
            for name, column in self.columns.items():
                column[place] = values[name]

    def remove(self) -> None:
        """Remove the file: all that it had is in the record and in the file of values now."""
        self._file.unlink(missing_ok=True)
