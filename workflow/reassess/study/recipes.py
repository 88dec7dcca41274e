"""How models are made: chains of stages, from the base model or from what other recipes have made."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, model_validator

from reassess.spec import Name, Positive, Short


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError(f"{text!r}: expected one line of printable characters, with no space at its ends")
    return text


# In place of a size: as many as there are.
ALL = "all"
# It would name a row of a table, so it is as short as one.
Label = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]


def _at(text: str, name: str) -> dict[str, Any]:
    """Return `sft@2000` as a name and a size."""
    found = re.fullmatch(r"([^@]+)(?:@(\d{1,18}|all))?", text, re.ASCII)
    if found is None:
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        raise ValueError(f"{shown!r}: expected a name, or a name and a number of examples, as in sft@2000")
    return {name: found[1]} | ({"size": ALL if found[2] == ALL else int(found[2])} if found[2] else {})


class Step(Short):
    """One stage of a recipe. A name alone, as `sft` or `sft@2000`, is a stage at the size of the cell or at its own."""

    SHORT: ClassVar[dict[str, Any]] = {"type": "string"}

    by: Name
    """The stage."""
    on: Name | None = None
    """The set of `examples` that it reads here, in place of the cell's pool or of what the stage says."""
    size: Positive | None = None
    """Training examples, in place of the cell's size; `all` takes as many as there are, and records how many."""
    all: bool = False
    """The same as `size: all`."""

    @model_validator(mode="before")
    @classmethod
    def _name(cls, data: Any) -> Any:
        found = _at(data, "by") if isinstance(data, str) else data
        if isinstance(found, dict) and found.get("size") == ALL:
            return {**found, "size": None, "all": True}
        return found

    @model_validator(mode="after")
    def _has_one_size(self) -> Step:
        if self.all and self.size is not None:
            raise ValueError(f"all: and a size of {self.size}; leave one of them out")
        return self

    def __str__(self) -> str:
        size = ALL if self.all else self.size
        return f"{self.by}{f'+{self.on}' if self.on else ''}{f'@{size}' if size else ''}"


class Start(Short):
    """What a recipe starts from: a recipe at the size of the cell, or as `sft@2000` at a size of its own."""

    SHORT: ClassVar[dict[str, Any]] = {"type": "string"}

    recipe: Name
    """The recipe; `base` is the base model."""
    size: Positive | None = None
    """The size at which it is taken, in place of the cell's."""

    @model_validator(mode="before")
    @classmethod
    def _name(cls, data: Any) -> Any:
        return _at(data, "recipe") if isinstance(data, str) else data

    def __str__(self) -> str:
        return f"{self.recipe}{f'@{self.size}' if self.size else ''}"


class Recipe(Short):
    """How a model is made. A list is a chain of stages from the base model on; an empty one is the base model."""

    SHORT: ClassVar[dict[str, Any]] = {"type": "array", "items": {"type": ["string", "object"]}}

    start: tuple[Start, ...] = ()
    """What it starts from: one recipe, whose path it continues, or several for a stage that merges them. By default the
    base model."""
    steps: tuple[Step, ...]
    """Stages, in their order."""
    evaluate: bool = True
    """With `false` its models only serve other recipes: they are asked no suite and stand in no table."""
    label: Label | None = None
    """What tables and figures call it, in place of its name."""

    @model_validator(mode="before")
    @classmethod
    def _list(cls, data: Any) -> Any:
        return {"steps": data} if isinstance(data, list | tuple) else data

    def __str__(self) -> str:
        start = f"{' + '.join(map(str, self.start))} -> " if self.start else ""
        return start + " -> ".join(map(str, self.steps))
