"""What does not fit together in a study whose parts are each valid."""

from __future__ import annotations

import graphlib
import math
from collections.abc import Iterable, Iterator
from typing import Any

from reassess.spec import near
from reassess.study import example_checks, recipe_checks
from reassess.study.study import Filter, Study


def problems_of(study: Study) -> Iterable[str]:
    """Yield what does not fit together, each with its key path and the valid values."""
    for axis in ("sizes", "seeds"):
        values = getattr(study, axis)
        if len(set(values)) != len(values):
            yield f"{axis}: duplicate values in {list(values)}"
    wrong = list(recipe_checks.problems_of(study))
    yield from wrong
    yield from _of_suites(study)
    yield from _of_data(study)
    yield from _of_held_out(study)
    sets = list(example_checks.problems_of(study)) if not wrong else []
    yield from sets
    yield from _of_measures(study, not wrong and not sets)
    yield from _of_imported(study)
    if not wrong:
        yield from _of_trajectories(study)
        yield from _of_filters(study)
    yield from _of_report(study)
    yield from _of_values("", study.model_dump())


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
            if size not in (known := _all_sizes(study)):
                yield f"suites.{suite}.sizes: {size} is not in the study; valid: {_names(known)}"


def _of_data(study: Study) -> Iterator[str]:
    """Yield which sources do not suit what reads them, and sizes that no pool can have."""
    for pool, spec in study.pools.items():
        held_out = spec.held_out or 0
        less = f", {held_out} of them held out" if held_out else ""
        for where, size in _sizes(study):
            if spec.size is not None and size > spec.size - held_out:
                yield f"{where}: {size} is larger than pools.{pool}, which has {spec.size} examples{less}"
        for source in spec.sources:
            for problem in source.misfits(spec.modality, is_benchmark=False):
                yield f"pools.{pool}.sources: {problem}"
    for benchmark, asked in study.benchmarks.items():
        for source in asked.sources:
            for problem in source.misfits(asked.modality, is_benchmark=True):
                yield f"benchmarks.{benchmark}.sources: {problem}"


def _of_held_out(study: Study) -> Iterator[str]:
    """Yield benchmarks that are no held-out part of a pool, and pools that are made from themselves by way of one."""
    for pool, spec in study.pools.items():
        for name in spec.decontaminate.against if spec.decontaminate else ():
            if name not in study.benchmarks:
                yield (
                    f"pools.{pool}.decontaminate.against: unknown benchmark {name!r}; "
                    f"{near(name, study.benchmarks)}known benchmarks: {_names(study.benchmarks)}"
                )
                return
    for name, benchmark in study.benchmarks.items():
        where, of = f"benchmarks.{name}", benchmark.pool
        if of is None:
            continue
        if of not in study.pools:
            yield f"{where}.pool: unknown pool {of!r}; {near(of, study.pools)}known pools: {_names(study.pools)}"
            return
        if study.pools[of].held_out is None:
            yield f"{where}.pool: pools.{of} holds nothing out; say there how many rows, `held_out: ...`"
        if (modality := study.pools[of].modality) not in ("mixed", benchmark.modality):
            yield (
                f"{where}.modality: {benchmark.modality!r} does not fit pools.{of}, which is {modality}; "
                f"say `modality: {modality}`"
            )
    made = [*(("pool", pool) for pool in study.pools), *(("benchmark", name) for name in study.benchmarks)]
    try:
        graphlib.TopologicalSorter({which: study.reads(*which) for which in made}).prepare()
    except graphlib.CycleError as error:
        circle = [f"{rule}s.{name}" for rule, name in error.args[1]]
        yield (
            f"{circle[0]}: made from itself: {' -> '.join(circle)}; a pool cannot be decontaminated against what it "
            "holds out itself, which shares no picture with the rest of it"
        )


def _sizes(study: Study) -> Iterator[tuple[str, int]]:
    """Yield where a study says how many examples to take, and how many."""
    yield "sizes", max(study.sizes)
    for name, recipe in study.recipes.items():
        for i, size in enumerate(item.size for item in recipe.start):
            if size is not None:
                yield f"recipes.{name}.start.{i}", size
        for i, step in enumerate(recipe.steps):
            if step.size is not None:
                yield f"recipes.{name}.steps.{i}", step.size


def _all_sizes(study: Study) -> list[int]:
    return sorted({*study.sizes, *(size for _, size in _sizes(study))})


def _of_measures(study: Study, are_sets_right: bool) -> Iterator[str]:
    """Yield measures on what is not known, or not the same for all cells, and of models that are not evaluated."""
    known = list(dict.fromkeys([*study.pools, *study.examples, *study.benchmarks]))
    recipes = {"base", *(name for name, recipe in study.recipes.items() if recipe.evaluate)}
    for name, measure in study.measures.items():
        where = f"measures.{name}"
        if len(makers := study.makers(measure.on)) > 1:
            yield f"{where}.on: {measure.on!r} is the name of several ({', '.join(makers)}); give all but one another"
        elif not makers:
            yield (
                f"{where}.on: no pool, set of examples or benchmark is called {measure.on!r}; "
                f"{near(measure.on, known)}known: {_names(known)}"
            )
        elif makers == ["examples"] and are_sets_right and not study.is_fixed(measure.on):
            yield (
                f"{where}.on: {measure.on!r} is made by each cell's own model, so that cells would be measured on "
                "different examples; name a set that is made once, a pool or a benchmark"
            )
        for recipe in measure.recipes or ():
            if recipe not in recipes:
                hint = f"{near(recipe, recipes)}known: {_names(sorted(recipes))}"
                yield f"{where}.recipes: {recipe!r} is no recipe that is evaluated; {hint}"


