"""Refuses a comparison whose cells differ in more than what is compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from reassess.analyse.collect import Collected, ResultsError
from reassess.graph import Job
from reassess.graph.report import KINDS
from reassess.graph.state import Difference, States


class ParityError(ResultsError):
    """Two results of one table cannot be compared: the message names cell, field and both values."""


class _Fact(NamedTuple):
    """A value that has to be the same wherever `scope` is the same."""

    scope: tuple[Any, ...]
    field: str
    value: Any
    where: str


def check_parity(collected: Collected) -> None:
    """Check that all cells read the same data, prompt, pixels, judge and decoding, and that scores are up to date.

    What is missing is no mismatch.

    Raises:
        ParityError: naming the first cell and field that differ.
        RecordError: a record that only says what another was made from is broken.
    """
    seen: dict[tuple[Any, ...], _Fact] = {}
    for fact in [*_evaluation_facts(collected), *_run_facts(collected)]:
        first = seen.setdefault((fact.field, *fact.scope), fact)
        if first.value != fact.value:
            raise ParityError(
                f"{fact.where}: {fact.field} is {_short(fact.value)}, but {_short(first.value)} in {first.where}; "
                "they cannot stand in one table: rerun the one that is out of date"
            )
    _check_states(collected)


def _evaluation_facts(collected: Collected) -> Iterator[_Fact]:
    for (key, suite), record in collected.scores.items():
        where = f"{key} (scores of suite {suite})"
        model = record["model"]
        for name, benchmark in record["benchmarks"].items():
            yield _Fact((name,), f"benchmarks.{name}.content_sha256", benchmark["content_sha256"], where)
        yield _Fact((), "prompt_sha256", record.get("prompt_sha256"), where)
        yield _Fact((model,), "pixels", record.get("pixels"), where)
        yield _Fact((), "judge_version", record["judge_version"], where)
        yield _Fact((suite,), "decoding", record["decoding"], where)
        engine = record.get("engine", {})
        for field in ("name", "version", "dtype", "args"):
            yield _Fact((model, field), f"engine.{field}", engine.get(field), where)


def _run_facts(collected: Collected) -> Iterator[_Fact]:
    for run in collected.graph.runs.values():
        record = collected.runs.get(run.key)
        if record is None:
            continue
        where = f"{run.key} (run.json)"
        subset = record["subset"]
        yield _Fact((), "prompt_sha256", record.get("prompt_sha256"), where)
        yield _Fact((run.model,), "pixels", record.get("pixels"), where)
        if collected.study.stages[run.stage].REWARDED:
            # Only a reward depends on the judge: an SFT run of an older judge's time is the same run.
            yield _Fact((), "judge_version", record.get("judge_version"), where)
        for field in ("ids_sha256", "content_sha256"):
            yield _Fact((run.pool, run.on, run.seed, run.size), f"subset.{field}", subset.get(field), where)
        scope = (run.model, run.pool, run.on, run.seed, run.size)
        yield _Fact(scope, "trained_ids_sha256", record.get("trained_ids_sha256"), where)


def _check_states(collected: Collected) -> None:
    """Raise ParityError where a result that is there is not what the study asks for now."""
    states = States(collected.graph)
    for job in collected.graph.jobs.values():
        if job.rule in KINDS:
            continue
        differences = [item for item in states.differences(job) if not _is_missing(job, item)]
        if differences:
            more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
            raise ParityError(f"{job.record}: {differences[0]}{more}; run the study again")


def _is_missing(job: Job, difference: Difference) -> bool:
    """Whether a difference is only that a suite has other benchmarks now than those that were answered."""
    if job.rule not in ("generate", "score"):
        return False
    unanswered = difference.found is None and difference.what.startswith(("benchmarks.", "spec.rules"))
    return unanswered or difference.what == "spec.benchmarks"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
