"""The examples of some difficulties or families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from reassess.example import Example, PutAside
from reassess.spec import Name, Strict


class Where(Strict):
    """The examples of a pool, or of another set, whose difficulty and family are wanted."""

    VERSION: ClassVar[int] = 1
    ASKS: ClassVar[bool] = False

    kind: Literal["where"]
    """Kept by what the examples say of themselves."""
    on: Name
    """The pool, or the set of examples, that is read."""
    difficulty: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """Difficulties that are kept; all by default."""
    family: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Families that are kept; all by default."""

    @model_validator(mode="after")
    def _something(self) -> Where:
        if self.difficulty is None and self.family is None:
            raise ValueError("give `difficulty`, `family` or both: with neither, every example would be kept")
        return self

    @property
    def INPUTS(self) -> tuple[str, ...]:  # noqa: N802 (of other steps it is a constant)
        """The pools and sets that are read."""
        return (self.on,)

    def identity(self) -> dict[str, Any]:
        """Return what the set depends on beside what is read: the order of values is none of it."""
        wanted = {"difficulty": self.difficulty, "family": self.family}
        return {key: sorted(set(values)) for key, values in wanted.items() if values is not None}

    def make(self, inputs: Mapping[str, Iterator[Example]]) -> Iterator[Example | PutAside]:
        """Yield every example that is read, those that are not wanted as put aside.

        Args:
            inputs: the examples of what `INPUTS` names.
        """
        for item in inputs[self.on]:
            if self.difficulty is not None and item.difficulty not in self.difficulty:
                yield PutAside(item.id, item.source, f"difficulty {item.difficulty} is not wanted")
            elif self.family is not None and item.family not in self.family:
                yield PutAside(item.id, item.source, f"family {item.family} is not wanted")
            else:
                yield item
