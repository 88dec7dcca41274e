"""Whether a response is so long that it may be cut off."""

from __future__ import annotations

from typing import ClassVar

from reassess.rewards.base import Batch, Reward
from reassess.spec import Positive


class Overlong(Reward):
    """The soft punishment of length of DAPO (arXiv 2503.14476, equation 13): 0, and down to -1 over the last tokens."""

    VERSION: ClassVar[int] = 1

    buffer: Positive
    """Tokens before `max_completion_length` over which it falls from 0 to -1, evenly."""

    def of(self, batch: Batch) -> list[float | None]:
        """Return the punishments, none of them above 0."""
        assert batch.limit is not None
        free = batch.limit - self.buffer
        return [-min(max(length - free, 0) / self.buffer, 1.0) for length in batch.lengths]

    def problem(self, limit: int | None) -> str | None:
        """Return why no completion can be short enough, None where it can."""
        if limit is None or self.buffer >= limit:
            return f"buffer: {self.buffer} leaves nothing of args.max_completion_length {limit}"
        return None
