"""What is asked of finished models, and how."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from reassess.decoding import Decoding
from reassess.spec import Name, Positive, Strict, near


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
