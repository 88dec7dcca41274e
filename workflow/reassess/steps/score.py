"""How likely a model finds the examples' own responses, as columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from reassess.steps.base import Made, Read, Spoken


class Score(Spoken):
    """The examples with the likelihood of their first rationale and gold under a model: the columns `nll` (nats per
    token), `perplexity` (its exponential) and `tokens`. See the measure `nll`."""

    VERSION: ClassVar[int] = 1

    kind: Literal["score"]
    """Every example, with how likely a model finds its response."""

    def identity(self) -> dict[str, Any]:
        return {}

    @property
    def fills(self) -> tuple[str, ...]:
        return ("nll", "perplexity", "tokens")

    def make(self, inputs: Mapping[str, Read], seed: int) -> Made:
        for example, _, found in inputs[self.on]:
            assert found is not None
            columns = {"nll": found["nll"], "perplexity": math.exp(found["nll"]), "tokens": found["tokens"]}
            yield example.with_columns(**columns)
