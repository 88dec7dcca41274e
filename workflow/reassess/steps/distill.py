"""Traces that a model wrote: sampled, judged and chosen (rejection sampling)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, NamedTuple

from reassess.example import Example, RowError, Said
from reassess.sources.responses import read_response
from reassess.spec import Positive
from reassess.steps.base import Asks, Made, Read, left_out


class Trace(NamedTuple):
    """A response taken apart.

    Attributes:
        rationale: its reasoning.
        answer: what it ends in.
        length: its tokens.
    """

    rationale: str
    answer: str
    length: int


class Distill(Asks):
    """The examples that a model answers, with its own responses as rationales (rejection sampling, arXiv 2308.01825).

    An example keeps its id, so that sets of several teachers, and the pool, have the same questions.
    """

    VERSION: ClassVar[int] = 1
    DRAWS: ClassVar[bool] = True
    JUDGES: ClassVar[bool] = True

    kind: Literal["distill"]
    """Rationales that a model wrote."""
    samples: Positive = 1
    """Responses to each example."""
    keep: Literal["correct", "all"] = "correct"
    """`correct`: the responses that the judge calls right. `all`: every one with an answer, which SFT then imitates in
    place of the gold."""
    choose: Literal["shortest", "longest", "random", "drop-longest"] = "random"
    """Which of several are taken, and in which order: by tokens, by lot, or the longest but one, then shorter ones, as
    OpenVLThinker's code (arXiv 2503.17352, version 1.2) does."""
    per_question: Positive = 1
    """Rationales of an example, at most."""

    @property
    def count(self) -> int:
        return self.samples

    @property
    def writes(self) -> bool:
        return True

    def longest(self, read: int | None) -> int | None:
        return self.max_tokens

    def identity(self) -> dict[str, Any]:
        return {"keep": self.keep, "choose": self.choose, "per_question": self.per_question}

    def make(self, inputs: Mapping[str, Read], seed: int) -> Made:
        for example, said, _ in inputs[self.on]:
            if not said:
                continue
            wanted = [item for item in said if self.keep == "all" or item.correct]
            if not wanted:
                unjudged = all(item.correct is None for item in said)
                yield left_out(example, "no response could be judged" if unjudged else "no response is right")
                continue
            traces = list(dict.fromkeys(trace for item in wanted if (trace := _trace(item)) is not None))
            if not traces:
                yield left_out(example, "no response has reasoning before an answer")
                continue
            yield self._with(example, self._order(traces, f"{seed} {example.id}")[: self.per_question])

    def _with(self, example: Example, traces: list[Trace]) -> Example:
        answers = () if self.keep == "correct" else tuple(trace.answer for trace in traces)
        return replace(example, rationales=tuple(trace.rationale for trace in traces), answers=answers)

    def _order(self, traces: list[Trace], seed: str) -> list[Trace]:
        if self.choose == "random":
            # Of each example by itself, whatever stands before it.
            drawn = random.Random(hashlib.sha256(seed.encode()).digest())
            return drawn.sample(traces, len(traces))
        ordered = sorted(traces, key=lambda trace: trace.length, reverse=self.choose != "shortest")
        return ordered[1:] or ordered if self.choose == "drop-longest" else ordered


def _trace(said: Said) -> Trace | None:
    """Return the reasoning and the answer of a response, None where it has not both, or was cut."""
    # Of two thoughts, SFT would imitate half.
    if said.finish_reason != "stop" or said.text.count("</think>") > 1:
        return None
    try:
        found = read_response(said.text, "")
    except RowError:
        return None
    rationale = (found.rationale or "").strip()
    # A tag inside would end the reasoning of a target there.
    is_plain = rationale and not any(tag in rationale for tag in ("<think>", "</think>", "<answer>", "</answer>"))
    return Trace(rationale, found.gold, said.n_tokens) if is_plain else None
