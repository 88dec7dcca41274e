"""The examples of some difficulty for a model, by how many of its samples are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from reassess.spec import Positive
from reassess.steps.base import Asks, Made, Read, left_out

Share = Annotated[float, Field(ge=0, le=1)]


class Band(Asks):
    """The examples of which a model gets a share of samples right that is within limits, and all others left out.

    Each has the columns `samples` and `right` (judged responses, and those that are right), and `pass_rate`.
    """

    VERSION: ClassVar[int] = 1
    JUDGES: ClassVar[bool] = True

    kind: Literal["band"]
    """Kept by how often a model is right."""
    samples: Positive
    """Responses to each example."""
    pass_rate: tuple[Share, Share]
    """The lowest and the highest share of right responses, both included."""

    @model_validator(mode="after")
    def _holds_something(self) -> Band:
        low, high = self.pass_rate
        if not any(low <= right / self.samples <= high for right in range(self.samples + 1)):
            raise ValueError(
                f"pass_rate: no share of {self.samples} samples is between {low:g} and {high:g}; give a wider band, or "
                "more samples"
            )
        return self

    @property
    def count(self) -> int:
        return self.samples

    @property
    def fills(self) -> tuple[str, ...]:
        return ("samples", "right", "pass_rate")

    def identity(self) -> dict[str, Any]:
        return {"pass_rate": list(self.pass_rate)}

    def make(self, inputs: Mapping[str, Read], seed: int) -> Made:
        low, high = self.pass_rate
        for example, said, _ in inputs[self.on]:
            judged = [item.correct for item in said if item.correct is not None]
            if not judged:
                yield left_out(example, "no response could be judged")
                continue
            right = sum(judged)
            rate = right / len(judged)
            if low <= rate <= high:
                yield example.with_columns(samples=len(judged), right=right, pass_rate=rate)
            else:
                yield left_out(example, f"{right} of {len(judged)} right")
