"""Refuses a comparison whose cells differ in more than what is compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from reassess import grid, identity
from reassess.analyse.collect import Collected, ResultsError


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
    """
    seen: dict[tuple[Any, ...], _Fact] = {}
    for fact in [*_evaluation_facts(collected), *_run_facts(collected)]:
        first = seen.setdefault((fact.field, *fact.scope), fact)
        if first.value != fact.value:
            raise ParityError(
                f"{fact.where}: {fact.field} is {_short(fact.value)}, but {_short(first.value)} in {first.where}; "
                "they cannot stand in one table: rerun the one that is out of date"
            )
    _check_fingerprints(collected)


def _evaluation_facts(collected: Collected) -> Iterator[_Fact]:
    for (key, suite), record in collected.scores.items():
        where = f"{key} (scores of suite {suite})"
        model = key.split("/")[0]
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
    for run in grid.runs(collected.study):
        record = collected.runs.get(run.cell)
        if record is None:
            continue
        where = f"{run.cell} (run.json)"
        wanted = json.loads(identity.stage_spec(collected.study, run.model, run.stage))
        if record.get("spec", wanted) != wanted:
            raise ParityError(f"{where}: spec is not what the study asks for now: train it again")
        subset = record["subset"]
        yield _Fact((), "prompt_sha256", record.get("prompt_sha256"), where)
        yield _Fact((run.model,), "pixels", record.get("pixels"), where)
        if collected.study.stages[run.stage].trainer == "grpo":
            # Only a reward depends on the judge: an SFT run of an older judge's time is the same run.
            yield _Fact((), "judge_version", record.get("judge_version"), where)
        for field in ("ids_sha256", "content_sha256"):
            yield _Fact((run.pool, run.seed, run.size), f"subset.{field}", subset.get(field), where)
        scope = (run.model, run.pool, run.seed, run.size)
        yield _Fact(scope, "trained_ids_sha256", record.get("trained_ids_sha256"), where)


def _check_fingerprints(collected: Collected) -> None:
    for (key, suite), record in collected.scores.items():
        for checkpoint in record["checkpoints"]:
            made = _made(collected, key, checkpoint["step"])
            if made is not None and made[0] != checkpoint["fingerprint"]:
                step = "" if checkpoint["step"] is None else f" of step {checkpoint['step']}"
                raise ParityError(
                    f"{key} (scores of suite {suite}): fingerprint{step} is {_short(checkpoint['fingerprint'])}, "
                    f"but {_short(made[0])} in {made[1]}: these scores are of another checkpoint; evaluate it again"
                )
    for run in grid.runs(collected.study):
        # Without a parent stage it is the base model that was trained.
        made = _made(collected, run.parent.cell if run.parent else f"{run.model}/{grid.BASE}", None)
        if run.cell not in collected.runs or made is None:
            continue
        used = collected.runs[run.cell].get("parent", {}).get("fingerprint")
        if used != made[0]:
            raise ParityError(
                f"{run.cell} (run.json): parent.fingerprint is {_short(used)}, but {_short(made[0])} in {made[1]}: "
                "it was trained from another checkpoint; train it again"
            )


def _made(collected: Collected, key: str, step: int | None) -> tuple[str | None, str] | None:
    """Return the fingerprint that the checkpoint's maker recorded, and where; None where there is no record."""
    model, _, rest = key.partition("/")
    if rest in (grid.BASE, grid.BASE_THINK):
        return (
            (collected.models[model]["fingerprint"], f"{model} (manifest.json)") if model in collected.models else None
        )
    record = collected.runs.get(key)
    if record is None:
        return None
    if step is None:
        return record["fingerprint"], f"{key} (run.json)"
    kept = {item["step"]: item["fingerprint"] for item in record.get("trajectory") or ()}
    return kept.get(step), f"{key} (run.json, trajectory)"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
