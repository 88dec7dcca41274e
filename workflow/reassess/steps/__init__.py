"""The ways in which examples are made from others: one file each, and the union of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reassess.steps.ask import Ask
from reassess.steps.band import Band
from reassess.steps.distill import Distill
from reassess.steps.mix import Mix
from reassess.steps.score import Score
from reassess.steps.where import Where

Step = Annotated[Where | Distill | Band | Ask | Score | Mix, Field(discriminator="kind")]
