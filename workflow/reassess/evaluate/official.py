"""The benchmarks' own verdicts beside the judge's, in the scores of one evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from reassess.benchmarks import module, rules
from reassess.benchmarks.item import Row
from reassess.study.data import Benchmark
from reassess.study.study import Study

# What a benchmark's own aggregates need of a row: its question's id, the official verdict and answer.
Fact = tuple[str, bool | None, str | None]


@dataclass
class _Sums:
    """What is kept of the rows of one benchmark, of one step of a trajectory."""

    n: int = 0
    right: int = 0
    undecided: int = 0
    disagree: int = 0
    facts: dict[int, list[Fact]] = field(default_factory=dict)


class Official:
    """The official verdicts on one response after the other, and what they sum up to.

    Args:
        study: the study.
        examples: benchmark rows by benchmark and id.

    Raises:
        RuleError: the answers of a judge model cannot be read.
    """

    def __init__(self, study: Study, examples: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        self._specs = {name: spec for name, spec in study.benchmarks.items() if spec.rule and name in examples}
        self._examples = examples
        self._answers = {name: _answers(spec) for name, spec in self._specs.items()}
        self._sums: dict[str, dict[int | None, _Sums]] = {name: {} for name in self._specs}

    def judge(self, row: dict[str, Any], response: str | None) -> None:
        """Set `official`, `official_answer` and `official_reason` of a score row; None where no rule applies.

        Args:
            row: the score row, with the judge's verdict.
            response: what the model wrote; None where generation failed.
        """
        row |= dict.fromkeys(("official", "official_answer", "official_reason"))
        name = row["benchmark"]
        if name not in self._specs or response is None:
            return
        rule = self._specs[name].rule
        assert rule is not None
        example = self._examples[name][row["id"]]
        verdict, answer, reason = rules.apply(rule, example, response, self._answers[name])
        row |= {"official": verdict, "official_answer": answer, "official_reason": reason}
        sums = self._sums[name].setdefault(row["step"], _Sums())
        sums.n += 1
        sums.right += verdict is True
        sums.undecided += verdict is None
        sums.disagree += verdict is not None and verdict != row["correct"]
        if hasattr(module(rule), "summary"):
            sums.facts.setdefault(row["sample"], []).append((example["id"], verdict, answer))

    def summaries(self) -> dict[str, dict[str, Any]]:
        """Return the official scores of each benchmark with a rule.

        Returns:
            By benchmark, or `{benchmark}@{step}` of a trajectory: `rule`, `accuracy` (undecided responses count as
            wrong), `undecided` (the rule asks a large model or draws at random), `disagree` (decided, and not as the
            judge did), `judge_model`, and `summary`, the benchmark's own aggregates, where it has any; with several
            samples per question, their means over samples.
        """
        return {
            name if step is None else f"{name}@{step}": self._summary(name, sums)
            for name, by_step in self._sums.items()
            for step, sums in by_step.items()
        }

    def _summary(self, name: str, sums: _Sums) -> dict[str, Any]:
        spec = self._specs[name]
        record: dict[str, Any] = {
            "rule": spec.rule,
            "n": sums.n,
            "accuracy": sums.right / sums.n,
            "undecided": sums.undecided,
            "disagree": sums.disagree,
        }
        if spec.judge_model is not None:
            answers = Path(spec.judge_model.answers).read_bytes()
            record["judge_model"] = {"name": spec.judge_model.name, "sha256": hashlib.sha256(answers).hexdigest()}
        if sums.facts:
            assert spec.rule is not None
            parts = [module(spec.rule).summary(self._rows(name, facts)) for facts in sums.facts.values()]
            record["summary"] = {name: fmean(part[name] for part in parts) for name in parts[0]}
        return record

    def _rows(self, name: str, facts: list[Fact]) -> list[Row]:
        examples = self._examples[name]
        return [
            Row(id_, verdict, rules.read_metadata(examples[id_]["metadata"] or ""), answer)
            for id_, verdict, answer in facts
        ]


def _answers(spec: Benchmark) -> dict[str, str]:
    return {} if spec.judge_model is None else rules.read_answers(spec.judge_model.answers)
