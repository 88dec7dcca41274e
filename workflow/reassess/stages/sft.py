"""Supervised fine-tuning."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from reassess.spec import Positive
from reassess.stages.base import Needs, Trained
from reassess.stages.config_class import ConfigClass
from reassess.stages.trainer_args import TRAINER

# Float32 weights (4), gradients (4) and Adam's two moments (8). Mixed precision with float32 master weights comes to
# the same 16 bytes (ZeRO, arXiv 1910.02054, section 3.1).
TRAINING_BYTES = 16


class SftStage(Trained):
    """Supervised fine-tuning on the reference rationale and answer, through `trl.SFTTrainer`."""

    VERSION: ClassVar[int] = 2
    # 6e7 tokens (20,000 examples of 1,000 tokens, three times) cost 6 FLOPs per weight and token (arXiv 2001.08361,
    # section 2.1): an hour per 1e9 weights at 1e14 FLOP/s, a third of an A100's peak.
    NEEDS: ClassVar[Needs] = Needs(TRAINING_BYTES, minutes_per_billion=60, host_bytes_per_weight=TRAINING_BYTES)
    CONFIG: ClassVar[ConfigClass] = ConfigClass("trl/trainer/sft_config.py", "SFTConfig", TRAINER)
    BATCH: ClassVar[str] = "sequences"
    RUN: ClassVar[str] = "reassess.train.sft:run"

    kind: Literal["sft"]
    """Supervised fine-tuning."""
    batch_size: Positive
    """Sequences per optimizer step, over all devices and accumulation steps."""
    target: Literal["rationale", "answer"] = "rationale"
    """What is imitated: rationale and answer, or the answer alone."""
    per_question: Positive = 1
    """Rationales of an example that are imitated, each as a sequence of its own; of one that has fewer, all."""
    args: dict[str, Any] = {}
    """Options of `trl.SFTConfig` under their own names."""

    @model_validator(mode="after")
    def _has_rationales(self) -> SftStage:
        if self.target == "answer" and self.per_question > 1:
            raise ValueError("per_question: with `target: answer` no rationale is imitated; leave it out")
        return self

    @property
    def imitates(self) -> int:
        return self.per_question if self.target == "rationale" else 0

    def identity(self, processes: int, gpus: int) -> dict[str, Any]:
        """Return what the weights that it makes depend on, of its own options."""
        own = {"target": self.target, "per_question": self.per_question}
        changed = {key: value for key, value in own.items() if value != type(self).model_fields[key].default}
        return {**super().identity(processes, gpus), **changed}
