"""Fetches models from a hub, at a pinned commit; what a killed or refused attempt has fetched is not fetched again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from reassess.models.files import ModelError
from reassess.study.models import Model
from reassess.work import records
from reassess.work.hub import why

# A checkpoint in another format (pickle) could run code when it is loaded.
FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
CODE = "*.py"
OFFLINE = "fetch it where it can, and give its directory as `path`"


def fetch(spec: Model, directory: Path) -> None:
    """Download a model and lay it out in `directory`, which is not there yet.

    What is fetched lies beside it (`fetched-*`) until `forget`: a model that is refused for want of an option need not
    be fetched again with that option.

    Raises:
        ModelError: it cannot be fetched; the message says what to do.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = [*FILES, CODE] if spec.trust_remote_code else FILES
    origin = records.canonical({"path": spec.path, "revision": spec.revision, "files": patterns})
    folder = directory.parent / f"fetched-{records.digest(origin)}"
    for other in _fetched(directory.parent):
        if other != folder:
            shutil.rmtree(other)
    # The client never takes up the half of a file that a kill has left.
    for half in folder.rglob("*.incomplete"):
        half.unlink()
    try:
        snapshot_download(
            str(spec.path),
            revision=spec.revision,
            allow_patterns=patterns,
            # Other forms of the same model (`original/`, `onnx/`) are as large once more.
            ignore_patterns=["*/*"],
            local_dir=folder,
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(f"{spec.path} at {spec.revision} cannot be fetched: {why(error, 'model', OFFLINE)}") from None
    directory.mkdir()
    for file in sorted(folder.iterdir()):
        if file.suffix == ".safetensors":
            _link(file, directory / file.name)
        elif file.is_file():
            shutil.copyfile(file, directory / file.name)


def _link(file: Path, to: Path) -> None:
    """Have a file stand in two places: nobody writes into weights, and two copies may not fit the disk."""
    try:
        to.hardlink_to(file)
    except OSError:
        # Not every file system has links.
        shutil.copyfile(file, to)


def forget(root: Path) -> None:
    """Remove what was fetched for a model that is made."""
    for folder in _fetched(root):
        shutil.rmtree(folder)


def _fetched(root: Path) -> Iterator[Path]:
    yield from root.glob("fetched-*")
