"""How a stage of reinforcement learning samples its completions, and which of them it learns from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from reassess.spec import Positive, Strict
from reassess.stages import engine_args

# Arguments of `vllm.LLM` that rollouts set themselves.
REFUSED = {
    **engine_args.REFUSED,
    "distributed_executor_backend": "every training process has an engine of its own, in the process",
    "load_format": "weights come from the trainer",
    "logprobs_mode": "it follows from the options of sampling",
    "seed": "every completion has a seed of its own",
    "tensor_parallel_size": "every training process has an engine of its own, on its own GPU",
}
# How a completion's seed is made (`reassess.train.rollouts.seeds`); another way is another number.
SEEDS = 1
# Options of TRL's config that make the sampled distribution another one than the trained, with the values at which they
# do not.
SHAPING: dict[str, tuple[Any, ...]] = {
    "top_p": (None, 1),
    "top_k": (None, 0, -1),
    "min_p": (None, 0),
    "repetition_penalty": (None, 1),
}


class Rollouts(Strict):
    """Where completions come from, and how far their log-probabilities may be from the trainer's."""

    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """`vllm` samples with an engine beside the model in every training process, which gets the weights before each
    step; `transformers` with the trained model itself. `auto` takes vLLM where the job has a GPU or
    `dynamic_sampling` needs it."""
    engine_args: dict[str, Any] = {}
    """Passed to `vllm.LLM` under its own names."""
    max_logp_difference: Annotated[float, Field(gt=0)] | None = None
    """A step in which the log-probabilities of vLLM and the trainer differ by more than this on average ends the run;
    0.001 by default in float32 and 0.1 in bfloat16."""

    @model_validator(mode="after")
    def _engine_args(self) -> Rollouts:
        if problem := engine_args.problem(self.engine_args, REFUSED):
            raise ValueError(problem)
        if self.engine == "transformers":
            for name in ("engine_args", "max_logp_difference"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} is of vLLM, and the engine is transformers; leave one of the two out")
        return self


class DynamicSampling(Strict):
    """Learns from groups alone that have right and wrong completions (DAPO, arXiv 2503.14476, section 3.2)."""

    max_attempts: Positive = 10
    """A step draws prompts at most so often; what is missing then is filled with groups that teach nothing."""
    budget: Literal["steps", "prompts"] = "steps"
    """What `num_train_epochs` and `max_steps` stand for. `steps`: as many optimizer steps as without it, and more
    prompts drawn. `prompts`: as many prompts drawn as without it, and fewer steps."""


def shaped(args: Mapping[str, Any]) -> str | None:
    """Return the option with which a study samples from another distribution than it trains, None where none does."""
    return next((name for name, plain in SHAPING.items() if args.get(name) not in plain), None)
