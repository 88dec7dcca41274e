"""The files of a data set on the Hugging Face hub, and its rows.

Files are fetched whole into the hub client's own cache, so that what a killed job has fetched is not fetched again, and
what is there is read without a network. Which files hold a split is written down beside it: half a cache is an error,
and not a smaller data set.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from reassess.example import DataError, PutAside
from reassess.sources import formats
from reassess.sources.archives import Pictures, grouped
from reassess.sources.base import Row
from reassess.spec import near
from reassess.work import records
from reassess.work.hub import is_unreachable, why

OFFLINE = "build it where it can, with HF_HOME on a disk that both see, or give a copy of its files"
# A commit. A branch moves, and the study with it.
REVISION = r"^[0-9a-f]{40}$"
# Bytes that are asked for at once where a few rows are read without fetching the file.
BLOCK = 2**20


class Hub(NamedTuple):
    """Where rows are published on the Hugging Face hub.

    Attributes:
        path: the data set, `owner/name`.
        split: the split that is read.
        revision: the commit, 40 hex digits; None where none is known for sure, which is for the study to say then.
        licence: of the data; None where none is declared.
        configs: configurations whose rows are read one after the other; none for the data set's default one.
        files: the files of the repository that hold the rows, where they are not what `configs` and `split` find; a
            `*` stands for any part of a name.
        archives: zip files of the repository, in parts or not, in which paths of pictures are looked up; as `files`.
        rows: how many rows it is published with, None where that is not known.
    """

    path: str
    split: str
    revision: str | None
    licence: str | None
    configs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    rows: int | None = None

    def __str__(self) -> str:
        """The data set as a message names it."""
        return f"{self.path} (split {self.split}{f', revision {self.revision}' if self.revision else ''})"


class UnreachableError(DataError):
    """The hub gave no answer, which says nothing about the data set."""


def newest(path: str) -> str:
    """Return what to do where no commit of a data set is said."""
    return f"take the newest of the list of commits at https://huggingface.co/datasets/{path}/commits/main"


class File(NamedTuple):
    """A file of a repository: its path in it, and its size in bytes."""

    path: str
    size: int


def rows(hub: Hub, whole: bool = True, labels: bool = False) -> Iterator[Row | PutAside]:
    """Yield the rows of a data set, and as put aside what is none.

    Args:
        hub: the data set, with its revision.
        whole: whether all of its files are fetched first; else what is not in the cache is read over the network as far
            as the rows are taken.
        labels: as in `formats.read`.

    Raises:
        DataError: it cannot be fetched, a file is damaged, or there is no such configuration, split or file.
    """
    found = _row_files(hub)
    for file in found if whole else ():
        fetch(hub, file)
    for file in found:
        place = f"{hub.path} {file.path}"
        with opened(hub, file, whole) as (handle, cached), _named(hub, file, cached):
            for number, values in enumerate(formats.read(handle, file.path, labels)):
                where = f"{place} row {number}"
                yield PutAside(where, hub.path, values) if isinstance(values, str) else Row(where, values)


def is_uniform(hub: Hub) -> bool:
    """Return whether all rows have the same columns: in JSON each row has its own. Raises DataError."""
    return not any("json" in formats.format_of(file.path) for file in _row_files(hub))


def provenance(hub: Hub) -> dict[str, dict[str, Any]]:
    """Return the size and the hash of each file that rows and pictures are read from. Raises DataError."""
    files = [*_row_files(hub), *(_matching(hub, hub.archives) if hub.archives else ())]
    return {
        f"hf://{_address(hub, file.path)}": {"bytes": file.size, "sha256": records.file_sha256(fetch(hub, file))}
        for file in files
    }


@contextmanager
def pictures(hub: Hub, root: Path | None, whole: bool = True) -> Iterator[Pictures]:
    """Give the pictures in the archives of a data set, else below `root`; `whole` and errors as for `rows`."""
    found = {file.path: file for file in _matching(hub, hub.archives)} if hub.archives else {}
    with ExitStack() as stack:
        parts: dict[str, list[BinaryIO]] = {}
        cached = None
        for name, paths in grouped(found).items():
            handles = [stack.enter_context(opened(hub, found[path], whole)) for path in paths]
            parts[name], cached = [handle for handle, _ in handles], handles[0][1]
        with _named(hub, next(iter(found.values()), File("", 0)), cached):
            made = Pictures(parts, root)
        yield made


def fetch(hub: Hub, file: File) -> Path:
    """Return a file in the hub client's cache, fetched where it is not there. Raises DataError."""
    from huggingface_hub import hf_hub_download

    path = _asked(
        hub, file.path, lambda: hf_hub_download(hub.path, file.path, repo_type="dataset", revision=hub.revision)
    )
    there = Path(path)
    if (size := there.stat().st_size) != file.size:
        raise DataError(
            f"{hub.path} {file.path}: has {size} bytes in place of {file.size}; remove {there.resolve()}, and it is "
            "fetched again"
        )
    return there


@contextmanager
def opened(hub: Hub, file: File, whole: bool) -> Iterator[tuple[BinaryIO, Path | None]]:
    """Give an opened file and where it lies, None where it is read over the network. Raises DataError."""
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(hub.path, file.path, repo_type="dataset", revision=hub.revision)
    if whole or isinstance(cached, str):
        path = fetch(hub, file)
        with path.open("rb") as handle:
            yield handle, path
        return
    handle = _asked(hub, file.path, lambda: _files().open(_address(hub, file.path), block_size=BLOCK))
    with handle:
        yield cast(BinaryIO, handle), None


