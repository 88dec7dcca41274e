"""What does not fit together in a study whose parts are each valid."""

from __future__ import annotations

import graphlib
import math
from collections.abc import Iterable, Iterator
from typing import Any

from reassess.spec import near
from reassess.study.study import Study


def problems_of(study: Study) -> Iterable[str]:
    """Yield what does not fit together, each with its key path and the valid values."""
    for axis in ("sizes", "seeds"):
        values = getattr(study, axis)
        if len(set(values)) != len(values):
            yield f"{axis}: duplicate values in {list(values)}"
    yield from _of_recipes(study)
    yield from _of_suites(study)
    yield from _of_data(study)
    yield from _of_examples(study)
    yield from _of_trajectories(study)
    yield from _of_filters(study)
    yield from _of_values("", study.model_dump())


def _of_recipes(study: Study) -> Iterator[str]:
    """Yield recipes of unknown stages, of the same stages, and of names that are taken."""
    for recipe, stages in study.recipes.items():
        for stage in stages:
            if stage not in study.stages:
                yield f"recipes.{recipe}: unknown stage {stage!r}; known stages: {_names(study.stages)}"
        if (recipe == "base") != (not stages):
            yield f"recipes.{recipe}: `base` is the name of the empty list of stages, and of no other"
        if recipe in ("floor", "base-think"):
            yield f"recipes.{recipe}: the name of a control; choose another"
    same: dict[tuple[str, ...], str] = {}
    for recipe, stages in study.recipes.items():
        if stages in same:
            yield f"recipes.{recipe}: the same stages as recipes.{same[stages]}"
        same.setdefault(stages, recipe)


def _of_suites(study: Study) -> Iterator[str]:
    """Yield suites of unknown benchmarks, of benchmarks that stand twice, and of sizes that they cannot have."""
    answered: set[str] = set()
    for suite, spec in study.suites.items():
        if len(set(spec.benchmarks)) != len(spec.benchmarks):
            yield f"suites.{suite}.benchmarks: duplicate names in {list(spec.benchmarks)}"
        for benchmark in spec.benchmarks:
            if benchmark not in study.benchmarks:
                yield (
                    f"suites.{suite}.benchmarks: unknown benchmark {benchmark!r}; "
                    f"known benchmarks: {_names(study.benchmarks)}"
                )
            if spec.checkpoints == "final" and benchmark in answered:
                yield f"suites.{suite}.benchmarks: {benchmark!r} is in another suite of final checkpoints already"
            if spec.checkpoints == "final":
                answered.add(benchmark)
        if spec.sizes is not None and spec.checkpoints == "final":
            yield f"suites.{suite}.sizes: only with `checkpoints: trajectory`; `exclude` takes cells out of the study"
        for size in spec.sizes or ():
            if size not in study.sizes:
                yield f"suites.{suite}.sizes: {size} is not in the study; valid: {_names(study.sizes)}"


def _of_data(study: Study) -> Iterator[str]:
    """Yield which sources do not suit what reads them, and sizes that no pool can have."""
    for pool, spec in study.pools.items():
        if spec.size is not None and max(study.sizes) > spec.size:
            yield f"sizes: {max(study.sizes)} is larger than pools.{pool}, which has {spec.size} examples"
        for source in spec.sources:
            for problem in source.misfits(None):
                yield f"pools.{pool}.sources: {problem}"
    for benchmark, asked in study.benchmarks.items():
        for source in asked.sources:
            for problem in source.misfits(asked.modality):
                yield f"benchmarks.{benchmark}.sources: {problem}"


def _of_examples(study: Study) -> Iterator[str]:
    """Yield sets of examples that are made from nothing known or from themselves, or that a name does not tell."""
    known = [*study.pools, *(name for name in study.examples if name not in study.pools)]
    for name, step in study.examples.items():
        if name in study.pools:
            yield f"examples.{name}: the name of a pool; choose another"
        for read in step.INPUTS:
            if read not in known:
                yield f"examples.{name}: no pool or set is called {read!r}; {near(read, known)}known: {_names(known)}"
    try:
        graphlib.TopologicalSorter({name: step.INPUTS for name, step in study.examples.items()}).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1]
        yield f"examples.{circle[0]}: made from itself: {' -> '.join(circle)}"


def _of_trajectories(study: Study) -> Iterator[str]:
    """Yield checkpoints that are kept and not evaluated, or evaluated and not kept."""
    used = {stage for stages in study.recipes.values() for stage in stages}
    keeps = [name for name in used if name in study.stages and study.stages[name].trajectory]
    on_trajectory = [suite for suite, spec in study.suites.items() if spec.checkpoints == "trajectory"]
    if keeps and not on_trajectory:
        yield f"stages.{sorted(keeps)[0]}.trajectory: no suite with `checkpoints: trajectory` would evaluate them"
    if on_trajectory and not keeps:
        yield f"suites.{on_trajectory[0]}: no stage of a recipe has `trajectory`, so there is nothing to evaluate"
    if not [suite for suite, spec in study.suites.items() if spec.checkpoints == "final"]:
        yield "suites: none has `checkpoints: final`, so no finished model would be evaluated"


def _of_values(where: str, value: Any) -> Iterator[str]:
    """Yield what JSON, in which jobs and records have a study, cannot hold: no number, infinite ones, dates, ..."""
    if isinstance(value, dict):
        for key, item in value.items():
            path = f"{where}.{key}".lstrip(".")
            if not isinstance(key, str):
                yield f"{path}: the key {key!r} is not text; put it in quotes"
            yield from _of_values(path, item)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _of_values(f"{where}.{i}", item)
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: {value} is not a finite number"
    elif not isinstance(value, str | int | float | None):
        yield f"{where}: {value!r} is neither text nor a number nor true or false; put text in quotes"


def _of_filters(study: Study) -> Iterator[str]:
    """Yield what `exclude` and `only` name that is not in the study."""
    axes: dict[str, Iterable[Any]] = {
        "model": study.models,
        "pool": study.pools,
        "size": study.sizes,
        "seed": study.seeds,
        "recipe": study.recipes,
    }
    for key in ("exclude", "only"):
        for i, item in enumerate(getattr(study, key)):
            for axis, known in axes.items():
                for value in getattr(item, axis) or ():
                    if value not in known:
                        yield f"{key}[{i}].{axis}: {value!r} is not in the study; valid: {_names(known)}"


def _names(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in values)
