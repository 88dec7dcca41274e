"""TRL's trainer of GRPO, with rollouts of our own: what they are sampled from, and how far they are from the model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch

from reassess.train import ranks
from reassess.train.group_trainer import GroupTrainer
from reassess.train.plan import TrainError

__all__ = ["GRPOConfig", "Trainer"]

if TYPE_CHECKING:
    from reassess.train.rollouts import Rollouts, Sampled

# Importing GRPOTrainer imports vLLM where it is installed, for seconds; TRL never uses it here (see `use_vllm` in
# reassess.stages.trainer_args).
with mock.patch("trl.import_utils.is_vllm_available", return_value=False):
    from trl import GRPOConfig, GRPOTrainer

# Mean over the tokens of a step of |log-probability of the sampler - of the trainer|, above which a run ends. Measured
# on a CPU with toys and tiny models: up to 1e-5 in float32; 0.004 to 0.06 where the sampler works in bfloat16 and the
# trainer in float32; 0.05 where vLLM keeps the features of images from before a step, or sees another picture, and 0.9
# where it keeps the weights. bfloat16 on a GPU was not measured; there the bound is not sure to see old features.
MOST_DIFFERENCE = {"float32": 1e-3, "bfloat16": 0.1}


class Trainer(GroupTrainer, GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer, with an engine of ours beside it.

    Attributes:
        rollouts: the engine that completions come from, None where TRL generates them.
        limit: the largest mean difference of log-probabilities between engine and trainer.
    """

    rollouts: Rollouts | None = None
    limit = math.inf
    use_vllm: bool
    _rows: list[dict[str, Any]]
    _logps: torch.Tensor

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._difference = torch.zeros(3, dtype=torch.float64)

    def roll(self) -> Sampled:
        """Return a completion to each of the rows that this process has drawn."""
        assert self.rollouts is not None
        return self.rollouts.roll(self._rows, self)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._rows = inputs
        return super()._generate_and_score_completions(inputs)

    def _generate(self, prompts: list[Any]) -> Any:
        """Keep TRL from giving its own engine the weights, which it does where it corrects for one."""
        corrects, self.use_vllm = self.use_vllm, False
        try:
            return super()._generate(prompts)
        finally:
            self.use_vllm = corrects

    def _get_per_token_logps_and_entropies(self, *args: Any, **options: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **options)
        self._logps = found[0].detach()
        return found

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        loss = super()._compute_loss(model, inputs)
        sampled = inputs.get("sampling_per_token_logps")
        if sampled is not None:
            # TRL has the log-probabilities before the first update where there are several; else these are they.
            self._compare(sampled, inputs.get("old_per_token_logps", self._logps), inputs["completion_mask"].bool())
        return loss

    def _compare(self, sampled: torch.Tensor, trained: torch.Tensor, mask: torch.Tensor) -> None:
        """Add the tokens of a batch to the comparison of a step (all of batch x tokens), and end it with the step.

        Raises:
            TrainError: sampler and trainer are too far from each other. No step is taken with such completions.
        """
        # vLLM says NaN where a logit is none, which is as far as can be.
        apart = (sampled - trained).abs()[mask].double().nan_to_num(nan=math.inf, posinf=math.inf)
        mine = torch.stack([apart.sum(), mask.sum().double(), apart.max() if len(apart) else apart.sum()]).cpu()
        self._difference = torch.cat([self._difference[:2] + mine[:2], torch.maximum(self._difference, mine)[2:]])
        if not self.accelerator.sync_gradients:
            return
        totals = torch.stack(ranks.gather(self._difference))
        self._difference = torch.zeros(3, dtype=torch.float64)
        mean, most = (totals[:, 0].sum() / totals[:, 1].sum().clamp(min=1)).item(), totals[:, 2].max().item()
        self.counts.difference = max(self.counts.difference, mean)
        # Where it corrects, TRL logs both, under the same names.
        if not self.use_vllm:
            for name, value in (("mean", mean), ("max", most)):
                self._metrics["train"][f"sampling/sampling_logp_difference/{name}"].append(value)
        if mean > self.limit:
            raise TrainError(_drifted(self.state.global_step + 1, mean, most, self.limit))


def _drifted(step: int, mean: float, most: float, limit: float) -> str:
    diverged = "" if math.isfinite(mean) else "the training has diverged (look at `args.learning_rate`), "
    return (
        f"step {step}: vLLM gave the sampled tokens log-probabilities that are {mean:.2g} from the trainer's on "
        f"average (at most {most:.2g}), more than rollouts.max_logp_difference, {limit:g}. So the completions are not "
        f"those of the model that is trained: {diverged}vLLM read other prompts or images, has weights or image "
        "features of an earlier step, or computes otherwise (as where the model drops out: `args.disable_dropout`). "
        "No step was taken with them. metrics.jsonl has sampling/sampling_logp_difference of the steps before; set "
        "`rollouts: {engine: transformers}` to sample with the trained model itself, or raise the bound where the "
        "precision explains it"
    )
