"""What every kind of source says of itself before it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from reassess.spec import Strict

Modality = Literal["visual", "text", "mixed"]


class SourceOptions(Strict):
    """Base of the kinds of sources.

    A kind has besides `kind`, `licence` (of the data, for the manifest) and `read`, which yields its examples, and
    what cannot be one as `PutAside`, without holding more than a few.
    """

    @property
    def files(self) -> list[str]:
        """The user's files that are read: where one is newer than what was made from it, that is made again."""
        return []

    @property
    def size(self) -> int | None:
        """The number of examples, None where only reading tells."""
        return None

    def misfits(self, modality: Modality, is_benchmark: bool) -> Iterator[str]:
        """Yield why the examples do not suit a pool or a benchmark of a modality."""
        yield from ()
