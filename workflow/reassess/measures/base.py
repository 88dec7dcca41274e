"""What every measure has: what it is measured on, and by which checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from reassess.spec import Name, Strict


class Base(Strict):
    """Values by example, under a checkpoint.

    `RUN` names the function that measures, as `module:function`, resolved when it runs; see `evaluate/measure.py` for
    what it takes and gives. `COLUMNS` are the values that each example has: tables show the mean of the first one, in
    `UNIT`, and of `tokens`, which every measure has among them.
    """

    VERSION: ClassVar[int]
    RUN: ClassVar[str]
    COLUMNS: ClassVar[tuple[str, ...]]
    UNIT: ClassVar[str]
    READS_RESPONSES: ClassVar[bool] = False
    """Whether it reads the responses that examples have themselves, as SFT does."""

    on: Name
    """What it is measured on: a pool (its training examples), a set of `examples`, or a benchmark, such as the rows
    that a pool holds out (`{pool: ...}`)."""
    recipes: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """The recipes whose models are measured, `base` among them; by default all that are evaluated, and the base
    models."""

    def identity(self) -> dict[str, Any]:
        """Return what the values depend on beside checkpoint, examples, prompt and engine."""
        return {}

    def summary(self, n: int, sums: Mapping[str, float]) -> dict[str, float]:
        """Return what records say of some examples, the mean of the first of `COLUMNS` under its name.

        Args:
            n: how many they are, one at least.
            sums: the sums of their values by column.
        """
        return {name: sums[name] / n for name in self.COLUMNS}
