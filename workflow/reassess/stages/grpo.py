"""Group relative policy optimisation."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from reassess.spec import Positive
from reassess.stages.base import Needs, Trained
from reassess.stages.sft import TRAINING_BYTES
from reassess.stages.trainer_args import ConfigClass
from reassess.versions import JUDGE_VERSION

RewardName = Literal["accuracy", "format"]
# Sampling in the training process: beside the training state, weights cast to bfloat16 (2) and a KV cache (1).
ROLLOUT_BYTES = 3


class GrpoStage(Trained):
    """Group relative policy optimisation (arXiv 2402.03300) through `trl.GRPOTrainer`."""

    VERSION: ClassVar[int] = 1
    # Twice the time of SFT, for its sampling.
    NEEDS: ClassVar[Needs] = Needs(bytes_per_weight=TRAINING_BYTES + ROLLOUT_BYTES, minutes_per_billion=120)
    CONFIG: ClassVar[ConfigClass] = ConfigClass("trl/trainer/grpo_config.py", "GRPOConfig")
    BATCH: ClassVar[str] = "completions"
    RUN: ClassVar[str] = "reassess.train.grpo:run"

    kind: Literal["grpo"]
    """Group relative policy optimisation."""
    batch_size: Positive
    """Completions per optimizer step, over all devices and accumulation steps."""
    rewards: Annotated[dict[RewardName, float], Field(min_length=1)]
    """Weights of the rewards: `accuracy` is the judge's verdict, `format` the response's shape."""
    args: dict[str, Any] = {}
    """Options of `trl.GRPOConfig` under their own names."""

    @model_validator(mode="after")
    def _rewards(self) -> GrpoStage:
        if sum(self.rewards.values()) <= 0 or any(weight < 0 for weight in self.rewards.values()):
            raise ValueError(f"rewards {self.rewards}: weights must not be negative and their sum must be above 0")
        generations = self.args.get("num_generations", 8)  # TRL's default
        if generations < 2 or self.batch_size % generations:
            raise ValueError(
                f"args.num_generations: {generations} must be at least 2 and divide batch_size {self.batch_size}"
            )
        return self

    def identity(self, processes: int) -> dict[str, Any]:
        """Return what the weights that it makes depend on, of its own options."""
        return {**super().identity(processes), "rewards": self.rewards, "judge": JUDGE_VERSION}
