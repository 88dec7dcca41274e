"""What a recipe makes on its way: one run for each of its stages, and for those of the recipes it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from reassess import paths
from reassess.graph.sets import ExampleSet, Origin
from reassess.steps.base import HERE
from reassess.study.recipes import ALL
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
        size: training examples, None for a stage that reads none; the study's largest size where it takes all.
        on: the set of examples that the stage reads, None for the pool itself.
        takes_all: whether it trains on all that there is.
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
    on: ExampleSet | None
    takes_all: bool
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
        number = max(study.sizes) if step.all else step.size or size
        on = None
        if item := step.on or kind.reads:
            on, before = resolve(study, place, item, size if step.all else number, parents[0])
            for run in before:
                add(made, run)
        others = unfold(study, place, kind.matches, number) if kind.matches else []
        for run in others:
            add(made, run)
        at = f"@{ALL if step.all else number}" if kind.READS_EXAMPLES else ""
        own = f"{stage}{f'+{on.name}' if on and on.name != kind.reads else ''}{at}"
        name = root or (f"{end.name}/{own}" if end else own)
        lineage = method or (f"{end.recipe}-{stage}" if end else stage)
        key = paths.cell(place.model, place.pool, place.seed, name)
        examples = number if kind.READS_EXAMPLES else None
        matched = _way(others)
        end = Run(key, *place[:3], name, stage, examples, on, step.all, parents, matched, lineage)
        add(made, end)
        parents, root, method = (key,), "", ""
    return list(made.values())


def _way(runs: list[Run]) -> tuple[str, ...]:
    """Return the last of some runs and those that it is made from; not those that only decide how long others train."""
    wanted = {run.key for run in runs[-1:]}
    for run in reversed(runs):
        wanted |= set(run.parents) if run.key in wanted else set()
    return tuple(run.key for run in runs if run.key in wanted)


def resolve(study: Study, place: Place, name: str, size: int, here: str) -> tuple[ExampleSet, list[Run]]:
    """Return a set as a step reads it, and what is made for it, parents first.

    Args:
        study: the study.
        place: where the step's recipe is followed.
        name: what the study calls the set.
        size: the step's training examples, at which the recipes are taken whose models are asked.
        here: the cell whose model the step starts from.
    """
    step = study.examples[name]
    runs: list[Run] = []
    reads: list[Origin | ExampleSet] = []
    for item in step.INPUTS:
        if item in study.examples:
            made, before = resolve(study, place, item, size, here)
            runs += before
            reads.append(made)
        else:
            reads.append(Origin(study.makers(item)[0], item))
    prefixes = [read.prefix for read in reads if isinstance(read, ExampleSet)]
    model = speaker = ""
    if who := step.speaker:
        model, speaker = who.model or place.model, f"{who.model or place.model}/base"
        if who.model in study.endpoints:
            speaker = ""
        if who.recipe == HERE:
            speaker = here
        elif study.has_steps(who.recipe):
            chain = unfold(study, place, who.recipe, who.size or size)
            runs += chain
            speaker = chain[-1].key
        prefixes += [] if who.model else [speaker]
    found = list(dict.fromkeys(filter(None, prefixes)))
    # Of several models none has the path.
    prefix = found[0] if len(found) == 1 else paths.cell(place.model, place.pool, place.seed, f"at{size}")
    return ExampleSet(f"{prefix}/{name}" if found else name, name, model, speaker, tuple(reads)), runs


def fixed(study: Study, name: str) -> ExampleSet:
    """Return a set that is made once for all cells."""
    return resolve(study, Place("", "", 0, {}), name, 0, "")[0]


def measured(study: Study, name: str) -> Origin | ExampleSet:
    """Return what a measure of a study is taken on."""
    on = study.measures[name].on
    return fixed(study, on) if on in study.examples else Origin(study.makers(on)[0], on)


def add(runs: dict[str, Run], run: Run) -> None:
    """Add a run unless it is there. Raises ValueError where another model has its path."""
    known = runs.setdefault(run.key, run)
    # All but the names that depend on the recipe.
    if known[:-2] != run[:-2]:
        if known.on != run.on:
            raise ValueError(
                f"{run.name}: two models have this path, trained on {known.on and known.on.key} and "
                f"{run.on and run.on.key}; give the steps sizes of their own, or the set another name"
            )
        # Other paths spell how a model is made; that of several parents begins with the name of a recipe.
        several, other = (run, known) if len(run.parents) > 1 else (known, run)
        raise ValueError(
            f"recipes.{several.recipe}: two models have the path {several.name}: {several.stage} of "
            f"{' and '.join(several.parents)}, and {other.stage} of {' and '.join(other.parents)}; rename the recipe"
        )


def variant_of(study: Study, recipe: str, variants: Mapping[str, str]) -> str:
    """Return what spells the varied values of a recipe, empty where none of its stages varies."""
    return ".".join(variants[stage] for stage in study.variants(recipe))
