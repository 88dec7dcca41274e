"""Group relative policy optimisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from reassess.rewards import Rewards
from reassess.spec import Positive, near
from reassess.stages.base import Needs, Trained
from reassess.stages.config_class import ConfigClass, config_fields
from reassess.stages.engine_args import counting, vllm_version
from reassess.stages.rollouts import CORRECTION_MODE, SEEDS, Resample, Rollouts, misfit
from reassess.stages.sft import TRAINING_BYTES
from reassess.stages.trainer_args import TRAINER
from reassess.versions import JUDGE_VERSION

# Sampling in the training process: beside the training state, weights cast to bfloat16 (2) and a KV cache (1).
ROLLOUT_BYTES = 3
# On the host, of every process: while the model trains, the weights of its sleeping engine in bfloat16.
ASLEEP_BYTES = 2
# Of TRL 1.16, options whose values it looks at when it computes the first loss (trl/trainer/grpo_trainer.py).
CHOICES = {
    "loss_type": ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "importance_sampling_level": ("token", "sequence"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    CORRECTION_MODE: ("sequence_mask", "sequence_truncate", "token_mask", "token_truncate"),
}
# TRL's name of the weights for what sampler and trainer have different probabilities of, and its default.
CORRECTION, CORRECTS = "vllm_importance_sampling_correction", True


class GrpoStage(Trained):
    """Group relative policy optimisation (arXiv 2402.03300) through `trl.GRPOTrainer`."""

    VERSION: ClassVar[int] = 3
    REWARDED: ClassVar[bool] = True
    # Twice the time of SFT, for its sampling.
    NEEDS: ClassVar[Needs] = Needs(TRAINING_BYTES + ROLLOUT_BYTES, 120, TRAINING_BYTES, ASLEEP_BYTES)
    CONFIG: ClassVar[ConfigClass] = ConfigClass("trl/trainer/grpo_config.py", "GRPOConfig", TRAINER)
    BATCH: ClassVar[str] = "completions"
    RUN: ClassVar[str] = "reassess.train.grpo:run"

    kind: Literal["grpo"]
    """Group relative policy optimisation."""
    batch_size: Positive
    """Completions per optimizer step, over all devices and accumulation steps."""
    rewards: Rewards
    """Rewards by name, each with its weight, as `accuracy: 1.0` or `overlong: {weight: 1.0, buffer: 512}`."""
    rollouts: Rollouts = Rollouts()
    """Where completions come from."""
    resample: Resample | None = None
    """Draws prompts until enough groups have right and wrong completions, as `{}` or with its keys; needs vLLM."""
    args: dict[str, Any] = {}
    """Options of `trl.GRPOConfig` under their own names; `temperature`, `top_p`, `top_k`, `min_p`, `repetition_penalty`
    and `generation_kwargs` are those of rollouts. `vllm_importance_sampling_correction` (on, as in TRL) and the options
    of its name count with vLLM, and cost a forward pass."""

    @model_validator(mode="after")
    def _fits(self) -> GrpoStage:
        generations = self._generations
        if generations is None or generations < 2 or self.batch_size % generations:
            raise ValueError(
                f"args.num_generations: {generations} must be at least 2 and divide batch_size {self.batch_size}"
            )
        for key, known in CHOICES.items():
            if (value := self.args.get(key, known[0])) not in known:
                hint = near(str(value), known)
                raise ValueError(f"args.{key}: {value!r} is not valid; {hint}TRL has {', '.join(known)}")
        limit = self.args.get("max_completion_length", config_fields(self.CONFIG)["max_completion_length"][1])
        further = self.args.get("generation_kwargs")
        if isinstance(further, str):
            raise ValueError(f"args.generation_kwargs: {further!r} is text; give a mapping")
        if isinstance(further, dict) and "stop_strings" in further:
            raise ValueError("args.generation_kwargs.stop_strings cannot be set: TRL's completions end at tokens alone")
        for name, reward in self.rewards.chosen.items():
            if problem := reward.problem(limit):
                raise ValueError(f"rewards.{name}.{problem}")
        return self

    @model_validator(mode="after")
    def _samples(self) -> GrpoStage:
        if self.rollouts.engine == "transformers" and (mine := [name for name in self.args if "vllm" in name]):
            raise ValueError(f"args.{mine[0]}: says nothing where `rollouts.engine` is transformers; leave it out")
        if self.resample is None:
            return self
        if self.rollouts.engine == "transformers":
            raise ValueError("resample: needs vLLM, and `rollouts.engine` is transformers")
        if self.rewards.accuracy is None:
            raise ValueError("resample: keeps groups by the reward `accuracy`; add `accuracy: 1.0` to rewards")
        generations, (low, high) = self._generations, self.resample.accuracy
        if not any(low < right / generations < high for right in range(1, generations)):
            raise ValueError(
                f"resample.accuracy: no mean of {generations} completions (args.num_generations) is between {low:g} "
                f"and {high:g}; give a wider band"
            )
        if self.resample.budget == "prompts" and self.trajectory:
            raise ValueError("trajectory: with `resample.budget: prompts` its steps are not known beforehand")
        return self

    @property
    def _generations(self) -> Any:
        return self.args.get("num_generations", config_fields(self.CONFIG)["num_generations"][1])

    def sampler(self, gpus: int) -> str:
        if self.rollouts.engine != "auto":
            return self.rollouts.engine
        return "vllm" if gpus or self.resample is not None else "transformers"

    @property
    def drawing(self) -> Sequence[str]:
        if self.resample is None:
            return ()
        low, high = self.resample.accuracy
        return (
            f"resampled for an accuracy between {low:g} and {high:g} in at most {self.resample.rounds} rounds",
            f"as many {self.resample.budget} as without that",
        )

    @property
    def corrects(self) -> bool:
        """Whether tokens are weighed for the difference between sampler and trainer, where vLLM samples."""
        return bool(self.args.get(CORRECTION, CORRECTS))

    def misfit_of_sampler(self, gpus: int) -> str | None:
        if self.sampler(gpus) != "vllm":
            return None
        if (self.lora or {}).get("lora_dropout") and not self.args.get("disable_dropout"):
            return (
                "lora.lora_dropout: vLLM samples with the whole adapter, and the trainer would learn with parts of it "
                "dropped out; leave it out, or set `rollouts: {engine: transformers}`"
            )
        return misfit(self.args, self.corrects)

    def misfit_of_mixed(self, distributed: str, gpus: int) -> str | None:
        if self.sampler(gpus) != "vllm":
            return "TRL's own sampling cannot mix them in a batch (`rollouts: {engine: vllm}` can)"
        return super().misfit_of_mixed(distributed, gpus)

    def identity(self, processes: int, gpus: int) -> dict[str, Any]:
        """Return what the weights that it makes depend on, of its own options."""
        found = {**super().identity(processes, gpus), "rewards": self.rewards.identity(), "judge": JUDGE_VERSION}
        if self.sampler(gpus) == "vllm":
            rule = {"engine": "vllm", "version": vllm_version(), "seeds": SEEDS}
            found["rollouts"] = {**rule, "engine_args": counting(self.rollouts.engine_args)}
        if self.resample is not None:
            found["resample"] = self.resample.model_dump()
        return found
