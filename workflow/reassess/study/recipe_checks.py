"""What does not fit together in the recipes of a study."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Iterator
from itertools import product

from pydantic import ValidationError

from reassess.spec import near
from reassess.study.recipes import Recipe
from reassess.study.study import Study

# Their models lie below the directory of the model before, beside these.
TAKEN = ("model", "adapter", "checkpoints")
# They stand in tables beside the recipes.
CONTROLS = ("base", "base-think", "floor")


def problems_of(study: Study) -> Iterable[str]:
    """Yield what does not fit together, each with its key path."""
    names = [*_of_names(study), *_of_variants(study), *_of_circles(study)]
    unknown = [
        problem for recipe, spec in study.recipes.items() for problem in _unknown(study, f"recipes.{recipe}", spec)
    ]
    yield from (*names, *unknown)
    if names or unknown:
        return
    yield from _of_matches(study)
    yield from _of_rows(study)
    for recipe, spec in study.recipes.items():
        yield from _of_steps(study, f"recipes.{recipe}", spec)
        yield from _of_start(study, f"recipes.{recipe}", spec)


def _of_names(study: Study) -> Iterator[str]:
    """Yield names that are taken, and recipes that are the same."""
    for recipe, spec in study.recipes.items():
        if recipe in CONTROLS and recipe != "base":
            yield f"recipes.{recipe}: the name of a control; choose another"
        elif (recipe == "base") != (not spec.steps and not spec.start):
            yield f"recipes.{recipe}: `base` is the name of the empty list of stages, and of no other"
        elif not spec.steps and spec.start:
            yield f"recipes.{recipe}.steps: empty; a recipe that starts from {spec.start[0]} has stages of its own"
        elif recipe == "base" and not spec.evaluate:
            yield "recipes.base.evaluate: the base model stands beside every other; leave it out"
    same: dict[str, str] = {}
    for recipe, spec in study.recipes.items():
        first = same.setdefault(spec.model_dump_json(include={"start", "steps"}), recipe)
        if first != recipe and spec.steps:
            yield f"recipes.{recipe}: the same stages as recipes.{first}"
    for name, stage in study.stages.items():
        if name in TAKEN and not stage.READS_EXAMPLES:
            yield f"stages.{name}: every model has a directory of this name; choose another"


def _of_variants(study: Study) -> Iterator[str]:
    """Yield stages with a variant that is not valid, or that is called like another stage."""
    for name, stage in study.stages.items():
        try:
            variants = stage.variants
        except ValidationError as error:
            for item in error.errors():
                where = f"stages.{name}.vary: {''.join(f'{part}: ' for part in item['loc'])}"
                if item["type"] == "value_error":
                    yield where + item["msg"].removeprefix("Value error, ")
                else:
                    yield f"{where}{item['input']!r}: {item['msg'][0].lower()}{item['msg'][1:]}"
            continue
        except ValueError as error:
            yield f"stages.{name}.vary: {error}"
            continue
        for variant in variants:
            if f"{name}.{variant}" in study.stages:
                yield f"stages.{name}.vary: a variant is called {name}.{variant}, and so is another stage"


def _of_rows(study: Study) -> Iterator[str]:
    """Yield recipes and labels that are called like another row of the tables."""
    called = {name: f"the control {name}" for name in CONTROLS if name not in study.recipes}
    for key in ("", ".label"):
        for recipe, spec in study.recipes.items():
            own = spec.label if key else recipe
            for variants in product(*study.variants(recipe).values()) if own else ():
                name = (" " if key else ".").join(filter(None, (own, ".".join(variants))))
                other = called.setdefault(name, f"recipes.{recipe}")
                if other != f"recipes.{recipe}":
                    yield f"recipes.{recipe}{key}: {name!r} is what {other} is called already"
                    break


def _of_circles(study: Study) -> Iterator[str]:
    """Yield recipes that start from themselves."""
    starts = {recipe: [start.recipe for start in spec.start] for recipe, spec in study.recipes.items()}
    try:
        graphlib.TopologicalSorter(starts).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1]
        yield f"recipes.{circle[0]}.start: starts from itself: {' -> '.join(circle)}"


def _of_matches(study: Study) -> Iterator[str]:
    """Yield stages that match a recipe which has no cost, or several, or whose own cost needs theirs."""
    for named in study.stages:
        for name, stage in study.runnable(named).items():
            recipe, where = stage.matches, f"stages.{name}.match.recipe"
            if recipe is None:
                continue
            if recipe == "base":
                yield f"{where}: the base model costs nothing; name a recipe with stages"
            elif recipe not in study.recipes:
                known = ", ".join(item for item in study.recipes if item != "base")
                yield f"{where}: unknown recipe {recipe!r}; {near(recipe, study.recipes)}known: {known}"
            elif varied := study.variants(recipe):
                yield f"{where}: {recipe} stands for several models (stages.{next(iter(varied))} varies); name another"
    needed = {
        recipe: [*(start.recipe for start in spec.start), *study.matched_by(recipe)]
        for recipe, spec in study.recipes.items()
    }
    try:
        graphlib.TopologicalSorter(needed).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1]
        yield f"recipes.{circle[0]}: a recipe whose cost needs itself, by `match`: {' -> '.join(circle)}"


def _unknown(study: Study, where: str, spec: Recipe) -> Iterator[str]:
    """Yield unknown stages and recipes."""
    for step in spec.steps:
        if step.by not in study.stages:
            known = ", ".join(study.stages)
            yield f"{where}: unknown stage {step.by!r}; {near(step.by, study.stages)}known stages: {known}"
    for start in spec.start:
        if start.recipe not in study.recipes and start.recipe != "base":
            known = ", ".join(study.recipes)
            yield f"{where}.start: unknown recipe {start.recipe!r}; {near(start.recipe, study.recipes)}known: {known}"


def _of_steps(study: Study, where: str, spec: Recipe) -> Iterator[str]:
    """Yield steps with sizes or examples that are not read, too few or too many parents, or nothing to choose from."""
    for i, step in enumerate(spec.steps):
        stage = study.stages[step.by]
        given = [key for key, value in (("size", step.all or step.size), ("on", step.on)) if value]
        if given and not stage.READS_EXAMPLES:
            yield f"{where}.steps.{i}: {step}: a stage of kind {stage.kind} reads no examples; leave `{given[0]}` out"
        count = len(spec.start) or 1 if i == 0 else 1
        if step.on is not None and "on" in stage.vary:
            yield f"{where}.steps.{i}.on: stages.{step.by} varies it; leave it out"
        misfits = [variant.misfit_of_parents(count) for variant in study.runnable(step.by).values()]
        yield from [f"{where}.steps.{i}: {step.by} {misfit}" for misfit in misfits if misfit][:1]
        if stage.CHOOSES:
            before = spec.steps[i - 1].by if i else _last(study, spec)
            without = [name for name, found in study.runnable(before).items() if not found.keeps] if before else []
            if before is None or without:
                what = f"stages.{without[0]} has no `trajectory`" if without else "the base model has none"
                yield f"{where}.steps.{i}: {step.by} chooses among checkpoints that the stage before keeps, and {what}"


def _of_start(study: Study, where: str, spec: Recipe) -> Iterator[str]:
    """Yield sizes at which a recipe cannot be taken, and recipes that stand twice."""
    for i, start in enumerate(spec.start):
        if start in spec.start[:i]:
            yield f"{where}.start.{i}: {start} stands twice"
        if start.size is None:
            continue
        if start.recipe == "base" or study.own_size(start.recipe) is not None:
            yield f"{where}.start: {start}: no stage of {start.recipe} follows the cell's size; leave the size out"


def _last(study: Study, spec: Recipe) -> str | None:
    """Return the stage that makes what a recipe starts from, None for the base model."""
    if not spec.start or spec.start[0].recipe == "base":
        return None
    return study.recipes[spec.start[0].recipe].steps[-1].by
