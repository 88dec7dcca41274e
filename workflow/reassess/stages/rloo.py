"""REINFORCE leave-one-out."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from reassess.stages.base import Needs
from reassess.stages.config_class import ConfigClass
from reassess.stages.reinforced import ROLLOUT_BYTES, Reinforced
from reassess.stages.sft import TRAINING_BYTES
from reassess.stages.trainer_args import TRAINER

# Keys of the stage `grpo` that need another sampler than the trained model.
_BY_ENGINE = ("rollouts", "resample")


class RlooStage(Reinforced):
    """REINFORCE leave-one-out (arXiv 2402.14740) through `trl.RLOOTrainer`; the trained model itself samples.

    A completion's baseline is the mean reward of the prompt's other completions.
    """

    VERSION: ClassVar[int] = 1
    # Twice the time of SFT, for its sampling.
    NEEDS: ClassVar[Needs] = Needs(TRAINING_BYTES + ROLLOUT_BYTES, 120, TRAINING_BYTES)
    CONFIG: ClassVar[ConfigClass] = ConfigClass("trl/trainer/rloo_config.py", "RLOOConfig", TRAINER)
    RUN: ClassVar[str] = "reassess.train.rloo:run"

    kind: Literal["rloo"]
    """REINFORCE leave-one-out."""
    args: dict[str, Any] = {}
    """Options of `trl.RLOOConfig` under their own names. `beta`, the weight of the KL penalty in the reward, is 0.05
    by TRL's default."""

    @model_validator(mode="before")
    @classmethod
    def _has_no_engine(cls, data: Any) -> Any:
        if isinstance(data, dict) and (found := next((key for key in _BY_ENGINE if key in data), None)):
            raise ValueError(
                f"{found}: TRL's RLOOTrainer takes completions from the trained model alone; leave it out, or see "
                "docs/rl.md for what comes near to RLOO in a stage of kind `grpo`, which vLLM can sample for"
            )
        return data
