"""One job of a study."""

from __future__ import annotations

from typing import NamedTuple


class Coordinates(NamedTuple):
    """Where a job stands in its study. What it has not is None or empty.

    Attributes:
        model: the model that it makes or asks.
        pool: the pool that it trains on.
        seed: the seed of subset and training.
        size: training examples.
        stage: the stage.
        cell: the cell that is evaluated.
        suite: the suite that is asked.
        examples: the set of examples for which a model is asked.
        measure: the measure that is taken.
    """

    model: str | None = None
    pool: str | None = None
    seed: int | None = None
    size: int | None = None
    stage: str = ""
    cell: str = ""
    suite: str = ""
    examples: str = ""
    measure: str = ""

    @property
    def what(self) -> str:
        """The stage, the suite, the set of examples or the measure."""
        return self.stage or self.suite or self.examples or self.measure


class Job(NamedTuple):
    """One job of a study.

    Attributes:
        rule: the rule and the subcommand of `reassess` that do it.
        key: what it works on. Rule and key name its log, its lock and its attempts.
        needs: names of the jobs whose results it reads; the checkpoints that it starts from come first.
        inputs: files that it reads.
        outputs: files that it makes, the record that is written last first.
        spec: what its result depends on beside its inputs, as canonical JSON: the rule's parameter.
        at: where it stands in the study.
    """

    rule: str
    key: str
    needs: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    spec: str
    at: Coordinates = Coordinates()

    @property
    def name(self) -> str:
        return name(self.rule, self.key)

    @property
    def record(self) -> str:
        """The record that is written last."""
        return self.outputs[0]

    @property
    def kind(self) -> str:
        """The rule with its stage, suite, set or measure: what a person can make shorter."""
        return f"{self.rule} {self.at.what}".rstrip()


def name(rule: str, key: str) -> str:
    """Return the name of a job."""
    return f"{rule} {key}"
