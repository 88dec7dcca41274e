"""REINFORCE leave-one-out through `trl.RLOOTrainer`, with the rewards of `reassess.rewards`.

TRL 1.16 has no `rollout_func` there, so the trained model itself samples.
"""

from __future__ import annotations

from unittest import mock

from reassess.train import data, loop, reinforced
from reassess.train.checkpoints import Clock
from reassess.train.frame import Made, Task
from reassess.train.group_trainer import Counts, GroupTrainer
from reassess.train.loop import Started

# Importing RLOOTrainer imports vLLM where it is installed, for seconds, and TRL never uses it here.
with mock.patch("trl.import_utils.is_vllm_available", return_value=False):
    from trl import RLOOConfig, RLOOTrainer


class Trainer(GroupTrainer, RLOOTrainer):  # type: ignore[misc]
    """TRL's trainer, counting and resumed exactly."""


def run(task: Task, clock: Clock) -> Made:
    """Reinforce the parent on the run's examples.

    Raises:
        TrainError: the run cannot start, continue, or count as finished.
        Interrupted: it was asked to stop, and has saved a checkpoint.
    """
    started = reinforced.start(task, clock, RLOOConfig)
    counts = Counts.of(started.resumed.checkpoint)
    trainer = build(started) if started.is_unfinished else None
    made = loop.finish(started, trainer)
    sampled = reinforced.sampled(started, trainer.counts if trainer else counts, "transformers")
    return made._replace(facts={**made.facts, **sampled})


def build(started: Started) -> Trainer:
    """Return the trainer, the prompts of its first rows checked.

    Raises:
        TrainError: training and evaluation see different prompts, or TRL cannot take them.
    """
    rows = started.rows
    reinforced.prepare(started, by_engine=False)
    functions = reinforced.functions(started)
    dataset = data.rl_dataset(rows, by_engine=False)
    trainer: Trainer = started.trainer(Trainer, reward_funcs=list(functions.values()), train_dataset=dataset)
    trainer.epochs_before, trainer.counts = started.resumed.epochs, Counts.of(started.resumed.checkpoint)
    reinforced.check_prompts(trainer, dataset, rows)
    return trainer
