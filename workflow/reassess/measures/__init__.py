"""What checkpoints are asked beside answers: one file per kind of measure, and the union of them."""

from __future__ import annotations

from reassess.measures.nll import Nll

# With a second one: Annotated[Nll | ..., Field(discriminator="kind")], as in `reassess.sources`.
Measure = Nll
