"""The ways in which examples are made from others: one file each, and the union of them."""

from __future__ import annotations

from reassess.steps.where import Where

# With a second one: Annotated[Where | ..., Field(discriminator="kind")], as in `reassess.sources`.
Step = Where