def _of_imported(study: Study) -> Iterator[str]:
    """Yield other people's results on benchmarks that are none of the study's, or that are asked otherwise."""
    for name, spec in study.imported.items():
        for benchmark in spec.files:
            if benchmark not in study.benchmarks:
                yield (
                    f"imported.{name}.files: unknown benchmark {benchmark!r}; {near(benchmark, study.benchmarks)}"
                    f"known benchmarks: {_names(study.benchmarks)}"
                )
            elif study.benchmarks[benchmark].circular:
                yield (
                    f"imported.{name}.files.{benchmark}: is asked in rotations here, and others have one response per "
                    "question; add the benchmark a second time, without `circular`"
                )


def _of_trajectories(study: Study) -> Iterator[str]:
    """Yield checkpoints that are kept for nothing, or asked and not kept, and suites that choose and are reported."""
    used = study.used
    keeps = [name for name, variants in used.items() if any(stage.keeps for stage in variants.values())]
    on_trajectory = [suite for suite, spec in study.suites.items() if spec.checkpoints == "trajectory"]
    if keeps and not on_trajectory and not any(study.stages[name].CHOOSES for name in used):
        yield f"stages.{keeps[0]}.trajectory: no suite with `checkpoints: trajectory` would evaluate them"
    if on_trajectory and not keeps:
        yield f"suites.{on_trajectory[0]}: no stage of a recipe has `trajectory`, so there is nothing to evaluate"
    if not [suite for suite, spec in study.suites.items() if spec.checkpoints == "final"]:
        yield "suites: none has `checkpoints: final`, so no finished model would be evaluated"
    for suite, stage in study.choosing.items():
        where = f"stages.{stage}.suite"
        if suite not in study.suites:
            yield f"{where}: unknown suite {suite!r}; {near(suite, study.suites)}known: {_names(study.suites)}"
            continue
        if suite not in on_trajectory:
            yield f"{where}: {suite!r} asks finished models; choosing needs a suite with `checkpoints: trajectory`"
        if study.suites[suite].sizes is not None:
            yield f"suites.{suite}.sizes: leave it out; it is asked where stages.{stage} chooses by it"
        for other, spec in study.suites.items():
            shared = [name for name in spec.benchmarks if name in study.suites[suite].benchmarks]
            if other not in study.choosing and shared:
                yield (
                    f"suites.{other}.benchmarks: {_names(shared)} is reported here, and suites.{suite}, by which "
                    f"stages.{stage} chooses, asks it too; a score that decided a choice is no result: use another "
                    "benchmark"
                )


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
    axes: dict[str, list[Any]] = {
        "model": list(study.models),
        "pool": list(study.pools),
        "size": _all_sizes(study),
        "seed": list(study.seeds),
        "recipe": list(study.recipes),
    }
    for stage in study.stages.values():
        for variant in stage.variants.values():
            for key, value in variant.values.items():
                if value not in axes.setdefault(key, []):
                    axes[key].append(value)
    for key in ("exclude", "only"):
        for i, item in enumerate(getattr(study, key)):
            yield from _of_filter(f"{key}[{i}]", item, axes)
    # A difference is over all seeds.
    compared = {axis: values for axis, values in axes.items() if axis != "seed"}
    compared["recipe"] = list(dict.fromkeys((*study.recipes, "base", "base-think")))
    for name, spec in study.contrasts.items():
        for side in ("a", "b"):
            yield from _of_filter(f"contrasts.{name}.{side}", getattr(spec, side), compared)


def _of_filter(where: str, item: Filter, axes: dict[str, list[Any]]) -> Iterator[str]:
    wanted = {axis: getattr(item, axis) for axis in Filter.model_fields} | (item.__pydantic_extra__ or {})
    for axis, values in (wanted | item.varied).items():
        if axis not in axes and (values is not None or axis not in Filter.model_fields):
            yield f"{where}.{axis}: unknown key; {near(axis, axes, n=1)}valid keys: {_names(axes)}"
        elif values is not None and not values:
            yield f"{where}.{axis}: empty, so that it matches nothing; leave it out"
        for value in values or () if axis in axes else ():
            if value not in axes[axis]:
                hint = near(value, map(str, axes[axis])) if isinstance(value, str) else ""
                yield f"{where}.{axis}: {value!r} is not in the study; {hint}valid: {_names(axes[axis])}"


def _of_report(study: Study) -> Iterator[str]:
    """Yield benchmarks that the report names and no finished model is asked."""
    final = [suite for suite in study.suites.values() if suite.checkpoints == "final"]
    asked = [name for suite in final for name in suite.benchmarks]
    for name in study.report.in_distribution or ():
        if name not in asked:
            yield (
                f"report.in_distribution: no suite of finished models asks {name!r}; {near(name, asked)}known: "
                f"{_names(asked)}"
            )


def _names(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in values)
