"""Where examples come from: one file per kind of source, and the union of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from reassess.sources.easy_vqa import EasyVqaSource
from reassess.sources.folder import FolderSource
from reassess.sources.hub import HubSource
from reassess.sources.jsonl import JsonlSource
from reassess.sources.named import SetSource
from reassess.sources.parquet import ParquetSource
from reassess.sources.saved import SavedSource
from reassess.sources.table import TableSource
from reassess.sources.toy import ToySource
from reassess.sources.tsv import TsvSource


def _named(data: Any) -> Any:
    """Return a source, the name of a data set alone as what it stands for."""
    return {"kind": "set", "name": data} if isinstance(data, str) else data


AnySource = Annotated[
    ToySource
    | EasyVqaSource
    | SetSource
    | HubSource
    | ParquetSource
    | JsonlSource
    | TsvSource
    | TableSource
    | FolderSource
    | SavedSource,
    Field(discriminator="kind"),
]
Source = Annotated[AnySource, BeforeValidator(_named)]
