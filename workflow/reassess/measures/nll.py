"""How likely a model finds given responses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from reassess.measures.base import Base

# Where exp is beyond a float.
_MOST = 709.0


class Nll(Base):
    """Negative log-likelihood, per token, of the responses that SFT would imitate: of each example its first rationale
    and its gold, the token that ends them included. It is the loss of SFT on these examples."""

    VERSION: ClassVar[int] = 1
    RUN: ClassVar[str] = "reassess.evaluate.nll:run"
    COLUMNS: ClassVar[tuple[str, ...]] = ("nll", "tokens", "sum")
    UNIT: ClassVar[str] = "nats per token"
    READS_RESPONSES: ClassVar[bool] = True

    kind: Literal["nll"]
    """The likelihood of given responses."""

    def summary(self, n: int, sums: Mapping[str, float]) -> dict[str, float]:
        """Return `nll` (the mean over examples of their mean over tokens), `nll_over_tokens` (the mean over all tokens
        alike), `perplexity` (its exponential) and `tokens` (the mean length of a response)."""
        over_tokens = sums["sum"] / sums["tokens"]
        return {
            "nll": sums["nll"] / n,
            "nll_over_tokens": over_tokens,
            "perplexity": math.exp(min(over_tokens, _MOST)),
            "tokens": sums["tokens"] / n,
        }
