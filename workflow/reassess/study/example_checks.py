"""What does not fit together in the sets of examples of a study."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Iterator

from reassess.spec import near
from reassess.steps.base import HERE, AnyStep, Asks
from reassess.steps.score import Score
from reassess.study.study import Study


def problems_of(study: Study) -> Iterable[str]:
    """Yield what does not fit together, each with its key path; what recipes need is checked after them."""
    names = [*_of_names(study), *_of_reads(study)]
    circles = [] if names else list(_of_circles(study))
    yield from (*names, *circles)
    if not names and not circles:
        yield from _of_columns(study)
        yield from _of_speakers(study)
        yield from _of_shared(study)


def _of_names(study: Study) -> Iterator[str]:
    """Yield names that something else has."""
    for name in study.teachers:
        if name in study.models:
            yield f"teachers.{name}: the name of a model, which can be asked too; leave it out, or choose another name"
    for name in study.examples:
        if name in study.pools or name in study.benchmarks:
            yield f"examples.{name}: the name of a {'pool' if name in study.pools else 'benchmark'}; choose another"


def _of_reads(study: Study) -> Iterator[str]:
    """Yield what sets are made from, and who is asked for them, that is not in the study."""
    held_out = [name for name, spec in study.benchmarks.items() if spec.pool is not None]
    known = [*study.pools, *study.examples, *held_out]
    recipes = [HERE, "base", *study.recipes]
    for name, step in study.examples.items():
        for read in step.INPUTS:
            if read in study.benchmarks and read not in known:
                yield f"examples.{name}: {read!r} is a benchmark, and not one of a pool's held-out rows (`pool: ...`)"
            elif read not in known:
                yield (
                    f"examples.{name}: no pool or set is called {read!r}; {near(read, known)}known: {', '.join(known)}"
                )
        if (who := step.speaker) is None:
            continue
        speakers = [*study.models, *study.teachers]
        if who.model and who.model not in speakers:
            hint = f"{near(who.model, speakers)}known: {', '.join(speakers)}"
            yield f"examples.{name}.model: no model or teacher is called {who.model!r}; {hint}"
        if who.recipe and who.recipe not in recipes:
            yield (
                f"examples.{name}.recipe: unknown recipe {who.recipe!r}; {near(who.recipe, recipes)}known: "
                f"{', '.join(dict.fromkeys(recipes))}"
            )


def _of_circles(study: Study) -> Iterator[str]:
    """Yield sets and recipes that need themselves: a recipe that trains on what its own model would have to say.

    A recipe needs those whose cost it matches, too.
    """
    needs: dict[str, list[str]] = {}
    for name, step in study.examples.items():
        who = step.speaker
        needs[f"examples.{name}"] = [f"examples.{read}" for read in step.INPUTS if read in study.examples]
        if who is not None and who.recipe in study.recipes:
            needs[f"examples.{name}"].append(f"recipes.{who.recipe}")
    for recipe in study.recipes:
        starts = [f"recipes.{start.recipe}" for start in study.recipes[recipe].start if start.recipe in study.recipes]
        needs[f"recipes.{recipe}"] = [
            *starts,
            *(f"examples.{on}" for on in study.sets_of(recipe) if on in study.examples),
            *(f"recipes.{matched}" for matched in study.matched_by(recipe)),
        ]
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1][::-1]
        yield (
            f"{circle[0]}: needs itself: {' -> '.join(circle)}; what a model says can only train another one: write a "
            "recipe, with a set, for each cycle"
        )


def _of_columns(study: Study) -> Iterator[str]:
    """Yield columns that are read and that no step before has filled."""
    for name, step in study.examples.items():
        filled = list(dict.fromkeys(_filled(study, step)))
        for wanted in step.wants:
            if wanted not in filled:
                known = f"{near(wanted, filled)}filled before it: {', '.join(filled) or 'none'}"
                yield f"examples.{name}: no step before it fills the column {wanted!r}; {known}"


def _filled(study: Study, step: AnyStep) -> Iterator[str]:
    for read in step.INPUTS:
        if read in study.examples:
            yield from study.examples[read].fills
            yield from _filled(study, study.examples[read])


def _of_speakers(study: Study) -> Iterator[str]:
    """Yield who cannot be asked, or not so: one model has to follow from the cell."""
    for name, step in study.examples.items():
        who = step.speaker
        if isinstance(step, Score) and step.model in study.endpoints:
            yield f"examples.{name}.model: {step.model} is behind an endpoint, which does not say how likely a text is"
        if isinstance(step, Asks) and (endpoint := study.endpoints.get(step.model or "")) is not None:
            yield from (f"examples.{name}.{problem}" for problem in endpoint.misfits(step))
        if who is None or not study.has_steps(who.recipe):
            continue
        if varied := list(study.variants(who.recipe)):
            yield (
                f"examples.{name}.recipe: {who.recipe} stands for several models, because stages.{varied[0]} has "
                "`vary`; ask a recipe of a stage without"
            )
        if who.size is not None and study.own_size(who.recipe) is not None:
            yield f"examples.{name}.recipe: no stage of {who.recipe} follows the cell's size; leave the size out"
    for recipe, spec in study.recipes.items():
        for first in spec.steps[:1] if len(spec.start) > 1 else ():
            ons = {first.on or stage.reads for stage in study.runnable(first.by).values()}
            if any(on and _asks_here(study, on) for on in ons):
                yield f"recipes.{recipe}.steps.0: starts from several models, so that `{HERE}` is none of them"


def _asks_here(study: Study, name: str) -> bool:
    step = study.examples.get(name)
    if step is None:
        return False
    return (step.speaker is not None and step.speaker.recipe == HERE) or any(
        _asks_here(study, read) for read in step.INPUTS
    )


def _of_shared(study: Study) -> Iterator[str]:
    """Yield recipes that train on other questions than the rest without saying so, and sets that not all could have."""
    shared: set[str] = set()
    for pool, spec in study.pools.items():
        for i, name in enumerate(spec.only_with):
            where = f"pools.{pool}.only_with.{i}"
            if name not in study.examples:
                known = f"{near(name, study.examples)}known: {', '.join(study.examples) or 'none'}"
                yield f"{where}: no set of examples is called {name!r}; {known}"
            elif not study.is_fixed(name):
                yield (
                    f"{where}: {name!r} is made anew for each model of a recipe, so that cells would train on "
                    "different questions; name sets of a `model`"
                )
            elif pools := [found for found in origins(study, name) if found != pool]:
                yield f"{where}: {name!r} is made from {pools[0]}; name sets of this pool"
            else:
                shared.add(name)
    for i, recipe in enumerate(study.other_data):
        if recipe not in study.recipes:
            known = f"{near(recipe, study.recipes)}known: {', '.join(study.recipes)}"
            yield f"other_data.{i}: unknown recipe {recipe!r}; {known}"
        elif not [on for on in study.sets_of(recipe) if on not in shared]:
            yield f"other_data.{i}: {recipe} trains on the same questions as the rest; leave it out"
    for recipe, made in study.recipes.items():
        if not made.evaluate or recipe in study.other_data:
            continue
        for on, stage in study.sets_of(recipe).items():
            if on in study.examples and on not in shared:
                yield (
                    f"recipes.{recipe}: {stage} trains on {on!r}, which may have other questions than the rest of the "
                    f"study trains on; put {on} into `only_with` of its pool, or {recipe} into `other_data`"
                )


def origins(study: Study, name: str) -> set[str]:
    """Return the pools and benchmarks that a set is made from in the end."""
    if name not in study.examples:
        return {name}
    return {found for read in study.examples[name].INPUTS for found in origins(study, read)}
