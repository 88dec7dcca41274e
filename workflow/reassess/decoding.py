"""How responses are drawn, for whoever asks a model: suites, and sets of examples that a model makes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from reassess.spec import Positive, Strict

# Below it vLLM draws at this temperature.
LEAST_TEMPERATURE = 0.01
# What says nothing where the most probable token is taken.
_OF_DRAWING = ("top_p", "top_k", "min_p")


class Sampling(Strict):
    """How one response is drawn, under vLLM's names for sampling parameters."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: the smallest set of tokens with this probability, of those that `min_p` and `top_k` leave."""
    top_k: Positive | None = None
    """Draws among this many of the most probable tokens; among all by default."""
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Draws among tokens whose probability is at least this share of the most probable one's."""
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    """Above 1 makes every token less probable that stands in the prompt or in the response so far, also when greedy."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """A response ends where one of these strings stands in it. It stays part of the response, so that a closing tag is
    judged; special tokens are no part of one."""
    max_tokens: Positive = 2048
    """Longest response in tokens; a longer one counts as truncated."""

    @field_validator("top_k", mode="before")
    @classmethod
    def _not_all(cls, top_k: Any) -> Any:
        # What vLLM, transformers and model cards write for no limit.
        if top_k in (0, -1) and not isinstance(top_k, bool):
            raise ValueError(f"{top_k} is not at least 1; leave it out to draw among all tokens")
        return top_k

    @model_validator(mode="after")
    def _draws_as_said(self) -> Sampling:
        if 0 < self.temperature < LEAST_TEMPERATURE:
            raise ValueError(
                f"temperature is {self.temperature}: vLLM never draws below {LEAST_TEMPERATURE}; use 0 (greedy) or more"
            )
        for name in _OF_DRAWING if self.temperature == 0 else ():
            if (value := getattr(self, name)) != Sampling.model_fields[name].default:
                raise ValueError(
                    f"{name} is {value} at temperature 0: greedy decoding draws nothing; set temperature, "
                    f"or leave {name} out"
                )
        return self


class Decoding(Sampling):
    """How responses are drawn, under vLLM's names for sampling parameters."""

    n: Positive = 1
    """Samples per prompt."""

    @model_validator(mode="after")
    def _differ(self) -> Decoding:
        if self.temperature == 0 and self.n > 1:
            raise ValueError(f"n is {self.n} at temperature 0: greedy samples are all the same, use n: 1")
        return self

    def recorded(self) -> dict[str, Any]:
        """Return what records say of it: `temperature`, `top_p`, `max_tokens`, `n`, and of the rest what is set."""
        always = self.model_dump(mode="json", include={"temperature", "top_p", "max_tokens", "n"})
        return always | self.model_dump(mode="json", exclude_defaults=True)

    def drawn(self) -> dict[str, Any]:
        """Return what one response depends on."""
        unread = {"n"} if self.temperature > 0 else {"n", *_OF_DRAWING}
        return {name: value for name, value in self.recorded().items() if name not in unread}
