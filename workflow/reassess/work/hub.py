"""What the Hugging Face hub refused, in one line with what to do: for models and data sets alike."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def why(error: Exception, what: str, offline: str) -> str:
    """Return in one line why the hub gave nothing, and what to do.

    Args:
        error: what its client has raised.
        what: what is asked for: `model` or `data set`.
        offline: what to do where the hub cannot be reached.
    """
    from huggingface_hub import constants, errors

    # The client says that something went wrong, and what it was in the cause.
    said = (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such commit; take one of its list of commits for `revision`"
    if isinstance(error, errors.GatedRepoError):
        return f"access is granted by its owners; ask for it on the {what}'s page, and log in with `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or it is private; check the name, or log in with `hf auth login`"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return "the repository has no such file at this commit"
    if is_unreachable(error):
        return f"the hub cannot be reached ({said}); {offline}"
    if _is_full(error):
        cache = Path(constants.HF_HUB_CACHE)
        free = shutil.disk_usage(cache).free / 1e9 if cache.exists() else 0.0
        return f"{said}; {cache} has {free:.1f} GB free: make room there, or set HF_HOME to a directory of another disk"
    return said


@contextmanager
def offline_once_unreachable() -> Iterator[None]:
    """Let `go_offline` hold inside alone."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def go_offline() -> None:
    """Have the hub's client answer from its cache alone, where each question would wait for no answer."""
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True


def _is_full(error: Exception) -> bool:
    # The client's downloader in Rust (`hf_xet`) says it in words alone.
    is_said = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return is_said or "No space left" in str(error)


def is_unreachable(error: Exception) -> bool:
    """Return whether no answer came. `ConnectionError` is what `datasets` says then, and also the client offline."""
    from httpx2 import TransportError
    from huggingface_hub import errors

    return isinstance(error, errors.LocalEntryNotFoundError | ConnectionError | TimeoutError | TransportError)
