"""The examples of which something is so: difficulty, family, source, length, words, or what an earlier step found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from reassess.example import Example
from reassess.spec import Name
from reassess.steps.base import AnyStep, Made, Read, left_out

Text = Annotated[str, Field(min_length=1)]


class Where(AnyStep):
    """The examples of a pool, or of another set, of which everything that is given here is so."""

    VERSION: ClassVar[int] = 1

    kind: Literal["where"]
    """Kept by what the examples say of themselves."""
    on: Name
    """The pool, or the set of examples, that is read."""
    difficulty: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """Difficulties that are kept; all by default."""
    family: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Families that are kept; all by default."""
    source: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Sources that are kept; all by default."""
    words: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = None
    """The fewest and the most words of the first rationale."""
    contains: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """Texts of which one stands in the first rationale, in whatever case."""
    lacks: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """Texts of which none stands in the first rationale, in whatever case."""
    columns: Annotated[dict[str, tuple[float, float] | str], Field(min_length=1)] | None = None
    """Columns that an earlier step has filled, each with the lowest and the highest value that is kept, or with a text:
    `{perplexity: [0, 20], checked: "yes"}`."""

    @model_validator(mode="after")
    def _something(self) -> Where:
        if not self.model_dump(exclude={"kind", "on"}, exclude_none=True):
            raise ValueError("say what is kept, as in `difficulty: [2, 3]`: without, every example would be")
        return self

    @property
    def INPUTS(self) -> tuple[str, ...]:  # noqa: N802
        return (self.on,)

    @property
    def wants(self) -> tuple[str, ...]:
        return tuple(self.columns or ())

    def identity(self) -> dict[str, Any]:
        """Return what is kept; the order of values is none of it."""
        wanted = self.model_dump(exclude={"kind", "on"}, exclude_none=True)
        listed = ("difficulty", "family", "source", "contains", "lacks")
        return {key: sorted(set(values)) if key in listed else values for key, values in wanted.items()}

    def make(self, inputs: Mapping[str, Read], seed: int) -> Made:
        for example, *_ in inputs[self.on]:
            why = self._unwanted(example)
            yield example if why is None else left_out(example, why)

    def _unwanted(self, example: Example) -> str | None:
        """Return why an example is left out, None where it is kept."""
        for name in ("difficulty", "family", "source"):
            wanted, value = getattr(self, name), getattr(example, name)
            if wanted is not None and value not in wanted:
                return f"{name} {value} is not wanted"
        rationale = example.rationales[0] if example.rationales else ""
        if self.words is not None and not self.words[0] <= len(rationale.split()) <= self.words[1]:
            return f"not {self.words[0]} to {self.words[1]} words"
        said = rationale.lower()
        if self.contains is not None and not any(text.lower() in said for text in self.contains):
            return "has none of the texts"
        if self.lacks is not None and (found := next((text for text in self.lacks if text.lower() in said), None)):
            return f"has {found!r}"
        return next((why for name in self.columns or () if (why := self._of_column(example, name))), None)

    def _of_column(self, example: Example, name: str) -> str | None:
        assert self.columns is not None
        value, wanted = example.column(name), self.columns[name]
        if value is None:
            return f"has no column {name!r}"
        if isinstance(wanted, str):
            return None if str(value) == wanted else f"{name} is not {wanted!r}"
        if not isinstance(value, int | float):
            return f"{name} is no number"
        return None if wanted[0] <= value <= wanted[1] else f"{name} is not within {wanted[0]:g} and {wanted[1]:g}"
