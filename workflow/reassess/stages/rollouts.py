"""How a stage of reinforcement learning samples its completions, and which of them it learns from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from reassess.spec import Positive, Strict
from reassess.stages import engine_args

Share = Annotated[float, Field(ge=0, le=1)]
_OWN_ENGINE = "every training process has an engine of its own, on its own GPU"
# Arguments of `vllm.LLM` that rollouts set themselves.
REFUSED = {
    **engine_args.REFUSED,
    "data_parallel_size": _OWN_ENGINE,
    "distributed_executor_backend": "every training process has an engine of its own, in the process",
    "load_format": "weights come from the trainer",
    "logprobs_mode": "it follows from the options of sampling",
    "seed": "every completion has a seed of its own",
    "max_model_len": "it is models.<name>.max_prompt_length and args.max_completion_length together",
    "pipeline_parallel_size": _OWN_ENGINE,
    "tensor_parallel_size": _OWN_ENGINE,
}
# How a completion's seed is made (`reassess.train.rollouts.Rollouts.roll`); another way is another number.
SEEDS = 1
# Options of TRL's config that make the sampled distribution another one than the trained, with the values at which they
# do not.
SHAPING: dict[str, tuple[Any, ...]] = {
    "top_p": (None, 1),
    "top_k": (None, 0, -1),
    "min_p": (None, 0),
    "repetition_penalty": (None, 1),
}
# Options of `vllm.SamplingParams` that are not to be set under `generation_kwargs`, and what to do instead: the trainer
# would not know of them, or rollouts need them as they are.
_UNDER_ARGS, _NEEDED = "set it under `args`", "rollouts need their own"
REFUSED_SAMPLING = {
    **dict.fromkeys(("temperature", *SHAPING), _UNDER_ARGS),
    **dict.fromkeys(("detokenize", "logprobs", "stop_token_ids"), _NEEDED),
    "max_tokens": "set `args.max_completion_length`",
    "n": "set `args.num_generations`",
    "seed": "every completion has a seed of its own",
    "stop": "TRL's completions end at tokens alone",
}
# TRL's option of how tokens are weighed for what differs, and its default.
CORRECTION_MODE, CORRECTS_BY = "vllm_importance_sampling_mode", "sequence_mask"


class Rollouts(Strict):
    """Where completions come from, and how far their log-probabilities may be from the trainer's."""

    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """`vllm` samples with an engine beside the model in every training process, which gets the weights before each
    step; `transformers` with the trained model itself. `auto` takes vLLM where the job has a GPU or
    `resample` needs it."""
    engine_args: dict[str, Any] = {}
    """Passed to `vllm.LLM` under its own names."""
    max_logp_difference: Annotated[float, Field(gt=0, strict=True)] | None = None
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


class Resample(Strict):
    """Learns from groups alone that have right and wrong completions (DAPO, arXiv 2503.14476, section 3.2)."""

    accuracy: tuple[Share, Share] = (0.01, 0.99)
    """A group is kept where its mean accuracy is between these, and not the same for all of its completions. The
    default is EasyR1's."""
    rounds: Positive = 10
    """A step draws prompts at most so often; what is missing then is filled with groups that are not learnt from."""
    budget: Literal["steps", "prompts"] = "steps"
    """What `num_train_epochs` and `max_steps` stand for. `steps`: as many optimizer steps as without it, and more
    prompts drawn. `prompts`: as many prompts drawn as without it, and fewer steps."""

    @model_validator(mode="after")
    def _ascends(self) -> Resample:
        low, high = self.accuracy
        if low >= high:
            raise ValueError(f"accuracy: [{low:g}, {high:g}] has nothing between; give the smaller bound first")
        return self


def misfit(args: Mapping[str, Any], corrects: bool) -> str | None:
    """Return why vLLM cannot sample with options of TRL's config, None where it can.

    Args:
        args: the options.
        corrects: whether tokens are weighed for the difference between sampler and trainer.
    """
    for name in args.get("generation_kwargs") or {}:
        if name in REFUSED_SAMPLING:
            return f"args.generation_kwargs.{name} cannot be set where vLLM samples: {REFUSED_SAMPLING[name]}"
    if args.get("max_completion_length", 1) is None:
        return "args.max_completion_length: vLLM needs a number of tokens"
    # vLLM gives log-probabilities before all options of sampling or after all of them, and the trainer knows the
    # temperature alone.
    if args.get("temperature", 1) != 1 and (name := shaped(args)) is not None:
        return (
            f"args.{name}: with a temperature that is not 1 vLLM's log-probabilities cannot be compared with the "
            "trainer's; leave one of the two out, or set `rollouts: {engine: transformers}`"
        )
    mode = args.get(CORRECTION_MODE, CORRECTS_BY)
    if corrects and args.get("loss_type") == "vespo" and not mode.startswith("token_"):
        return f"args.{CORRECTION_MODE}: the loss `vespo` needs token_mask or token_truncate, and this is {mode}"
    return None


def shaped(args: Mapping[str, Any]) -> str | None:
    """Return the option with which a study samples from another distribution than it trains, None where none does."""
    return next((name for name, plain in SHAPING.items() if args.get(name) not in plain), None)
