"""Whether an answer is right."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, ClassVar

from reassess.rewards.base import Batch, Reward

if TYPE_CHECKING:
    from reassess.judge import Case, Judgement


class Accuracy(Reward):
    """The judge's verdict, as evaluation has it: 1 for a right answer, 0 for a wrong one, none where it gives none."""

    VERSION: ClassVar[int] = 1

    def of(self, batch: Batch) -> list[float | None]:
        """Return the verdicts; how far they can be trusted is logged."""
        from reassess.judge import Case, judge_many

        cases = [
            Case(text, gold, kind, tuple(options) or None)
            for text, gold, kind, options in zip(batch.texts, batch.golds, batch.kinds, batch.options, strict=True)
        ]
        verdicts = judge_many(cases)
        for name, value in audit(cases, verdicts).items():
            batch.log_metric(name, value)
        batch.log_column("gold", batch.golds)
        batch.log_column("kind", batch.kinds)
        batch.log_column("options", batch.options)
        batch.log_column("answer", [verdict.answer for verdict in verdicts])
        batch.log_column("reason", [verdict.reason for verdict in verdicts])
        return [None if verdict.correct is None else float(verdict.correct) for verdict in verdicts]


def audit(cases: list[Case], verdicts: list[Judgement]) -> dict[str, float]:
    """Return how far the accuracy reward of a batch can be trusted, as shares of its completions.

    `judge/unscored`: the gold is no answer. `judge/unparsed`: wrong for want of an answer. `judge/missed`: judged
    wrong although the gold stands behind the reasoning, an upper estimate of the false negatives.
    """
    from reassess.judge import contains_gold

    pairs = list(zip(cases, verdicts, strict=True))
    missed = [verdict.correct is False and contains_gold(*case) for case, verdict in pairs]
    return {
        "judge/unscored": fmean(verdict.correct is None for verdict in verdicts),
        "judge/unparsed": fmean(verdict.correct is False and verdict.answer is None for verdict in verdicts),
        "judge/missed": fmean(missed),
    }
