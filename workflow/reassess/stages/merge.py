"""Merging: one model from the weights of several, without training."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from reassess.stages.base import AnyStage, Needs, Parents

Weight = Annotated[float, Field(allow_inf_nan=False)]


class MergeStage(AnyStage):
    """The weights of two or more models of one architecture become those of one; nothing is trained."""

    VERSION: ClassVar[int] = 1
    PARENTS: ClassVar[Parents] = Parents(2, None)
    READS_EXAMPLES: ClassVar[bool] = False
    # Read tensor by tensor on the CPU; the result is loaded once to be checked, 2 bytes of each weight in bfloat16.
    # Minutes: 2 bytes per weight of three models and of the result at 100 MB/s.
    NEEDS: ClassVar[Needs] = Needs(bytes_per_weight=0, minutes_per_billion=2, host_bytes_per_weight=2)
    RUN: ClassVar[str] = "reassess.train.merge:run"

    kind: Literal["merge"]
    """The weights of several models become those of one."""
    method: Literal["linear", "ties", "dare"] = "linear"
    """`linear`: the weighted sum of the models. `ties` (arXiv 2306.01708) and `dare` (arXiv 2311.03099): the base model
    plus the weighted sum of what each model has changed in it, of which a share is kept."""
    weights: Annotated[tuple[Weight, ...], Field(min_length=2)]
    """One for each model that the recipe starts from, in its order. Those of `linear` sum to 1; with `ties`, which
    takes the mean of what agrees, weights of 1 are the paper's."""
    density: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of each model's changes that is kept: with `ties` the largest, with `dare` drawn with the seed."""

    @model_validator(mode="after")
    def _fits(self) -> MergeStage:
        if self.method == "linear":
            if not math.isclose(sum(self.weights), 1, abs_tol=1e-6):
                raise ValueError(
                    f"weights: {list(self.weights)} sum to {sum(self.weights):g}; `linear` needs a sum of 1"
                )
            if self.density is not None:
                raise ValueError("density: `linear` takes all of every model; leave it out")
        elif not any(self.weights):
            raise ValueError("weights: all are 0, which makes the base model")
        elif self.density is None:
            raise ValueError(f"density: required with `{self.method}`, the share of changes that is kept")
        return self

    @property
    def needs_base(self) -> bool:
        return self.method != "linear"

    def misfit_of_parents(self, count: int) -> str | None:
        if count > 1 and count != len(self.weights):
            return f"has {len(self.weights)} weights, and here starts from {count} models"
        return super().misfit_of_parents(count)

    def identity(self, processes: int, gpus: int) -> dict[str, Any]:
        """Return what the weights that it makes depend on, of its own options."""
        return self.model_dump(mode="json", include={"method", "weights", "density"}, exclude_defaults=True)
