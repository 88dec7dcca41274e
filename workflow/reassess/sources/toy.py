"""The toy source: visual questions drawn here."""

from __future__ import annotations

from typing import Literal

from reassess.spec import Positive, Strict

Family = Literal["sum", "bars", "tallest", "locate"]
FAMILIES: tuple[Family, ...] = ("sum", "bars", "tallest", "locate")


class ToySource(Strict):
    """Visual questions drawn here: perception, then a short chain of reasoning."""

    kind: Literal["toy"]
    """Drawn here."""
    n: Positive
    """Examples to draw, spread evenly over families and difficulty levels."""
    families: tuple[Family, ...] = FAMILIES
    """Task families."""
    split: Literal["train", "test"] = "train"
    """`train` and `test` never share a scene or a handwritten digit."""
    ood: bool = False
    """Pairs of colours and digits held out of training, and scenes with more objects or moves."""
    text_only: bool = False
    """The text twins: the same questions with a description in place of the image."""
    seed: int = 0
    """Seed of the drawing."""
