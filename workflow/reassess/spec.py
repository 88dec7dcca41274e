"""The strict base of everything that a person writes in a study."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# Names become directories and Snakemake wildcards, and "@", "+" and "/" are the grammar of a cell's path.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Positive = Annotated[int, Field(ge=1)]


class Strict(BaseModel):
    """Base of every part of a study: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
