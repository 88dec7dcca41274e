"""The rewards of reinforcement learning: one file each, and the table of them."""

from __future__ import annotations

from typing import get_args

from pydantic import model_validator

from reassess.rewards.accuracy import Accuracy
from reassess.rewards.base import Batch, Reward
from reassess.rewards.format import Format
from reassess.rewards.overlong import Overlong
from reassess.spec import Strict

__all__ = ["REWARDS", "Batch", "Reward", "Rewards"]


class Rewards(Strict):
    """What completions are rewarded for: the weighted sum of these. A number alone is a weight."""

    accuracy: Accuracy | None = None
    format: Format | None = None
    overlong: Overlong | None = None

    @model_validator(mode="after")
    def _weights(self) -> Rewards:
        weights = {name: reward.weight for name, reward in self.chosen.items()}
        if sum(weights.values()) <= 0 or any(weight < 0 for weight in weights.values()):
            raise ValueError(f"{weights}: weights must not be negative and their sum must be above 0")
        return self

    @property
    def chosen(self) -> dict[str, Reward]:
        """The rewards that are given, by name, in the order of the table."""
        return {name: reward for name in REWARDS if (reward := getattr(self, name)) is not None}

    def identity(self) -> dict[str, object]:
        """Return what the sum depends on."""
        return {name: reward.identity() for name, reward in self.chosen.items()}


REWARDS: dict[str, type[Reward]] = {name: get_args(field.annotation)[0] for name, field in Rewards.model_fields.items()}
