"""The folder source: a directory of pictures and a file beside them that says what is asked about each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from reassess.example import DataError, PutAside
from reassess.sources.base import FileSource, Row
from reassess.sources.jsonl import json_rows
from reassess.sources.table import table_rows
from reassess.spec import RowsPath

# The names that `datasets` knows ("Create an image dataset", ImageFolder), then whatever is the only one.
_NAMED = ("metadata.csv", "metadata.jsonl")
_SUFFIXES = (".csv", ".xlsx", ".jsonl", ".json")


class FolderSource(FileSource):
    """A directory of pictures and one table of questions in it: `metadata.csv`, as `datasets` has it, or the only one.

    A column such as `file_name` names a row's picture.
    """

    kind: Literal["folder"]
    """Read from a directory of pictures."""
    path: RowsPath
    """The directory. Its table is `metadata.csv` or `metadata.jsonl`, or else the only `.csv`, `.xlsx`, `.jsonl` or
    `.json` file in it. After a picture has changed under the same name, touch the table."""

    @field_validator("path")
    @classmethod
    def _has_table(cls, path: str) -> str:
        if not Path(path).is_dir():
            raise ValueError(f"{path!r} is no directory")
        _table(Path(path))
        return path

    @property
    def files(self) -> list[str]:
        return [str(_table(Path(self.path)))]

    @property
    def is_uniform(self) -> bool:
        return not _is_json(_table(Path(self.path)))

    def rows(self) -> Iterator[Row | PutAside]:
        file = _table(Path(self.path))
        return json_rows(file, self.called) if _is_json(file) else table_rows(file, self.called)


def _is_json(file: Path) -> bool:
    return file.suffix.lower() in (".jsonl", ".json")


def _table(folder: Path) -> Path:
    """Return the file that says what is asked. Raises DataError where there is none, or more than one may be it."""
    for name in _NAMED:
        if (folder / name).is_file():
            return folder / name
    found = sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in _SUFFIXES and file.is_file() and not file.name.startswith((".", "~$"))
    )
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataError(f"{str(folder)!r} has no metadata.csv, nor another table ({', '.join(_SUFFIXES)})")
    names = ", ".join(file.name for file in found)
    raise DataError(f"{str(folder)!r} has more than one table ({names}); call the one that is meant metadata.csv")
