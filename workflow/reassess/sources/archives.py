"""Pictures that rows name by path: in zip archives, which are not unpacked, or below a directory."""

from __future__ import annotations

import io
import lzma
import posixpath
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from reassess.example import DataError, RowError
from reassess.sources.pictures import below

NO_FILE = "its picture is a path without a file"


class Joined(io.RawIOBase):
    """The parts of a file, as the one file that they are."""

    def __init__(self, parts: Sequence[BinaryIO]) -> None:
        super().__init__()
        self._parts = parts
        self._ends: list[int] = []
        for part in parts:
            self._ends.append(part.seek(0, io.SEEK_END) + (self._ends[-1] if self._ends else 0))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ends[-1]}[whence]
        if base + offset < 0:
            raise OSError("a seek to before the start")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read on, at most to the end of a part; returns the number of bytes, 0 at the end."""
        for part, start, end in zip(self._parts, [0, *self._ends], self._ends, strict=False):
            if self._at < end:
                part.seek(self._at - start)
                data = part.read(min(len(buffer), end - self._at))
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
        return 0


def grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the files of each archive by its name: `image.zip.part-aa` and `image.zip.part-ab` are `image.zip`."""
    found: dict[str, list[str]] = {}
    for name in names:
        stem, zip_, _ = name.partition(".zip")
        found.setdefault(stem + zip_, []).append(name)
    return {name: sorted(parts) for name, parts in found.items()}


# Bytes of a picture: an archive of a few kilobytes may say that it holds more than a machine does.
LARGEST = 256 << 20


class _Archive(NamedTuple):
    """An opened archive.

    Attributes:
        name: its name without `.zip`, the folder that unpacking it would be in.
        opened: the archive.
        folders: the folders that hold all of it, the inner ones last, each with a slash at its end.
    """

    name: str
    opened: zipfile.ZipFile
    folders: tuple[str, ...]


class Pictures:
    """Looks up pictures by their paths.

    Args:
        archives: by the name of each, its parts, opened.
        root: a directory in which pictures are looked up that no archive has.

    Raises:
        DataError: an archive is none.
    """

    def __init__(self, archives: dict[str, list[BinaryIO]], root: Path | None = None) -> None:
        self._archives = [_opened(name, parts) for name, parts in archives.items()]
        self._root = root

    def read(self, path: str, column: str = "") -> bytes:
        """Return the picture at a path. Raises RowError where there is none, naming the column that the path is of."""
        wanted = posixpath.normpath(path.removeprefix("file://").lstrip("/"))
        for archive in self._archives:
            inside = (folder + wanted for folder in archive.folders)
            for name in (wanted, *inside, wanted.removeprefix(f"{archive.name}/")):
                if name in archive.opened.NameToInfo:
                    return _member(archive.opened, name, column)
        if self._root is None:
            raise RowError("its picture is in none of the archives" if self._archives else NO_FILE, column)
        try:
            return below(self._root, path)
        except RowError as error:
            raise RowError(error.reason, column) from None


def _opened(name: str, parts: list[BinaryIO]) -> _Archive:
    try:
        # A part that is not the last has no end of an archive of its own.
        whole = parts[0] if len(parts) == 1 else io.BufferedReader(Joined(parts))
        opened = zipfile.ZipFile(whole)
    except zipfile.BadZipFile as error:
        raise DataError(f"{name}: not a readable zip archive ({error})") from None
    # What macOS puts beside the files is none of them.
    members = (member.lstrip("/") for member in opened.namelist() if not member.startswith("__MACOSX/"))
    folders = {posixpath.dirname(member) for member in members}
    common = posixpath.commonpath(folders).split("/") if folders else []
    around = tuple("/".join([*common[: i + 1], ""]) for i in range(len(common)) if common[0])
    return _Archive(posixpath.basename(name).removesuffix(".zip"), opened, around)


def _member(archive: zipfile.ZipFile, name: str, column: str) -> bytes:
    if archive.getinfo(name).file_size > LARGEST:
        raise RowError(f"its picture in the archive has more than {LARGEST >> 20} MiB", column)
    try:
        return archive.read(name)
    except OSError as error:
        # Decoders say so of damaged members too, without a number.
        if error.errno is not None:
            raise DataError(f"{archive.filename or 'an archive'}: cannot be read ({error})") from None
    # Each compression has errors of its own, and an encrypted member is a RuntimeError.
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, EOFError):
        pass
    raise RowError("its picture in the archive cannot be read", column)
