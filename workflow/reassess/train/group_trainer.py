"""What TRL's trainers on groups of completions have in common here: counts, and an exact continuation."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from reassess.train import ranks
from reassess.work import records

# Of a checkpoint: `Counts` so far.
COUNTS = "sampling.json"


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


class GroupTrainer:
    """Stands before a trainer of TRL among the bases of a class: counts, and resumes as if there had been no stop.

    TRL's sampler shuffles anew with every epoch from one generator, which a resumed run would start over.

    Attributes:
        epochs_before: whole epochs that a resumed run has done.
        counts: what it has sampled.
    """

    epochs_before = 0
    # Of TRL's trainers.
    num_generations: int
    accelerator: Any
    state: Any
    _get_output_dir: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.counts = Counts()
        # Of this process since the last step: tokens trained, forward alone, and of those that sampled, prompts'.
        self._tokens = [0, 0, 0]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._note_drawn(ranks.world().processes * len(inputs) // self.num_generations)
        scored: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        return scored

    def _note_drawn(self, groups: int) -> None:
        self.counts.prompts += groups
        self.counts.groups += groups

    def _generate(self, prompts: list[Any]) -> Any:
        found = super()._generate(prompts)  # type: ignore[misc]
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
        return super()._get_per_token_logps_and_entropies(model, input_ids, *args, **options)  # type: ignore[misc]

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        loss = super()._compute_loss(model, inputs)  # type: ignore[misc]
        self._tokens[0] += int(inputs["prompt_mask"].sum() + inputs["completion_mask"].sum())
        if self.accelerator.sync_gradients:
            self._add_tokens()
        return loss

    def _add_tokens(self) -> None:
        """Add what all processes have computed in a step to the counts, which are the same in all of them."""
        trained, forward, prompts = map(sum, zip(*ranks.gather(self._tokens), strict=True))
        self.counts.trained += trained
        self.counts.forward += forward + prompts // self.num_generations
        self._tokens = [0, 0, 0]

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        sampler = super()._get_train_sampler(dataset)  # type: ignore[misc]
        if sampler.shuffle:
            for _ in range(self.epochs_before):
                torch.randperm(sampler.num_samples, generator=sampler.generator)
        return sampler

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        if ranks.is_first():
            path = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}" / COUNTS
            records.write(path, asdict(self.counts))
