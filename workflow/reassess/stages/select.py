"""Choosing one checkpoint of those that a training has kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, field_validator, model_validator

from reassess.spec import Name, Strict, near
from reassess.stages.base import AnyStage, Needs

Take = Literal["max", "min", "first", "last"]


class AtStep(Strict):
    """A step of the optimizer."""

    step: Annotated[int, Field(ge=1)]
    """One whose checkpoint is kept."""


class SelectStage(AnyStage):
    """One checkpoint of the trajectory of the stage before, by how a suite has scored it; nothing is copied."""

    VERSION: ClassVar[int] = 1
    READS_EXAMPLES: ClassVar[bool] = False
    CHOOSES: ClassVar[bool] = True
    # It is loaded once to be checked, 2 bytes of each weight in bfloat16.
    NEEDS: ClassVar[Needs] = Needs(bytes_per_weight=0, minutes_per_billion=1, host_bytes_per_weight=2)
    RUN: ClassVar[str] = "reassess.train.select:run"

    kind: Literal["select"]
    """One checkpoint of the trajectory of the stage before."""
    take: Take | AtStep
    """`max` or `min` of the accuracy in `suite` (of several equal ones the earliest), the first or the last, or that of
    a step, as `{step: 40}`."""
    suite: Name | None = None
    """With `max` and `min`, the suite that is asked, which has `checkpoints: trajectory`. It chooses, so its benchmarks
    stand in no table."""

    @field_validator("take", mode="before")
    @classmethod
    def _known(cls, take: Any) -> Any:
        """Say in one line what a type of two forms says in two."""
        words = get_args(Take)
        step = take.get("step") if isinstance(take, dict) and len(take) == 1 else None
        if isinstance(take, AtStep) or take in words or (type(step) is int and step > 0):
            return take
        hint = near(take, words) if isinstance(take, str) else ""
        raise ValueError(f"{take!r}: {hint}expected {', '.join(words)}, or a step from 1 on, as {{step: 40}}")

    @model_validator(mode="after")
    def _fits(self) -> SelectStage:
        if self.take in ("max", "min") and self.suite is None:
            raise ValueError(f"suite: required with `take: {self.take}`, the suite whose accuracy decides")
        if self.take not in ("max", "min") and self.suite is not None:
            raise ValueError("suite: only `max` and `min` look at scores; leave it out")
        return self

    @property
    def chooses_by(self) -> str | None:
        return self.suite

    def choose(self, kept: Sequence[int], accuracy: Mapping[int, float]) -> int:
        """Return the step of its parent's kept checkpoints that it starts from.

        Raises:
            ValueError: its parent has kept no checkpoint of the step, or one of them has no score.
        """
        if isinstance(self.take, AtStep):
            if self.take.step not in kept:
                there = ", ".join(map(str, kept))
                raise ValueError(f"none of step {self.take.step} was kept; there are those of steps {there}")
            return self.take.step
        if self.take in ("first", "last"):
            return kept[0 if self.take == "first" else -1]
        if unscored := [step for step in kept if step not in accuracy]:
            raise ValueError(f"suite {self.suite!r} has no score of step {unscored[0]}")
        # Of equal ones max and min return the first that they meet.
        return (max if self.take == "max" else min)(kept, key=lambda step: accuracy[step])

    def identity(self, processes: int, gpus: int) -> dict[str, Any]:
        """Return what the choice depends on, of its own options."""
        return self.model_dump(mode="json", include={"take", "suite"}, exclude_defaults=True)
