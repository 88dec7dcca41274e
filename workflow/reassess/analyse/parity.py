"""Refuses a comparison whose cells differ in more than what is compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from reassess.analyse.collect import Collected, ResultsError
from reassess.graph import Graph, changes
from reassess.graph.state import States


class ParityError(ResultsError):
    """Two results of one table cannot be compared: the message names cell, field and both values."""


class _Fact(NamedTuple):
    """A value that has to be the same wherever `scope` is the same."""

    scope: tuple[Any, ...]
    field: str
    value: Any
    where: str


def check_parity(collected: Collected, partial: bool = False) -> None:
    """Check that all cells read the same data, prompt, pixels, judge and decoding, and that scores are up to date.

    What is missing is no mismatch.

    Args:
        collected: the results.
        partial: what is outdated was left out of them.

    Raises:
        ParityError: naming the first cell and field that differ.
        RecordError: a record that only says what another was made from is broken.
    """
    seen: dict[tuple[Any, ...], _Fact] = {}
    for fact in [*_evaluation_facts(collected), *_run_facts(collected), *_measure_facts(collected)]:
        first = seen.setdefault((fact.field, *fact.scope), fact)
        if first.value != fact.value:
            raise ParityError(
                f"{fact.where}: {fact.field} is {_short(fact.value)}, but {_short(first.value)} in {first.where}; "
                "they cannot stand in one table: rerun the one that is out of date"
            )
    if not partial:
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
    others = of_other_data(collected.graph)
    for run in collected.graph.runs.values():
        record = collected.runs.get(run.key)
        if record is None:
            continue
        where = f"{run.key} (run.json)"
        yield _Fact((), "prompt_sha256", record.get("prompt_sha256"), where)
        yield _Fact((run.model,), "pixels", record.get("pixels"), where)
        if collected.study.all_stages[run.stage].REWARDED:
            # Only a reward depends on the judge: an SFT run of an older judge's time is the same run.
            yield _Fact((), "judge_version", record.get("judge_version"), where)
        if run.size is None:
            continue
        own = (run.on,) if run.key in others else ()
        used = record["subset"] or {}
        yield _Fact((run.pool, *own, run.seed, run.size), "subset.ids_sha256", used.get("ids_sha256"), where)
        yield _Fact((run.pool, run.on, run.seed, run.size), "subset.content_sha256", used.get("content_sha256"), where)
        trained = record.get("trained_ids_sha256")
        yield _Fact((run.model, run.pool, *own, run.seed, run.size), "trained_ids_sha256", trained, where)


def of_other_data(graph: Graph) -> set[str]:
    """Return the runs that train on other questions than the rest of the study: on a set that is not in `only_with` of
    its pool. The study names the recipes that go through one in `other_data`."""
    shared = {pool: spec.only_with for pool, spec in graph.study.pools.items()}
    return {run.key for run in graph.runs.values() if run.on is not None and run.on.name not in shared[run.pool]}


def _measure_facts(collected: Collected) -> Iterator[_Fact]:
    for (key, name), record in collected.measured.items():
        where = f"{key} (measure {name})"
        yield _Fact((name,), f"measures.{name}.read", record["read"], where)
        yield _Fact((), "prompt_sha256", record.get("prompt_sha256"), where)
        yield _Fact((record["model"],), "pixels", record.get("pixels"), where)
        for field in ("name", "version", "dtype", "args"):
            yield _Fact(
                ("measure", record["model"], name, field), f"engine.{field}", record["engine"].get(field), where
            )


def _check_states(collected: Collected) -> None:
    """Raise ParityError where a result that is there is not what the study asks for now."""
    graph, states = collected.graph, States(collected.graph)
    jobs = changes.changed(graph, states)
    if jobs:
        why = "".join(f"\n  {line}" for line in changes.outdated(graph, states))
        raise ParityError(
            f"{jobs[0].record}: {states.wrong(jobs[0])[0]}\n"
            f"{len(jobs)} results are not what study {graph.study.name} asks for now, and can stand in no table:{why}\n"
            f"run the study again; where Snakemake finds nothing to do:\n{changes.commands(graph, jobs)}"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
