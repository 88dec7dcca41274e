"""The parquet source: example records of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import field_validator

from reassess.spec import Strict


class ParquetSource(Strict):
    """Examples of your own, in Parquet files with the columns of an example record."""

    kind: Literal["parquet"]
    """Read from files."""
    path: str
    """A Parquet file or a directory of them."""
    licence: str
    """Licence of the data, recorded in the manifest."""

    @field_validator("path")
    @classmethod
    def _exists(cls, path: str) -> str:
        if not Path(path).exists():
            raise ValueError(f"no such file or directory: {path!r}")
        return path
