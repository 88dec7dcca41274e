"""What a recipe makes on its way: one run for each of its stages, and for those of the recipes it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from reassess import paths
from reassess.study.study import Study


class Run(NamedTuple):
    """A model that a stage has to make, on the way to a cell or at its end.

    Attributes:
        key: its path.
        model: the base model.
        pool: the pool.
        seed: seed of subset and training.
        name: what its path has behind the seed.
        stage: the stage.
        size: training examples, None for a stage that reads none.
        on: the set of examples that the stage reads, empty for the pool itself.
        parents: the cells whose models it starts from, in the order of the recipe; `{model}/base` is the base model.
        recipe: the recipe that ends here, or the names of its stages where it only leads to one.
        is_asked: whether suites may be asked of its checkpoints.
    """

    key: str
    model: str
    pool: str
    seed: int
    name: str
    stage: str
    size: int | None
    on: str
    parents: tuple[str, ...]
    recipe: str
    is_asked: bool = True


class Place(NamedTuple):
    """Where a recipe is followed.

    Attributes:
        model: the base model.
        pool: the pool.
        seed: the seed.
        variants: the variant of each varied stage.
    """

    model: str
    pool: str
    seed: int
    variants: Mapping[str, str]


def unfold(study: Study, place: Place, recipe: str, size: int) -> list[Run]:
    """Return what is made for a recipe at a size, parents first.

    Args:
        study: the study.
        place: where.
        recipe: a recipe with stages.
        size: the cell's training examples, for the stages that have no size of their own.
    """
    spec = study.recipes[recipe]
    made: dict[str, Run] = {}
    ends: list[Run | None] = []
    for start in spec.start:
        before = unfold(study, place, start.recipe, start.size or size) if _has_steps(study, start.recipe) else []
        made.update((run.key, run) for run in before)
        ends.append(before[-1] if before else None)
    base = f"{place.model}/base"
    parents = tuple(end.key if end else base for end in ends) or (base,)
    end = ends[0] if len(ends) == 1 else None
    # Of several parents none has the path that goes on: the recipe's own name is a new root.
    root = f"{_method(study, recipe, place.variants)}@{size}" if len(ends) > 1 else ""
    for step in spec.steps:
        stage = f"{step.by}.{place.variants[step.by]}" if step.by in place.variants else step.by
        kind = study.all_stages[stage]
        examples = (step.size or size) if kind.READS_EXAMPLES else None
        on = step.on or kind.reads or ""
        own = f"{stage}{f'+{on}' if on != (kind.reads or '') else ''}{f'@{examples}' if examples else ''}"
        name = root or (f"{end.name}/{own}" if end else own)
        lineage = root.partition("@")[0] or (f"{end.recipe}-{stage}" if end else stage)
        key = paths.cell(place.model, place.pool, place.seed, name)
        end = Run(key, place.model, place.pool, place.seed, name, stage, examples, on, parents, lineage)
        made[key], parents, root = end, (key,), ""
    assert end is not None
    made[end.key] = made.pop(end.key)
    return list(made.values())


def own_size(study: Study, recipe: str) -> int | None:
    """Return the training examples of a recipe whose steps all have a size of their own, None where one follows the
    cell's."""
    spec = study.recipes[recipe]
    sizes = [start.size or own_size(study, start.recipe) for start in spec.start if _has_steps(study, start.recipe)]
    for step in spec.steps:
        if study.stages[step.by].READS_EXAMPLES:
            sizes.append(step.size)
    if None in sizes or not sizes:
        return None
    reads = [step.size for step in spec.steps if step.size]
    return reads[-1] if reads else max(size for size in sizes if size is not None)


def variant_of(study: Study, recipe: str, variants: Mapping[str, str]) -> str:
    """Return what spells the varied values of a recipe, empty where none of its stages varies."""
    return ".".join(variants[stage] for stage in study.variants(recipe))


def _method(study: Study, recipe: str, variants: Mapping[str, str]) -> str:
    variant = variant_of(study, recipe, variants)
    return f"{recipe}.{variant}" if variant else recipe


def _has_steps(study: Study, recipe: str) -> bool:
    # A study need not name the base model among its recipes to start from it.
    return recipe in study.recipes and bool(study.recipes[recipe].steps)
