"""What a run's directory shows: links to the finished run of one identity (see `reassess.models.published`)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from reassess.models import published
from reassess.models.published import MODEL, finish, is_shown, put, read_finished, remove
from reassess.train import checkpoints

__all__ = [
    "ADAPTER",
    "MODEL",
    "PUT_ASIDE",
    "clean",
    "finish",
    "is_shown",
    "links_to",
    "publish",
    "put",
    "read_finished",
    "remove",
]

PUT_ASIDE = "put_aside.jsonl"
# What PEFT has trained, before it was merged into the model.
ADAPTER = "adapter"
# What stands in a run's directory under the same name.
SHOWN = (MODEL, ADAPTER, checkpoints.METRICS, PUT_ASIDE)


def publish(root: Path, file: str | Path, record: dict[str, Any]) -> None:
    """Show a finished run, and write its record last.

    Args:
        root: its directory, `checkpoints/{identity}` beside the record.
        file: the record.
        record: what it says.
    """
    published.publish(root, file, record, SHOWN)


def links_to(root: Path, path: Path) -> bool:
    """Whether the model of a run is a link to a checkpoint."""
    return (root / MODEL).resolve() == path.resolve()


def take_back(root: Path, file: str | Path, record: dict[str, Any]) -> None:
    """Show a run that was finished before."""
    published.take_back(root, file, record, SHOWN)


def clean(root: Path) -> None:
    """Remove what a finished run no longer needs: its checkpoints, and runs of other identities that never finished."""
    checkpoints.clean(root)
    for other in published.unfinished(root.parent):
        if other != root:
            shutil.rmtree(other)
