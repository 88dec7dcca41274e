"""The set source: a training set that is known by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from reassess.example import Example, PutAside
from reassess.sources.base import Modality, SourceOptions
from reassess.sources.published import UNDECLARED, Hub, Published
from reassess.sources.repository import REVISION, newest
from reassess.sources.sets import SETS
from reassess.spec import ExistingPath, RowsPath, near


def _known(name: str) -> str:
    if name in SETS:
        return name
    raise ValueError(f"unknown data set {name!r}; {near(name, SETS, n=1)}known: {', '.join(SETS)}")


class SetSource(SourceOptions):
    """A training set that is known by name (`docs/data.md` lists them): `sources: [geometry3k]`."""

    kind: Literal["set"]
    """Known by name; the name alone stands for `{kind: set, name: ...}`."""
    name: Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(SETS)})]
    """The data set."""
    revision: Annotated[str, Field(pattern=REVISION)] | None = None
    """The commit of its repository, 40 hex digits; by default the one that is known."""
    path: RowsPath | None = None
    """A copy of its rows, in place of the hub: a file, or a directory of files."""
    image_root: ExistingPath | None = None
    """A directory in which its pictures are looked up, where the rows have paths."""
    licence: str = ""
    """Licence of the data, recorded in the manifest; by default the one that its card declares."""

    @model_validator(mode="before")
    @classmethod
    def _declared(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("name") in SETS and not data.get("licence"):
            return {**data, "licence": importlib.import_module(SETS[data["name"]]).SOURCE.licence or UNDECLARED}
        return data

    @model_validator(mode="after")
    def _can_be_fetched(self) -> SetSource:
        hub: Hub = importlib.import_module(SETS[self.name]).SOURCE
        if self.path is None and self.revision is None and hub.revision is None:
            raise ValueError(f"revision: required, because none is known of {hub}; {newest(hub.path)}")
        return self

    @property
    def published(self) -> Published:
        """The data set as it is read."""
        hub: Hub = importlib.import_module(SETS[self.name]).SOURCE
        location = hub._replace(revision=self.revision or hub.revision)
        return Published(self.name, SETS[self.name], location, self.path, self.image_root, self.licence)

    @property
    def most(self) -> int | None:
        return self.published.most

    @property
    def files(self) -> list[str]:
        return self.published.files

    def provenance(self) -> dict[str, dict[str, Any]]:
        """Return what the manifest says of files that were read and are not the user's: size and hash by name."""
        return self.published.provenance()

    def misfits(self, modality: Modality, is_benchmark: bool) -> Iterator[str]:
        """Yield what is wrong where a data set with pictures serves a text pool, or one without a visual pool."""
        own = importlib.import_module(SETS[self.name]).MODALITY
        if "mixed" not in (own, modality) and own != modality:
            yield f"modality {modality!r} does not fit {self.name}, which is {own}"

    def identity(self) -> dict[str, Any]:
        """Return what the examples depend on, besides the content of the user's files."""
        return {"kind": self.kind, **self.published.identity()}

    def read(self) -> Iterator[Example | PutAside]:
        """Yield the rows as examples.

        Raises:
            DataError: it cannot be fetched, or its rows have not the published columns.
        """
        return self.published.read()

    def sample(self, n: int) -> Iterator[Example | PutAside]:
        """Yield the first rows as `read` does, without fetching whole files from the hub. Raises DataError."""
        return self.published.sample(n)
