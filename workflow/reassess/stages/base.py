"""What every kind of stage says of itself, and what the kinds that TRL trains have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from reassess.spec import Name, Positive, Strict
from reassess.stages.trainer_args import ConfigClass, changed, check_args


class Parents(NamedTuple):
    """How many models a stage starts from, and what it calls them.

    Attributes:
        fewest: at least so many.
        most: at most so many, None for any number.
        names: what messages call them, in the order in which a recipe gives them.
    """

    fewest: int = 1
    most: int | None = 1
    names: tuple[str, ...] = ("parent",)


class Needs(NamedTuple):
    """What a stage takes of a machine, by the weights of its model.

    Attributes:
        bytes_per_weight: memory of the GPUs.
        minutes_per_billion: minutes per 1e9 weights.
    """

    bytes_per_weight: float
    minutes_per_billion: float


class AnyStage(Strict):
    """A step that makes a model from models."""

    VERSION: ClassVar[int]
    """Raised when a change of code changes what the stage makes."""
    PARENTS: ClassVar[Parents] = Parents()
    READS_EXAMPLES: ClassVar[bool] = True
    """Whether it reads training examples, so that its place in a cell's path has a size."""
    REWARDED: ClassVar[bool] = False
    """Whether it learns from rewards: the judge's version counts then, and rewards can be set beside accuracy."""
    TASK: ClassVar[Literal["answer", "rerank"]] = "answer"
    """What the model that comes out does: generate an answer, or score a pair."""
    NEEDS: ClassVar[Needs]
    RUN: ClassVar[str]
    """The function that runs it, as `module:function`; resolved when it runs, because it imports torch."""

    @abstractmethod
    def identity(self, processes: int) -> dict[str, Any]:
        """Return what the weights that it makes depend on, of its own options; values at their defaults are left out.

        Args:
            processes: training processes.
        """


class Trained(AnyStage):
    """A stage that a trainer of TRL runs on the cell's examples."""

    CONFIG: ClassVar[ConfigClass]
    """The config class of TRL whose options `args` holds."""
    BATCH: ClassVar[str]
    """What `batch_size` counts."""

    on: Name | None = None
    """The set of `examples` that it trains on, in place of the cell's pool."""
    batch_size: Positive
    args: dict[str, Any] = {}
    trajectory: Annotated[int, Field(ge=0)] = 0
    """Intermediate checkpoints to keep, evenly spaced, the last step included."""

    @model_validator(mode="after")
    def _args(self) -> Trained:
        object.__setattr__(self, "args", check_args(self.CONFIG, self.args, self.batch_size))
        return self

    def identity(self, processes: int) -> dict[str, Any]:
        """Return what the weights that it makes depend on, of its own options; values at their defaults are left out.

        Args:
            processes: training processes.
        """
        fields: dict[str, Any] = {
            "batch_size": self.batch_size,
            "args": changed(self.CONFIG, self.args, self.batch_size, processes),
        }
        return fields | ({"trajectory": self.trajectory} if self.trajectory else {})
