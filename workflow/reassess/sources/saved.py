"""The saved source: a data set of your own as `datasets` writes it with `save_to_disk`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from reassess.example import DataError, PutAside
from reassess.sources.base import FileSource, Row
from reassess.sources.parquet import ROWS, plain_rows
from reassess.spec import RowsPath

# What `save_to_disk` writes of a DatasetDict, and of a Dataset (datasets/config.py).
_SPLITS, _STATE = "dataset_dict.json", "state.json"


class SavedSource(FileSource):
    """A directory that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` has written."""

    kind: Literal["saved"]
    """Read what `save_to_disk` wrote."""
    path: RowsPath
    """The directory."""
    split: str | None = None
    """The split of a `DatasetDict`; needed where there are several."""

    @model_validator(mode="after")
    def _has_split(self) -> SavedSource:
        _ = self._directory
        return self

    @property
    def _directory(self) -> Path:
        """The directory of the one split. Raises DataError."""
        path = Path(self.path)
        if (path / _SPLITS).is_file():
            splits = _json(path / _SPLITS).get("splits", [])
            if self.split is None and len(splits) != 1:
                raise DataError(f"{self.path}: say which `split`; there are {', '.join(splits)}")
            if self.split is not None and self.split not in splits:
                raise DataError(f"{self.path}: no split {self.split!r}; there are {', '.join(splits)}")
            path = path / (self.split or splits[0])
        elif self.split is not None:
            raise DataError(f"{self.path}: split: it has none; leave it out")
        if not (path / _STATE).is_file():
            raise DataError(f"{str(path)!r} is not what save_to_disk writes: it has no {_STATE}")
        return path

    @property
    def files(self) -> list[str]:
        found = self._directory
        names = [part["filename"] for part in _json(found / _STATE).get("_data_files", [])]
        return [str(found / name) for name in (_STATE, "dataset_info.json", *names)]

    def rows(self) -> Iterator[Row | PutAside]:
        import datasets
        import pyarrow as pa

        directory = self._directory
        try:
            there = datasets.Dataset.load_from_disk(str(directory), keep_in_memory=False)
            labels = {
                name: kind.names for name, kind in there.features.items() if isinstance(kind, datasets.ClassLabel)
            }
            number = 0
            # As Arrow has them: images stay encoded, and rows stand in the order of the data set's own indices.
            for table in there.with_format("arrow").iter(ROWS):
                for values in plain_rows(table, labels):
                    yield Row(f"{directory.name} row {number}", values)
                    number += 1
        except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
            raise DataError(f"{directory}: not readable as what save_to_disk writes ({error})") from None


def _json(file: Path) -> dict[str, Any]:
    """Return a JSON object. Raises DataError."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not readable ({error})") from None
    if not isinstance(found, dict):
        raise DataError(f"{file}: not a JSON object")
    return found
