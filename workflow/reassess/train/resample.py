"""Dynamic sampling (DAPO, arXiv 2503.14476, section 3.2): groups that are all right or all wrong are left out."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState

from reassess.stages.rollouts import Resample
from reassess.train import ranks
from reassess.train.grpo_trainer import Trainer
from reassess.train.rollouts import Sampled

# Accuracies that differ by less are the same: sums of floats differ in the last digits (NVIDIA-NeMo/RL issue 4158).
SAME = 1e-6


class Group(NamedTuple):
    """A prompt with all of its completions.

    Attributes:
        row: its row in the training rows.
        sampled: the completions.
        scores: the accuracy of each, None where the judge gives none.
    """

    row: int
    sampled: Sampled
    scores: list[float | None]

    def is_between(self, low: float, high: float) -> bool:
        """Whether its mean accuracy is between two bounds, and some completions are better than others."""
        known = [score for score in self.scores if score is not None]
        return bool(known) and max(known) - min(known) > SAME and low < fmean(known) < high

    @property
    def tokens(self) -> int:
        return sum(map(len, self.sampled.ids))


class Resampling(Trainer):
    """Draws prompts, samples and judges their completions until a batch of mixed groups is there.

    Prompts come from one endless stream: the shuffles of the training rows, one after the other. What has been drawn
    of it is all that a checkpoint needs. Groups are kept by accuracy alone: with a reward of form or length a group of
    wrong answers has unequal rewards, stays, and teaches nothing but these (verl-recipe issue 125).

    Attributes:
        option: the study's option.
        accuracy: the accuracy reward.
        source: the training rows, decoded as they are asked for; TRL's own dataset has their numbers alone.
        budget: the prompts after which a run ends, None where its steps decide.
    """

    option: Resample
    accuracy: Any
    source: Any
    budget: int | None = None
    _replay: Sampled | None = None
    _order: tuple[int, list[int]] = (-1, [])

    @property
    def is_spent(self) -> bool:
        return self.budget is not None and self.counts.prompts >= self.budget

    def roll(self) -> Sampled:
        assert self._replay is not None
        return self._replay

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        size, mine = self.num_generations, len(inputs)
        wanted = ranks.world().processes * mine // size
        kept: list[Group] = []
        flat: list[Group] = []
        rounds = tokens = 0
        while not rounds or (len(kept) < wanted and rounds < self.option.rounds and not self.is_spent):
            for group in self._draw(wanted):
                (kept if group.is_between(*self.option.accuracy) else flat).append(group)
                tokens += group.tokens
            rounds += 1
        chosen = [*kept, *flat][:wanted]
        self._count(rounds, wanted, len(kept), tokens - sum(group.tokens for group in chosen))
        self._log_accuracy([*kept, *flat])
        place = slice(ranks.number() * mine, (ranks.number() + 1) * mine)
        numbers = [group.row for group in chosen for _ in range(size)][place]
        columns = zip(*(group.sampled for group in chosen), strict=True)
        self._replay = Sampled(*([item for part in column for item in part][place] for column in columns))
        scored = super()._generate_and_score_completions(self._look_up(numbers))
        # What only fills a batch may differ in its other rewards, by which it would teach.
        teaches = [i < len(kept) for i in range(wanted) for _ in range(size)][place]
        scored["advantages"] = scored["advantages"] * torch.tensor(teaches, device=scored["advantages"].device)
        return scored

    def _note_drawn(self, groups: int) -> None:
        """Count nothing here: prompts are counted as they are drawn, and groups by what is to be learnt of them."""

    def _note_sampled(self, prompt_ids: list[list[int]], ids: list[list[int]]) -> None:
        """Count nothing here: what is learnt from was sampled, and counted, before."""

    def _draw(self, wanted: int) -> list[Group]:
        """Return the next prompts of the stream with their completions, sampled and judged; every process has all."""
        assert self.rollouts is not None
        size = self.num_generations
        numbers = [self._row(self.counts.prompts + i) for i in range(wanted)]
        self.counts.prompts += wanted
        every = [number for number in numbers for _ in range(size)]
        share = len(every) // ranks.world().processes
        rows = self._look_up(every[ranks.number() * share : (ranks.number() + 1) * share])
        sampled = self.rollouts.roll(rows, self)
        super()._note_sampled(sampled.prompt_ids, sampled.ids)
        columns = {name: [row[name] for row in rows] for name in ("gold", "kind", "options")}
        scores = self.accuracy(completion_ids=sampled.ids, log_metric=_unlogged, log_extra=_unlogged, **columns)
        parts = ranks.gather((sampled, scores))
        joined: Any = [[item for part, _ in parts for item in part[i]] for i in range(len(sampled))]
        judged = [score for _, of_part in parts for score in of_part]
        pieces = [slice(first, first + size) for first in range(0, len(every), size)]
        return [
            Group(number, Sampled(*(column[piece] for column in joined)), judged[piece])
            for number, piece in zip(numbers, pieces, strict=True)
        ]

    def _row(self, position: int) -> int:
        """Return the row at a position of the endless stream of shuffled rows."""
        passes, place = divmod(position, len(self.source))
        if not self.shuffle_dataset:
            return place
        if self._order[0] != passes:
            generator = torch.Generator().manual_seed(self.args.data_seed * 1_000_003 + passes)
            self._order = passes, torch.randperm(len(self.source), generator=generator).tolist()
        return self._order[1][place]

    def _look_up(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Return rows by number; one that is asked for several times is decoded once."""
        found = {number: self.source[number] for number in dict.fromkeys(numbers)}
        return [dict(found[number]) for number in numbers]

    def _count(self, rounds: int, wanted: int, kept: int, discarded: int) -> None:
        self.counts.discarded += discarded
        self.counts.groups += min(kept, wanted)
        self.counts.filled += max(0, wanted - kept)
        logged = self._metrics["train"]
        of_step = {
            "rounds": rounds,
            "kept_share": kept / (wanted * rounds),
            "filled": max(0, wanted - kept),
            "surplus": max(0, kept - wanted),
            "discarded_tokens": discarded,
        }
        for name, value in of_step.items():
            logged[f"resample/{name}"].append(float(value))
        # Of the run so far.
        logged["resample/prompts_drawn"] = [float(self.counts.prompts)]
        logged["resample/data_passes"] = [self.counts.prompts / len(self.source)]

    def _log_accuracy(self, drawn: Sequence[Group]) -> None:
        """Log the accuracy of all that was drawn: that of the rewards is of what was kept, and near one half."""
        known = [score for group in drawn for score in group.scores if score is not None]
        if known:
            self._metrics["train"]["resample/accuracy_drawn"].append(fmean(known))


def _unlogged(name: str, value: Any) -> None:
    """Leave out what a reward logs of completions that may not be learnt from."""


class Ending(TrainerCallback):  # type: ignore[misc]
    """Ends a run that has drawn all of its prompts and learnt from them.

    Args:
        trainer: the trainer.
        boundary: optimizer steps that completions serve.
    """

    def __init__(self, trainer: Resampling, boundary: int) -> None:
        self.trainer = trainer
        self.boundary = boundary

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.trainer.is_spent and state.global_step % self.boundary == 0:
            control.should_log = control.should_training_stop = True
