"""The benchmarks' own verdicts beside the judge's, in the scores of one evaluation."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from reassess.benchmarks import module, rules
from reassess.benchmarks.item import Row
from reassess.study.data import Benchmark
from reassess.study.study import Study

Rows = list[dict[str, Any]]


def add_verdicts(
    study: Study, rows: Rows, responses: Sequence[str | None], examples: Mapping[str, Mapping[str, Any]]
) -> None:
    """Set `official`, `official_answer` and `official_reason` of score rows whose benchmark has a rule.

    Args:
        study: the study.
        rows: score rows.
        responses: what the model wrote, row by row; None where generation failed.
        examples: benchmark rows by benchmark and id.
    """
    ruled = {name: spec.rule for name, spec in study.benchmarks.items() if spec.rule is not None}
    answers = {name: _answers(study.benchmarks[name]) for name in ruled}
    for row, response in zip(rows, responses, strict=True):
        name = row["benchmark"]
        if name not in ruled or response is None:
            continue
        outcome = rules.apply(ruled[name], examples[name][row["id"]], response, answers[name])
        row["official"], row["official_answer"], row["official_reason"] = outcome


def summaries(study: Study, rows: Rows, examples: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the official scores of each benchmark with a rule.

    Returns:
        By benchmark: `rule`, `accuracy` (undecided responses count as wrong), `undecided` (the rule asks a large model
        or draws at random), `disagree` (decided, and not as the judge did), `judge_model`, and `summary`, the
        benchmark's own aggregates, where it has any; with several samples per question, their means over samples.
    """
    found = {}
    for benchmark, spec in study.benchmarks.items():
        mine = [row for row in rows if row["benchmark"] == benchmark and row["official_reason"] is not None]
        if spec.rule is None or not mine:
            continue
        by_step: dict[int | None, Rows] = defaultdict(list)
        for row in mine:
            by_step[row["step"]].append(row)
        for step, part in by_step.items():
            name = benchmark if step is None else f"{benchmark}@{step}"
            found[name] = _summary(spec, part, examples[benchmark])
    return found


def _summary(spec: Benchmark, rows: Rows, examples: Mapping[str, Any]) -> dict[str, Any]:
    assert spec.rule is not None
    record: dict[str, Any] = {
        "rule": spec.rule,
        "n": len(rows),
        "accuracy": rules.shares(row["official"] for row in rows),
        "undecided": sum(row["official"] is None for row in rows),
        "disagree": sum(row["official"] is not None and row["official"] != row["correct"] for row in rows),
    }
    if spec.judge_model is not None:
        answers = Path(spec.judge_model.answers).read_bytes()
        record["judge_model"] = {"name": spec.judge_model.name, "sha256": hashlib.sha256(answers).hexdigest()}
    aggregate = getattr(module(spec.rule), "summary", None)
    if aggregate is not None:
        by_sample: dict[int, list[Row]] = defaultdict(list)
        for row in rows:
            metadata = rules.read_metadata(examples[row["id"]]["metadata"] or "")
            by_sample[row["sample"]].append(Row(row["id"], row["official"], metadata, row["official_answer"]))
        parts = [aggregate(part) for part in by_sample.values()]
        record["summary"] = {name: fmean(part[name] for part in parts) for name in parts[0]}
    return record


def _answers(spec: Benchmark) -> dict[str, str]:
    return {} if spec.judge_model is None else rules.read_answers(spec.judge_model.answers)
