"""Reads the JSON records that jobs leave for each other, and for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class RecordError(ValueError):
    """A record of a job is broken: the message names it and says what to do."""


def read(path: Path, **kinds: type) -> dict[str, Any] | None:
    """Return a record, None where there is none.

    Raises:
        RecordError: it cannot be read, or a field of `kinds` is not there or not of that type.
    """
    if not path.exists():
        return None
    todo = "delete it and run the study again"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecordError(f"{path}: cannot be read ({error}); {todo}") from None
    if not isinstance(found, dict):
        raise RecordError(f"{path}: is no record; {todo}")
    for name, kind in kinds.items():
        if not isinstance(found.get(name), kind):
            raise RecordError(f"{path}: has no `{name}`; {todo}")
    return found
