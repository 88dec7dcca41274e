"""The toy source: visual questions drawn here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from reassess.example import Example
from reassess.sources.base import Modality, SourceOptions
from reassess.spec import Positive

Family = Literal["sum", "bars", "tallest", "locate"]
FAMILIES: tuple[Family, ...] = ("sum", "bars", "tallest", "locate")


class ToySource(SourceOptions):
    """Visual questions drawn here: perception, then a short chain of reasoning."""

    kind: Literal["toy"]
    """Drawn here."""
    n: Positive
    """Examples to draw, spread evenly over families and difficulty levels."""
    families: Annotated[tuple[Family, ...], Field(min_length=1)] = FAMILIES
    """Task families."""
    split: Literal["train", "test"] = "train"
    """`train` and `test` never share a scene or a handwritten digit."""
    ood: bool = False
    """Pairs of colours and digits held out of training, and scenes with more objects or moves."""
    text_only: bool = False
    """The text twins: the same questions with a description in place of the image."""
    seed: int = 0
    """Seed of the drawing."""

    @property
    def licence(self) -> str:
        return "CC BY 4.0 (digits: Optical Recognition of Handwritten Digits, UCI)"

    @property
    def size(self) -> int:
        return self.n

    def misfits(self, modality: Modality, is_benchmark: bool) -> Iterator[str]:
        """Yield what is wrong with the split, and with pictures where there should be none."""
        if is_benchmark and self.split == "train":
            yield "split 'train' is for pools; a benchmark takes 'test'"
        if not is_benchmark and self.split == "test":
            yield "split 'test' is for benchmarks; a pool takes 'train'"
        if modality != "mixed" and self.text_only != (modality == "text"):
            yield f"modality {modality!r} does not fit text_only: {self.text_only}"

    def read(self) -> Iterator[Example]:
        """Yield `n` distinct examples, the same for the same options.

        Raises:
            DataError: so many are asked for that no new scenes are found.
        """
        from reassess.sources import scenes

        return scenes.draw(self.n, self.families, self.split, self.ood, self.text_only, self.seed)
