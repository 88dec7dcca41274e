"""Supervised fine-tuning."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

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
    IMITATES: ClassVar[bool] = True
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
    args: dict[str, Any] = {}
    """Options of `trl.SFTConfig` under their own names."""
