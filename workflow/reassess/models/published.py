"""What a directory of checkpoints shows: links to the finished one of one identity, beside those that are set aside.

Every finished checkpoint lies whole in `checkpoints/{identity}/`: its model, what belongs to it, and its record in
`finished.json`. One of another identity is another directory, so a changed option destroys nothing, and one that is
taken back is found.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from reassess.models.load import fingerprint
from reassess.work import records, turns

MODEL = "model"
CHECKPOINTS = "checkpoints"


def publish(root: Path, file: str | Path, record: dict[str, Any], names: tuple[str, ...] = (MODEL,)) -> None:
    """Show a finished checkpoint, and write its record last.

    Args:
        root: its directory, `checkpoints/{identity}` beside the record.
        file: the record.
        record: what it says.
        names: what of the directory is shown, under the same names.
    """
    directory = Path(file).parent
    Path(file).unlink(missing_ok=True)
    for name in names:
        _link(directory / name, root / name)
    records.write(file, record)


def is_shown(root: Path, file: str | Path) -> bool:
    """Whether a checkpoint is the one that its directory shows, or last showed."""
    link = Path(file).parent / MODEL
    if link.is_symlink():
        return (link.parent / link.readlink()).parent.resolve() == root.resolve()
    # A copy of results/ may have a directory in place of the link.
    return link.is_dir() and _print(link) == _print(root / MODEL)


def _print(model: Path) -> str | None:
    """Return the fingerprint of a model, None where there is none."""
    try:
        return fingerprint(model)
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_finished(root: Path, rule: str, file: str) -> dict[str, Any] | None:
    """Return the record of a finished checkpoint that is not to be made anew, None where it is to be.

    One that was set aside is taken back whoever asks: `-R` is about what is there.

    Raises:
        OSError: it is there, or may be, and cannot be read.
    """
    found = turns.read_finished(root, rule, file, is_set_aside=not is_shown(root, file))
    run: dict[str, Any] | None = None if found is None else found.get("run")
    return run if isinstance(run, dict) and isinstance(run.get("fingerprint"), str) else None


def finish(root: Path, record: dict[str, Any]) -> None:
    """Note that a checkpoint is finished, now."""
    records.write(root / turns.FINISHED, {"time": time.time(), "run": record})


def take_back(root: Path, file: str | Path, record: dict[str, Any], names: tuple[str, ...] = (MODEL,)) -> None:
    """Show a checkpoint that was finished before (see `publish`).

    One that was set aside counts as finished now: a job that is tried again finds it shown, and shall not take that for
    what it was to make anew.
    """
    if not is_shown(root, file):
        # Somebody may protect what is set aside.
        with suppress(PermissionError):
            finish(root, record)
    publish(root, file, record, names)


def unfinished(folder: Path) -> Iterator[Path]:
    """Yield the directories in `checkpoints` of which it is certain that they never finished."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink() and _is_unfinished(path):
            yield path


def _is_unfinished(root: Path) -> bool:
    """Whether there is no record: of a file that cannot be looked at, `exists` may deny it."""
    try:
        return all(path.name != turns.FINISHED for path in root.iterdir())
    except OSError:
        return False


def put(aside: Path, path: Path) -> None:
    """Move a directory, or a link to one, to where another may be."""
    remove(path)
    aside.replace(path)
    records.sync(path.parent)


def remove(path: Path) -> None:
    """Remove a directory, a link to one, or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _link(link: Path, target: Path) -> None:
    """Have a link point to a file or directory beside it, and be gone where there is none."""
    if not link.is_symlink():
        # A copy of results/ may have directories in place of links.
        _keep(link, target.parent.parent)
        remove(link)
    if not target.exists():
        remove(link)
        return
    aside = link.with_name(f".{link.name}.tmp")
    remove(aside)
    # Relative, so that results/ can be moved.
    aside.symlink_to(os.path.relpath(target, link.parent))
    aside.replace(link)


def _keep(there: Path, runs: Path) -> None:
    """Move a model or adapter in place of a link out of the way, unless it is a copy of a finished one's."""
    found = _print(there)
    if found is None or any(_print(path.parent / there.name) == found for path in runs.glob(f"*/{turns.FINISHED}")):
        return
    kept = there.with_name(f"{there.name}-{found[:8]}")
    remove(kept)
    there.replace(kept)
    print(f"{there}: a finished {there.name} whose run is not in {runs}; moved to {kept}", flush=True)
