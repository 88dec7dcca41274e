"""Whether a response has the form that the prompt asks for."""

from __future__ import annotations

from typing import ClassVar

from reassess.rewards.base import Batch, Reward


class Format(Reward):
    """1 for a response in the form that the study's prompt asks for, 0 for another."""

    VERSION: ClassVar[int] = 1

    def of(self, batch: Batch) -> list[float | None]:
        """Return whether the responses have the form."""
        from reassess.judge import follows_format

        return [float(follows_format(text, batch.form)) for text in batch.texts]
