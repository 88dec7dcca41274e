"""TRL's trainer of GRPO, with rollouts of our own: what they are sampled from, and how far they are from the model."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch

from reassess.train import ranks
from reassess.train.plan import TrainError
from reassess.work import records

__all__ = ["GRPOConfig", "Trainer"]

if TYPE_CHECKING:
    from reassess.train.rollouts import Rollouts, Sampled

# Importing GRPOTrainer imports vLLM where it is installed, for seconds; TRL never uses it here (see `use_vllm` in
# reassess.stages.trainer_args).
with mock.patch("trl.import_utils.is_vllm_available", return_value=False):
    from trl import GRPOConfig, GRPOTrainer

# Of a checkpoint: `Counts` so far.
COUNTS = "sampling.json"
# Mean over the tokens of a step of |log-probability of the sampler - of the trainer|, above which a run ends. Measured
# on a CPU with toys and tiny models: up to 1e-5 in float32; 0.004 to 0.06 where the sampler works in bfloat16 and the
# trainer in float32; 0.05 where vLLM keeps the features of images from before a step, or sees another picture, and 0.9
# where it keeps the weights. bfloat16 on a GPU was not measured; there the bound is not sure to see old features.
MOST_DIFFERENCE = {"float32": 1e-3, "bfloat16": 0.1}


@dataclass
class Counts:
    """What a run has sampled so far, its stopped attempts included.

    Attributes:
        prompts: prompts drawn; one that is drawn again counts again.
        groups: those that were learnt from.
        filled: groups that only filled a batch.
        discarded: tokens of completions that did not reach the loss.
        trained: tokens of prompts and completions that went through training steps.
        forward: tokens of forward passes alone: of sampling, where a prompt is read once for all of its completions,
            and of log-probabilities of the reference model and of the model before its update, where TRL wants them.
        difference: the largest mean difference of log-probabilities of a step.
    """

    prompts: int = 0
    groups: int = 0
    filled: int = 0
    discarded: int = 0
    trained: int = 0
    forward: int = 0
    difference: float = 0.0

    @classmethod
    def of(cls, checkpoint: Path | None) -> Counts:
        """Return those of a checkpoint; without one, those of a start."""
        return cls() if checkpoint is None else cls(**json.loads((checkpoint / COUNTS).read_text(encoding="utf-8")))


class Trainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer, drawing the prompts of a resumed epoch in the order of an unbroken run.

    TRL's sampler shuffles anew with every epoch from one generator, which a resumed run would start over.

    Attributes:
        epochs_before: whole epochs that a resumed run has done.
        counts: what it has sampled.
        rollouts: the engine that completions come from, None where TRL generates them.
        limit: the largest mean difference of log-probabilities between engine and trainer.
    """

    epochs_before = 0
    rollouts: Rollouts | None = None
    limit = math.inf
    use_vllm: bool
    _rows: list[dict[str, Any]]
    _logps: torch.Tensor

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.counts = Counts()
        self._difference = torch.zeros(3, dtype=torch.float64)
        # Of this process since the last step: tokens trained, forward alone, and of those that sampled, prompts'.
        self._tokens = [0, 0, 0]

    def roll(self) -> Sampled:
        """Return a completion to each of the rows that this process has drawn."""
        assert self.rollouts is not None
        return self.rollouts.roll(self._rows, self)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._rows = inputs
        self._note_drawn(ranks.world().processes * len(inputs) // self.num_generations)
        scored: dict[str, Any] = super()._generate_and_score_completions(inputs)
        return scored

    def _note_drawn(self, groups: int) -> None:
        self.counts.prompts += groups
        self.counts.groups += groups

    def _generate(self, prompts: list[Any]) -> Any:
        """Keep TRL from giving its own engine the weights, which it does where it corrects for one."""
        corrects, self.use_vllm = self.use_vllm, False
        try:
            found = super()._generate(prompts)
        finally:
            self.use_vllm = corrects
        self._note_sampled(*found[:2])
        return found

    def _note_sampled(self, prompt_ids: list[list[int]], ids: list[list[int]]) -> None:
        self._tokens[1] += sum(map(len, ids))
        self._tokens[2] += sum(map(len, prompt_ids))

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: torch.Tensor, *args: Any, batch_num_images: Any = None, **options: Any
    ) -> Any:
        """Bring in line with the tokens what TRL's second call of the processor says of them.

        That call adds a token at the beginning where the tokenizer does, although the chat template has written it, so
        that each type would be that of the token before. And `batch_num_images` of LLaVA-OneVision is handed on for
        the reference model alone, and not taken.
        """
        width = input_ids.shape[1]
        for name in ("token_type_ids", "mm_token_type_ids"):
            if (types := options.get(name)) is not None and types.shape[1] > width:
                options[name] = types[:, -width:]
        if not torch.is_grad_enabled():
            mask = options["attention_mask"] if "attention_mask" in options else args[0]
            self._tokens[1] += int(mask.sum())
        found = super()._get_per_token_logps_and_entropies(model, input_ids, *args, **options)
        self._logps = found[0].detach()
        return found

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        loss = super()._compute_loss(model, inputs)
        self._tokens[0] += int(inputs["prompt_mask"].sum() + inputs["completion_mask"].sum())
        if self.accelerator.sync_gradients:
            self._add_tokens()
        sampled = inputs.get("sampling_per_token_logps")
        if sampled is not None:
            # TRL has the log-probabilities before the first update where there are several; else these are they.
            self._compare(sampled, inputs.get("old_per_token_logps", self._logps), inputs["completion_mask"].bool())
        return loss

    def _add_tokens(self) -> None:
        """Add what all processes have computed in a step to the counts, which are the same in all of them."""
        trained, forward, prompts = map(sum, zip(*ranks.gather(self._tokens), strict=True))
        self.counts.trained += trained
        self.counts.forward += forward + prompts // self.num_generations
        self._tokens = [0, 0, 0]

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

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        sampler = super()._get_train_sampler(dataset)
        if sampler.shuffle:
            for _ in range(self.epochs_before):
                torch.randperm(sampler.num_samples, generator=sampler.generator)
        return sampler

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if ranks.is_first():
            path = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}" / COUNTS
            records.write(path, asdict(self.counts))


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
