"""Group relative policy optimisation."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from reassess.rewards import Rewards
from reassess.spec import Positive
from reassess.stages.base import Needs, Trained
from reassess.stages.config_class import ConfigClass, config_fields
from reassess.stages.sft import TRAINING_BYTES
from reassess.stages.trainer_args import TRAINER
from reassess.versions import JUDGE_VERSION

# Sampling in the training process: beside the training state, weights cast to bfloat16 (2) and a KV cache (1).
ROLLOUT_BYTES = 3


class GrpoStage(Trained):
    """Group relative policy optimisation (arXiv 2402.03300) through `trl.GRPOTrainer`."""

    VERSION: ClassVar[int] = 3
    REWARDED: ClassVar[bool] = True
    # Twice the time of SFT, for its sampling.
    NEEDS: ClassVar[Needs] = Needs(TRAINING_BYTES + ROLLOUT_BYTES, 120, host_bytes_per_weight=TRAINING_BYTES)
    CONFIG: ClassVar[ConfigClass] = ConfigClass("trl/trainer/grpo_config.py", "GRPOConfig", TRAINER)
    BATCH: ClassVar[str] = "completions"
    RUN: ClassVar[str] = "reassess.train.grpo:run"

    kind: Literal["grpo"]
    """Group relative policy optimisation."""
    batch_size: Positive
    """Completions per optimizer step, over all devices and accumulation steps."""
    rewards: Rewards
    """Rewards by name, each with its weight, as `accuracy: 1.0` or `overlong: {weight: 1.0, buffer: 512}`."""
    args: dict[str, Any] = {}
    """Options of `trl.GRPOConfig` under their own names; `temperature`, `top_p`, `top_k`, `min_p`, `repetition_penalty`
    and `generation_kwargs` are those of rollouts."""

    @model_validator(mode="after")
    def _fits(self) -> GrpoStage:
        generations = self.args.get("num_generations", 8)  # TRL's default
        if generations is None or generations < 2 or self.batch_size % generations:
            raise ValueError(
                f"args.num_generations: {generations} must be at least 2 and divide batch_size {self.batch_size}"
            )
        limit = self.args.get("max_completion_length", config_fields(self.CONFIG)["max_completion_length"][1])
        further = self.args.get("generation_kwargs")
        if isinstance(further, dict) and "stop_strings" in further:
            raise ValueError("args.generation_kwargs.stop_strings cannot be set: TRL's completions end at tokens alone")
        for name, reward in self.rewards.chosen.items():
            if problem := reward.problem(limit):
                raise ValueError(f"rewards.{name}.{problem}")
        return self

    def misfit_of_mixed(self, distributed: str) -> str | None:
        return "TRL's GRPO cannot mix them in a batch"

    def identity(self, processes: int) -> dict[str, Any]:
        """Return what the weights that it makes depend on, of its own options."""
        return {**super().identity(processes), "rewards": self.rewards.identity(), "judge": JUDGE_VERSION}
