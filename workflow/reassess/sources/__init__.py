"""Where examples come from: one file per kind of source, and the union of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reassess.sources.jsonl import JsonlSource
from reassess.sources.parquet import ParquetSource
from reassess.sources.toy import ToySource

Source = Annotated[ToySource | ParquetSource | JsonlSource, Field(discriminator="kind")]
