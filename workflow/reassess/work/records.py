"""The JSON records that jobs leave for each other, and for people: one reader, one writer, one hash."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class RecordError(ValueError):
    """A record of a job is broken: the message names it and says what to do."""


def read(path: str | Path, **kinds: type) -> dict[str, Any] | None:
    """Return a record, None where there is none.

    Raises:
        RecordError: it cannot be read, or a field of `kinds` is not there or not of that type.
    """
    file = Path(path)
    todo = "delete it and run the study again"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, OSError, RecursionError) as error:
        raise RecordError(f"{file}: cannot be read ({error}); {todo}") from None
    if not isinstance(found, dict):
        raise RecordError(f"{file}: is no record; {todo}")
    for name, kind in kinds.items():
        if not isinstance(found.get(name), kind):
            raise RecordError(f"{file}: has no `{name}`; {todo}")
    return found


def write(path: str | Path, record: dict[str, Any]) -> None:
    """Write a record aside, bring it to the disk and rename it, so that a reader never sees half of it."""
    _write(Path(path), json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def write_lines(path: str | Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write a JSON line for each row, as `write` does."""
    _write(Path(path), "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.tmp")
    with aside.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    aside.replace(file)


def sync(path: Path) -> None:
    """Have a file's content, or a directory's entries, reach the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def canonical(spec: dict[str, Any]) -> str:
    """Return JSON with sorted keys and no white space."""
    return json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(text: str) -> str:
    """Return the first eight hex digits of the SHA-256: the name of a checkpoint directory."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
