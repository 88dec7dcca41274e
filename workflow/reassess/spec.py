"""The strict base of everything that a person writes in a study."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from reassess.paths import RESULTS

# Names become directories and Snakemake wildcards, and "@", "+" and "/" are the grammar of a cell's path.
NAME = r"^[a-z0-9][a-z0-9._-]*$"
Name = Annotated[str, StringConstraints(pattern=NAME, max_length=64)]
# YAML reads yes and on as true, which would pass as 1.
Positive = Annotated[int, Field(ge=1, strict=True)]


def _existing_file(path: str) -> str:
    if not Path(path).is_file():
        raise ValueError(f"no such file: {path!r}")
    return path


def _existing_path(path: str) -> str:
    # An empty path is the working directory, which nobody means by it.
    if not path or not Path(path).exists():
        raise ValueError(f"no such file or directory: {path!r}")
    return path


def _not_made(path: str) -> str:
    if Path(path).resolve().is_relative_to(Path(RESULTS).resolve()):
        raise ValueError(f"{path!r} lies in {RESULTS}/, which the workflow itself writes; give a copy elsewhere")
    return path


# Of the user's own data.
ExistingFile = Annotated[str, AfterValidator(_existing_file)]
ExistingPath = Annotated[str, AfterValidator(_existing_path)]
# Rows that examples are made from.
RowsFile = Annotated[ExistingFile, AfterValidator(_not_made)]
RowsPath = Annotated[ExistingPath, AfterValidator(_not_made)]


class Strict(BaseModel):
    """Base of every part of a study: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Short(Strict):
    """A part that has a short form beside its keys."""

    SHORT: ClassVar[dict[str, Any]]
    """The JSON Schema of the short form."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [cls.SHORT, handler(core)]}


def near(given: str, known: Iterable[str], n: int = 3) -> str:
    """Return `did you mean ...? ` with up to `n` names that are like a given one, nothing where none is."""
    found = difflib.get_close_matches(given, list(known), n=n)
    return f"did you mean {' or '.join(found)}? " if found else ""
