"""Group relative policy optimisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from reassess.stages.base import Needs
from reassess.stages.config_class import ConfigClass
from reassess.stages.engine_args import counting, vllm_version
from reassess.stages.epochs import Work
from reassess.stages.reinforced import ROLLOUT_BYTES, Reinforced
from reassess.stages.rollouts import CORRECTION_MODE, SEEDS, Resample, Rollouts, misfit
from reassess.stages.sft import TRAINING_BYTES
from reassess.stages.trainer_args import TRAINER

# On the host, of every process: while the model trains, the weights of its sleeping engine in bfloat16.
ASLEEP_BYTES = 2
# Of TRL 1.16 (trl/trainer/grpo_trainer.py).
CHOICES = {
    "loss_type": ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "importance_sampling_level": ("token", "sequence"),
    "scale_rewards": ("group", "batch", "none"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    CORRECTION_MODE: ("sequence_mask", "sequence_truncate", "token_mask", "token_truncate"),
}
# TRL's name of the weights for what sampler and trainer have different probabilities of, and its default.
CORRECTION, CORRECTS = "vllm_importance_sampling_correction", True


class GrpoStage(Reinforced):
    """Group relative policy optimisation (arXiv 2402.03300) through `trl.GRPOTrainer`.

    DAPO, Dr. GRPO and GSPO are options of it (docs/rl.md).
    """

    VERSION: ClassVar[int] = 3
    # Twice the time of SFT, for its sampling.
    NEEDS: ClassVar[Needs] = Needs(TRAINING_BYTES + ROLLOUT_BYTES, 120, TRAINING_BYTES, ASLEEP_BYTES)
    CONFIG: ClassVar[ConfigClass] = ConfigClass("trl/trainer/grpo_config.py", "GRPOConfig", TRAINER)
    RUN: ClassVar[str] = "reassess.train.grpo:run"
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = CHOICES

    kind: Literal["grpo"]
    """Group relative policy optimisation."""
    rollouts: Rollouts = Rollouts()
    """Where completions come from."""
    resample: Resample | None = None
    """Draws prompts until enough groups have right and wrong completions, as `{}` or with its keys; needs vLLM."""
    args: dict[str, Any] = {}
    """Options of `trl.GRPOConfig` under their own names; `temperature`, `top_p`, `top_k`, `min_p`, `repetition_penalty`
    and `generation_kwargs` are those of rollouts. `vllm_importance_sampling_correction` (on, as in TRL) and the options
    of its name count with vLLM, and cost a forward pass."""

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
        generations, (low, high) = self._value("num_generations"), self.resample.accuracy
        if not any(low < right / generations < high for right in range(1, generations)):
            raise ValueError(
                f"resample.accuracy: no mean of {generations} completions (args.num_generations) is between {low:g} "
                f"and {high:g}; give a wider band"
            )
        if self.resample.budget == "prompts" and self.trajectory:
            raise ValueError("trajectory: with `resample.budget: prompts` its steps are not known beforehand")
        return self

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

    def work(self, examples: int, processes: int) -> Work:
        found = super().work(examples, processes)
        if self.resample is None or self.resample.budget == "prompts":
            return found
        rounds = self.resample.rounds
        return found._replace(prompts=found.prompts * rounds, completions=found.completions * rounds)

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

    def identity(self, processes: int, gpus: int) -> dict[str, Any]:
        """Return what the weights that it makes depend on, of its own options."""
        found = super().identity(processes, gpus)
        if self.sampler(gpus) == "vllm":
            rule = {"engine": "vllm", "version": vllm_version(), "seeds": SEEDS}
            found["rollouts"] = {**rule, "engine_args": counting(self.rollouts.engine_args)}
        if self.resample is not None:
            found["resample"] = self.resample.model_dump()
        return found
