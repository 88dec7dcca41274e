"""What an official rule reads and says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# The key of an example's metadata under which gold and options stand as they do in the data set, where examples have
# them otherwise: a letter in place of an option's text, no options where a picture shows them.
PUBLISHED = "as published"


class Item(NamedTuple):
    """One response to one question, as an official rule reads it.

    Attributes:
        reply: what follows the reasoning: the content of the last `<answer>`, else what follows `</think>`, else all.
        gold: the reference answer as it stands in the data set.
        options: texts of the options, in order; empty for open questions.
        metadata: the benchmark's own columns that its rule needs, under their own names.
        model_answer: what a judge model answered to the official prompt, None where none was asked.
    """

    reply: str
    gold: str
    options: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = {}
    model_answer: str | None = None


class Outcome(NamedTuple):
    """The official verdict.

    Attributes:
        correct: None where the official rule would ask a large model, or draw an answer at random.
        answer: what the rule read from the reply, None where it read nothing.
        reason: a few words for a person.
    """

    correct: bool | None
    answer: str | None
    reason: str


class Row(NamedTuple):
    """One scored question for a benchmark's own summary.

    Attributes:
        id: the question's.
        correct: the official verdict; None counts as wrong in a summary.
        metadata: the question's.
        answer: what the rule read from the reply (`Outcome.answer`).
    """

    id: str
    correct: bool | None
    metadata: Mapping[str, Any] = {}
    answer: str | None = None