@contextmanager
def _named(hub: Hub, file: File, cached: Path | None) -> Iterator[None]:
    """Say of a damaged file how it is fetched again, and what the network has failed at."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except DataError as error:
        mend = "" if cached is None else f"; remove {cached.resolve()}, and it is fetched again"
        raise DataError(f"{hub.path}: {error}{mend}") from None
    except (HfHubHTTPError, OSError) as error:
        raise _refused(error, f"{hub.path} {file.path}") from None


def _row_files(hub: Hub) -> list[File]:
    """Return the files that hold the rows, in order. Raises DataError."""
    if hub.files:
        return _matching(hub, hub.files)
    found: list[File] = []
    for config in hub.configs or (None,):
        found += _kept(hub, {"config": config, "split": hub.split}, lambda: _of_split(hub, config))  # noqa: B023
    return found


def _matching(hub: Hub, patterns: tuple[str, ...]) -> list[File]:
    """Return the files of a repository that patterns name, each once. Raises DataError."""

    def find() -> list[File]:
        found: dict[str, File] = {}
        for pattern in patterns:
            matches = _files().glob(_address(hub, pattern), detail=True)
            new = [
                File(_relative(hub, name), info["size"])
                for name, info in sorted(matches.items())
                if info["type"] == "file"
            ]
            if not new:
                raise DataError(f"{hub.path} at {hub.revision} has no file {pattern!r}")
            found |= {file.path: file for file in new if file.path not in found}
        return list(found.values())

    return _kept(hub, {"files": list(patterns)}, find)


def _kept(hub: Hub, asked: dict[str, Any], find: Callable[[], list[File]]) -> list[File]:
    """Return the files that `find` finds; what it has found at a commit once is kept and holds for good."""
    from huggingface_hub import constants

    asked = {"path": hub.path, "revision": hub.revision, **asked}
    folder = Path(constants.HF_HOME) / "reassess" / hub.path.replace("/", "--")
    kept = folder / f"{records.digest(records.canonical(asked))}.json"
    try:
        record = records.read(kept, files=list)
    except records.RecordError as error:
        raise DataError(str(error)) from None
    if record is None:
        _asked(hub, "the list of its files", lambda: _card(hub))
        record = {**asked, "files": _asked(hub, "the list of its files", find)}
        # Jobs that read the same data set may all be here: each writes a file of its own.
        mine = kept.with_suffix(f".{uuid.uuid4().hex}")
        try:
            records.write(mine, record)
            mine.replace(kept)
        except OSError as error:
            raise DataError(f"{folder}: cannot be written ({error.strerror}); set HF_HOME to another place") from None
    return [File(*file) for file in record["files"]]


def _card(hub: Hub) -> None:
    """Fetch the card of a data set, where it has one: what finds its files turns a refusal into an error of its own."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    with suppress(RemoteEntryNotFoundError):
        hf_hub_download(hub.path, "README.md", repo_type="dataset", revision=hub.revision)


def _of_split(hub: Hub, config: str | None) -> list[File]:
    """Return the files of a split, as the card of a data set or the names of its files say. Raises DataError."""
    from datasets import get_dataset_config_names, load_dataset_builder

    try:
        builder = load_dataset_builder(hub.path, name=config, revision=hub.revision)
    except ValueError as error:
        names = get_dataset_config_names(hub.path, revision=hub.revision)
        if config in names or (config is None and len(names) == 1):
            raise DataError(f"{hub.path}: {str(error).splitlines()[0]}") from None
        said = "config: required, because there are several" if config is None else f"config: no {config!r}"
        guess = near(config or "", names, n=1)
        raise DataError(f"{hub.path}: {said}; {guess}there are {', '.join(names)}") from None
    splits = builder.config.data_files
    root = f"hf://{_address(hub, '')}"
    if splits is None or any(not address.startswith(root) for files in splits.values() for address in files):
        # What `datasets` has prepared before, of whatever commit.
        raise ConnectionError("what `datasets` has of it in its cache is not this commit")
    addresses = list(splits.get(hub.split, ()))
    if not addresses:
        of = f" of config {config!r}" if config else ""
        guess = near(hub.split, splits, n=1)
        raise DataError(f"{hub.path}: split: no {hub.split!r}{of}; {guess}there are {', '.join(splits) or 'none'}")
    return [File(_relative(hub, address), _files().info(address)["size"]) for address in addresses]


def _files() -> Any:
    """Return the hub as a file system."""
    from huggingface_hub import HfFileSystem, constants

    return HfFileSystem(endpoint=constants.ENDPOINT)


def _address(hub: Hub, path: str) -> str:
    return f"datasets/{hub.path}@{hub.revision}/{path}"


def _relative(hub: Hub, address: str) -> str:
    """Return the path inside the repository of an address of a file of it."""
    return address.removeprefix("hf://").removeprefix(_address(hub, ""))


def _asked(hub: Hub, what: str, ask: Callable[[], Any]) -> Any:
    """Return the answer to something that is asked of the hub. Raises DataError where there is none."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return ask()
    except (HfHubHTTPError, HTTPError, OSError, RuntimeError) as error:
        raise _refused(error, f"{hub.path} at {hub.revision}: {what} cannot be fetched") from None


def _refused(error: Exception, what: str) -> DataError:
    """Return what the hub's client has raised as an error of ours."""
    kind = UnreachableError if is_unreachable(error) else DataError
    return kind(f"{what}: {why(error, 'data set', OFFLINE)}")
