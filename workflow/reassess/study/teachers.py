"""Teachers: models that only speak, for sets of examples. They are checkpoints, or stand behind an endpoint."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Discriminator, StringConstraints, Tag, field_validator

from reassess.spec import Positive, Strict
from reassess.steps.base import Asks
from reassess.study.models import Model

# What the API's own `create` has no place for.
_NOT_OF_THE_API = ("top_k", "min_p", "repetition_penalty")
# vLLM's name for what `stop` means in a study.
_KEEPS_STOP = "include_stop_str_in_output"


class Endpoint(Strict):
    """A model behind an OpenAI-compatible API (`/chat/completions`). What it says cannot be reproduced: records say so,
    and which model the server has named."""

    endpoint: str
    """The base URL of the API, such as `https://api.openai.com/v1`."""
    name: Annotated[str, StringConstraints(min_length=1)]
    """The model under the API's own name; take one with a date, where there is one."""
    key: str | None = None
    """The name of the environment variable that has the API key, such as `OPENAI_API_KEY`; never the key itself.
    Without it none is sent."""
    concurrency: Positive = 8
    """Requests at a time."""
    extra_body: dict[str, Any] = {}
    """Put into the body of every request, under the API's or the server's own names, over what the set says:
    `reasoning_effort: low`, vLLM's `top_k: 20`; `max_tokens: null` beside `max_completion_tokens: 8192`."""

    @field_validator("endpoint")
    @classmethod
    def _is_address(cls, endpoint: str) -> str:
        parts = urllib.parse.urlsplit(endpoint)
        # Not shown: it may have a key in it.
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("an address alone, without user, password or `?...`; `key` names what has the key")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{endpoint!r} is no address of an API; expected one such as https://api.openai.com/v1")
        return endpoint.rstrip("/")

    @field_validator("key", mode="before")
    @classmethod
    def _is_variable(cls, key: Any) -> Any:
        # What somebody has put here by mistake is not shown. Keys have small letters in them, such names have none.
        if key is not None and not (isinstance(key, str) and re.fullmatch(r"[A-Z_][A-Z0-9_]*", key)):
            raise ValueError(
                "expected the name of an environment variable in capitals, such as OPENAI_API_KEY; the key itself must "
                "not stand in a study"
            )
        return key

    @field_validator("extra_body")
    @classmethod
    def _leaves_the_rest(cls, extra_body: dict[str, Any]) -> dict[str, Any]:
        decided = {"model": "`name` says it", "messages": "the set's questions", "n": "a request is one response"}
        decided["stream"] = "responses are taken whole"
        for option, why in decided.items():
            if option in extra_body:
                raise ValueError(f"{option} is not to be set here: {why}")
        return extra_body

    def identity(self) -> dict[str, Any]:
        """Return what a response depends on."""
        return self.model_dump(mode="json", include={"endpoint", "name", "extra_body"}, exclude_defaults=True)

    def misfits(self, step: Asks) -> Iterator[str]:
        """Yield what of a set it cannot do, each with its key."""
        if step.think:
            yield "think: an endpoint cannot be made to begin a response in some way; leave it out"
        changed = step.model_dump(exclude_defaults=True)
        for option in (option for option in _NOT_OF_THE_API if option in changed):
            yield (
                f"{option}: no option of the OpenAI API; where the server of {self.endpoint} takes it, put it into the "
                "teacher's `extra_body`"
            )
        if step.stop and not self.extra_body.get(_KEEPS_STOP):
            yield (
                "stop: the OpenAI API leaves the string out of the response, so that a closing tag would be missing; "
                f"leave it out, or put `{_KEEPS_STOP}: true` into the teacher's `extra_body` where the server is vLLM"
            )


def _which(given: Any) -> str:
    """Return the class that a teacher in a study is of, by its keys; of one without `endpoint`, what it looks like."""
    if isinstance(given, Model | Endpoint):
        return type(given).__name__
    keys = set(given) if isinstance(given, dict) else set()
    of_endpoint = keys & (Endpoint.model_fields.keys() - Model.model_fields.keys())
    is_endpoint = "endpoint" in keys or (of_endpoint and not keys & {"toy", "path"})
    return (Endpoint if is_endpoint else Model).__name__


Teacher = Annotated[
    Annotated[Model, Tag(Model.__name__)] | Annotated[Endpoint, Tag(Endpoint.__name__)], Discriminator(_which)
]
