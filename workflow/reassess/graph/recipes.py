"""What a recipe makes on its way: one run for each of its stages, and for those of the recipes it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from reassess import paths
from reassess.study.study import Study

# Characters of one directory, which most file systems give 255 bytes, and of all behind the seed: logs, locks and
# temporary files are called like it and have an ending.
LONGEST_NAME = 200
LONGEST_PATH = 1000


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
        matched: the runs whose cost decides how long it trains, parents first.
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
    matched: tuple[str, ...]
    recipe: str
    is_asked: bool = True


class Place(NamedTuple):
    """Where a recipe is followed.

    Attributes:
        model: the base model.
        pool: the pool.
        seed: the seed.
        variants: the variant of each varied stage that is on the way.
    """

    model: str
    pool: str
    seed: int
    variants: Mapping[str, str]


def unfold(study: Study, place: Place, recipe: str, size: int) -> list[Run]:
    """Return what is made for a recipe at a size, parents first, and before them the runs whose cost they match.

    Args:
        study: the study.
        place: where.
        recipe: a recipe with stages.
        size: the cell's training examples, for the stages that have no size of their own.

    Raises:
        ValueError: two different models have the same path.
    """
    spec = study.recipes[recipe]
    made: dict[str, Run] = {}
    ends: list[Run | None] = []
    for start in spec.start:
        before = unfold(study, place, start.recipe, start.size or size) if study.has_steps(start.recipe) else []
        for run in before:
            add(made, run)
        ends.append(before[-1] if before else None)
    base = f"{place.model}/base"
    parents = tuple(end.key if end else base for end in ends) or (base,)
    end = ends[0] if len(ends) == 1 else None
    root = method = ""
    if len(ends) > 1:
        # Of several parents none has the path that goes on: the recipe's own name is a new root.
        method = ".".join(filter(None, (recipe, variant_of(study, recipe, place.variants))))
        root = f"{method}@{study.own_size(recipe) or size}"
    for step in spec.steps:
        stage = f"{step.by}.{place.variants[step.by]}" if step.by in place.variants else step.by
        kind = study.all_stages[stage]
        examples = (step.size or size) if kind.READS_EXAMPLES else None
        on = step.on or kind.reads or ""
        own = f"{stage}{f'+{on}' if on != (kind.reads or '') else ''}{f'@{examples}' if examples else ''}"
        others = unfold(study, place, kind.matches, examples or size) if kind.matches else []
        for run in others:
            add(made, run)
        name = root or (f"{end.name}/{own}" if end else own)
        lineage = method or (f"{end.recipe}-{stage}" if end else stage)
        key = paths.cell(place.model, place.pool, place.seed, name)
        matched = _way(others)
        end = Run(key, place.model, place.pool, place.seed, name, stage, examples, on, parents, matched, lineage)
        add(made, end)
        parents, root, method = (key,), "", ""
    return list(made.values())


def _way(runs: list[Run]) -> tuple[str, ...]:
    """Return the last of some runs and those that it is made from; not those that only decide how long others train."""
    wanted = {run.key for run in runs[-1:]}
    for run in reversed(runs):
        wanted |= set(run.parents) if run.key in wanted else set()
    return tuple(run.key for run in runs if run.key in wanted)


def add(runs: dict[str, Run], run: Run) -> None:
    """Add a run unless it is there. Raises ValueError where another model has its path."""
    known = runs.setdefault(run.key, run)
    # All but the names that depend on the recipe.
    if known[:-2] != run[:-2]:
        # Other paths spell how a model is made; that of several parents begins with the name of a recipe.
        several, other = (run, known) if len(run.parents) > 1 else (known, run)
        raise ValueError(
            f"recipes.{several.recipe}: two models have the path {several.name}: {several.stage} of "
            f"{' and '.join(several.parents)}, and {other.stage} of {' and '.join(other.parents)}; rename the recipe"
        )


def variant_of(study: Study, recipe: str, variants: Mapping[str, str]) -> str:
    """Return what spells the varied values of a recipe, empty where none of its stages varies."""
    return ".".join(variants[stage] for stage in study.variants(recipe))
