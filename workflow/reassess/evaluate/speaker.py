"""Who is asked: a model on this machine, or one behind an endpoint."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from reassess.engines.base import Answers, EngineInfo, Response
from reassess.example import Example
from reassess.models.reader import Reading
from reassess.prompts import Prompt
from reassess.study.teachers import Endpoint

# Requests of an endpoint that are refused before the job is given up, where it has never answered one: an option that
# it does not take, or a picture, would be refused in every other request too.
PATIENCE = 50


class Checkpoint(NamedTuple):
    """A checkpoint to evaluate; `step` is None for a finished model. For an endpoint `path` is its address."""

    step: int | None
    path: str
    fingerprint: str


class Reads(Protocol):
    """How examples become what is asked."""

    def read(self, example: Example) -> Reading:
        """Return an example as it is asked. Raises Unreadable where it cannot be."""

    def forced(self, text: str) -> str:
        """Return a prompt after which the model goes on thinking."""


class Speaker(NamedTuple):
    """Who is asked.

    Attributes:
        checkpoints: its checkpoints; of an endpoint the one that there is.
        reader: how it is asked.
        info: the engine.
        held: what a prompt already holds of the response.
        facts: what records say of it beside.
        start: returns a started engine with the checkpoint at a path.
        patience: failed responses after which one that has never answered is given up, None for never.
    """

    checkpoints: list[Checkpoint]
    reader: Reads
    info: EngineInfo
    held: str
    facts: dict[str, Any]
    start: Callable[[str], Answers]
    patience: int | None = None


class Served:
    """Counts what an endpoint says of its responses: who has answered, and the tokens that it counts."""

    def __init__(self) -> None:
        self._by: Counter[str] = Counter()
        self._prompt = self._completion = 0

    def add(self, response: Response) -> None:
        """Count a response; that of an engine on this machine says nothing of this."""
        if response.served is not None:
            self._by[response.served] += 1
            self._prompt += response.prompt_tokens
            self._completion += response.n_tokens

    def record(self) -> dict[str, Any]:
        """Return what records say of it, nothing of an engine on this machine."""
        usage = {"prompt_tokens": self._prompt, "completion_tokens": self._completion}
        return {"served": dict(self._by), "usage": usage} if self._by else {}


def behind(endpoint: Endpoint, prompt: Prompt, where: str) -> Speaker:
    """Return the model behind an endpoint.

    Args:
        endpoint: the endpoint.
        prompt: the prompt of what is asked.
        where: the endpoint's key path in the study.
    """
    # Seconds, which jobs on a model need not wait for.
    from reassess.engines.endpoint import EndpointEngine, EndpointReader

    reader = EndpointReader(prompt)
    named = json.dumps([endpoint.endpoint, endpoint.name])
    checkpoint = Checkpoint(None, endpoint.endpoint, hashlib.sha256(named.encode()).hexdigest())
    how = f"{endpoint.name} at {endpoint.endpoint}, {endpoint.concurrency} requests at a time"
    return Speaker(
        checkpoints=[checkpoint],
        reader=reader,
        info=EngineInfo("endpoint", "", "", how, args=endpoint.extra_body),
        held="",
        facts={"endpoint": endpoint.identity(), "reproducible": False},
        start=lambda _: EndpointEngine(endpoint, reader, where),
        patience=PATIENCE,
    )
