"""The hub source: a data set of the Hugging Face hub, whatever its columns are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from reassess.example import Example, PutAside
from reassess.sources import repository
from reassess.sources.archives import Pictures
from reassess.sources.base import Row, RowsSource
from reassess.sources.repository import REVISION

_PATH = r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$"


def _inside(pattern: str) -> str:
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise ValueError(f"{pattern!r}: should be a path inside the repository, such as data/train-*.parquet")
    return pattern


Inside = Annotated[str, AfterValidator(_inside)]


class HubSource(RowsSource):
    """A data set of the Hugging Face hub at a commit; its columns are recognised, or named in `columns`."""

    kind: Literal["hub"]
    """Read from the Hugging Face hub."""
    path: Annotated[str, Field(pattern=_PATH)]
    """The data set, `owner/name`."""
    revision: Annotated[str, Field(pattern=REVISION)]
    """The commit of its repository, 40 hex digits: a branch moves, and the study with it."""
    split: str
    """The split, as the data set's page names it."""
    config: str | None = None
    """The configuration, also called subset; needed where there are several and none is the default."""
    data_files: tuple[Inside, ...] = ()
    """The files that hold the rows, where it is not `config` and `split` that say so; `*` stands for any part."""
    archives: tuple[Inside, ...] = ()
    """Zip files of the repository in which paths of pictures are looked up, in parts or not: `images.zip.part-*`."""

    _pictures: Pictures | None = PrivateAttr(None)
    _whole: bool = PrivateAttr(True)

    @model_validator(mode="before")
    @classmethod
    def _is_pinned(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(path := data.get("path"), str) and re.fullmatch(_PATH, path):
            revision = data.get("revision")
            if revision is None or (isinstance(revision, str) and not re.fullmatch(REVISION, revision)):
                said = "required, but missing" if revision is None else f"{revision!r} is no commit of 40 hex digits"
                raise ValueError(f"revision: {said}; {repository.newest(path)}")
        return data

    @property
    def location(self) -> repository.Hub:
        """Where its rows are."""
        configs = () if self.config is None else (self.config,)
        return repository.Hub(
            self.path, self.split, self.revision, self.licence, configs, self.data_files, self.archives
        )

    @property
    def called(self) -> str:
        return self.name or self.path.split("/")[1]

    @property
    def is_uniform(self) -> bool:
        return repository.is_uniform(self.location)

    def provenance(self) -> dict[str, dict[str, Any]]:
        return repository.provenance(self.location)

    def rows(self) -> Iterator[Row | PutAside]:
        return repository.rows(self.location, self._whole, labels=True)

    def read(self) -> Iterator[Example | PutAside]:
        """Yield the rows as examples; a row that cannot be one is put aside.

        Raises:
            DataError: it cannot be fetched, a file is damaged, or its columns do not say where question and answer are.
        """
        root = Path(self.image_root) if self.image_root else None
        # Rows are looked at before they become examples, so that the last may be read before the first picture.
        with repository.pictures(self.location, root, self._whole) as self._pictures:
            yield from super().read()

    def picture(self, path: str, place: str) -> bytes:
        assert self._pictures is not None, "a picture is asked for while its row is read"
        return self._pictures.read(path)

    def described(self) -> str:
        """Return which shape the rows have, without fetching whole files. Raises DataError."""
        return super(HubSource, self._part()).described()

    def sample(self, n: int) -> Iterator[Example | PutAside]:
        """Yield the first rows as `read` does, without fetching whole files. Raises DataError."""
        return islice(self._part().read(), n)

    def _part(self) -> HubSource:
        part = self.model_copy()
        part._whole = False
        return part
