"""What is asked of finished models, and how."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from reassess.spec import Name, Positive, Strict, near


class Decoding(Strict):
    """How responses are drawn, under vLLM's names for sampling parameters."""

    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: the smallest set of tokens with this probability."""
    max_tokens: Positive = 2048
    """Longest response in tokens; a longer one counts as truncated."""
    n: Positive = 1
    """Samples per prompt."""

    @model_validator(mode="after")
    def _greedy_is_single(self) -> Decoding:
        if self.temperature == 0 and self.n > 1:
            raise ValueError(f"n is {self.n} at temperature 0: greedy samples are all the same, use n: 1")
        return self


class Suite(Strict):
    """Benchmarks that one engine start answers."""

    benchmarks: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of benchmarks."""
    decoding: Decoding = Decoding()
    """How responses are drawn."""
    checkpoints: Literal["final", "trajectory"] = "final"
    """`final`: every finished model. `trajectory`: the intermediate checkpoints of stages that keep them."""
    sizes: tuple[Positive, ...] | None = None
    """With `checkpoints: trajectory`, the sizes whose runs are evaluated; all by default."""


# The module of each engine, in the order in which `auto` tries them. Resolved when one is started: torch takes seconds.
ENGINES = {
    "vllm": "reassess.engines.vllm",
    "transformers": "reassess.engines.transformers",
}


class Evaluation(Strict):
    """The generation engine."""

    engine: Annotated[str, Field(json_schema_extra={"enum": ["auto", *ENGINES]})] = "auto"
    """`auto` takes vLLM where it imports and can run, else transformers."""
    batch_size: Positive = 64
    """Prompts per batch of the transformers engine."""
    engine_args: dict[str, Any] = {}
    """Passed to `vllm.LLM` under its own names."""

    @field_validator("engine")
    @classmethod
    def _known(cls, engine: str) -> str:
        if engine not in ("auto", *ENGINES):
            known = f"{near(engine, ENGINES, n=1)}known: auto, {', '.join(ENGINES)}"
            raise ValueError(f"{engine!r} is no engine; {known}")
        return engine
