"""What every reward says of itself, and what it is given."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field, model_validator

from reassess.spec import Short


class Batch(NamedTuple):
    """The completions that are rewarded together; every list has one item for each.

    Attributes:
        texts: what the model has said.
        ids: its token ids, that of the end included.
        golds: the gold answers.
        kinds: kinds of the gold answers.
        options: the options of the questions.
        limit: tokens that a completion may have, None for any number.
        form: the form that the study's prompt asks responses to have.
        log_metric: takes name and value of what is logged beside the reward.
        log_column: takes name and values of a column of the logged completions.
    """

    texts: list[str]
    ids: list[list[int]]
    golds: list[str]
    kinds: list[str]
    options: list[list[str]]
    limit: int | None
    form: str
    log_metric: Callable[[str, float], object] = lambda name, value: None
    log_column: Callable[[str, list[Any]], object] = lambda name, values: None

    @property
    def lengths(self) -> list[int]:
        """Tokens of the completions."""
        return [len(ids) for ids in self.ids]


class Reward(Short):
    """A reward of completions, with its weight in their sum. A number alone is a weight."""

    SHORT: ClassVar[dict[str, Any]] = {"type": "number"}
    VERSION: ClassVar[int]
    """Raised when a change of code changes what it gives."""
    MODEL: ClassVar[str | None] = None
    """The key that names a model which it asks, None where it asks none."""

    weight: Annotated[float, Field(allow_inf_nan=False)]
    """Its share of the sum. What punishes gives negative values, and has a positive weight too."""

    @model_validator(mode="before")
    @classmethod
    def _number(cls, data: Any) -> Any:
        return data if isinstance(data, dict | Reward) else {"weight": data}

    @abstractmethod
    def of(self, batch: Batch) -> list[float | None]:
        """Return the reward of each completion, None where there is none to give."""

    def problem(self, limit: int | None) -> str | None:
        """Return what does not fit completions of at most `limit` tokens, None where all does."""
        return None

    def identity(self) -> dict[str, Any]:
        """Return what the rewards that it gives depend on."""
        return {"version": self.VERSION, **self.model_dump(mode="json", exclude_defaults=True)}
