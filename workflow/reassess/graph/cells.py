"""The points of a study's grid, and the models that have to be trained for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reassess import paths
from reassess.prompts import THINK
from reassess.study.study import Filter, Study

BASE = "base"
# The base model forced to start with <think>: most of an apparent RL gain on a small model is a switch into that
# format, so this control stands beside every model.
BASE_THINK = "base-think"


class Cell(NamedTuple):
    """One point of the grid.

    Attributes:
        key: its path, which is its name.
        model: the model.
        recipe: how it is made; `base` and `base-think` are the controls.
        pool: the pool, None for a control; so are `size` and `seed`.
        size: training examples.
        seed: seed of subset and training.
        name: what its path has behind the seed: `sft@200/grpo@200`.
    """

    key: str
    model: str
    recipe: str
    pool: str | None = None
    size: int | None = None
    seed: int | None = None
    name: str = BASE

    @property
    def is_control(self) -> bool:
        return self.pool is None

    @property
    def prefill(self) -> str:
        """What its responses are forced to start with."""
        return THINK if self.name == BASE_THINK else ""


class Run(NamedTuple):
    """A model that has to be trained, on the way to a cell or at its end.

    Attributes:
        key: its path.
        model: the base model.
        pool: the pool.
        seed: seed of subset and training.
        name: what its path has behind the seed.
        stage: the last stage.
        size: training examples of the last stage.
        on: the set of examples that the last stage trains on, empty for the pool itself.
        parents: the keys of the runs that it starts from; none where that is the base model.
        recipe: the recipe that ends here, or the names of its stages where it only leads to one.
    """

    key: str
    model: str
    pool: str
    seed: int
    name: str
    stage: str
    size: int
    on: str
    parents: tuple[str, ...]
    recipe: str

    @property
    def as_cell(self) -> Cell:
        """The run as a point of the grid, for what asks its kept checkpoints."""
        return Cell(self.key, self.model, self.recipe, self.pool, self.size, self.seed, self.name)


class Grid(NamedTuple):
    """What a study consists of.

    Attributes:
        cells: the cells, in the study's order; each model's controls come first.
        runs: what is trained by key, parents before children.
    """

    cells: tuple[Cell, ...]
    runs: dict[str, Run]


def lay_out(study: Study) -> Grid:
    """Return the product of the axes less what the filters take out.

    Each model has its two controls, base and forced `<think>`, unless a filter takes the whole model out.

    Raises:
        ValueError: the filters take out everything.
    """
    cells: dict[str, Cell] = {}
    runs: dict[str, Run] = {}
    recipes = {stages: name for name, stages in study.recipes.items()}
    for model in study.models:
        trained = [cell for cell in _product(study, model) if _kept(study, cell)]
        base = Cell(f"{model}/{BASE}", model, BASE)
        if not trained and not ("base" in study.recipes and _kept(study, base)):
            continue
        for cell in (base, Cell(f"{model}/{BASE_THINK}", model, BASE_THINK, name=BASE_THINK), *trained):
            cells.setdefault(cell.key, cell)
        for cell in trained:
            runs.update((run.key, run) for run in _chain(study, cell, recipes) if run.key not in runs)
    if not cells:
        raise ValueError("exclude/only: the filters take every cell out of the study")
    return Grid(tuple(cells.values()), runs)


def _product(study: Study, model: str) -> Iterator[Cell]:
    for recipe, stages in study.recipes.items():
        if not stages:
            continue
        for pool in study.pools:
            for size in study.sizes:
                name = "/".join(f"{stage}@{size}" for stage in stages)
                for seed in study.seeds:
                    yield Cell(paths.cell(model, pool, seed, name), model, recipe, pool, size, seed, name)


def _chain(study: Study, cell: Cell, recipes: dict[tuple[str, ...], str]) -> Iterator[Run]:
    """Yield what is trained for a cell, first stage first."""
    assert cell.pool is not None
    assert cell.size is not None
    assert cell.seed is not None
    stages = study.recipes[cell.recipe]
    name = ""
    parents: tuple[str, ...] = ()
    for i, stage in enumerate(stages, 1):
        name = f"{name}/{stage}@{cell.size}" if name else f"{stage}@{cell.size}"
        key = paths.cell(cell.model, cell.pool, cell.seed, name)
        recipe = recipes.get(stages[:i], "-".join(stages[:i]))
        on = study.stages[stage].on or ""
        yield Run(key, cell.model, cell.pool, cell.seed, name, stage, cell.size, on, parents, recipe)
        parents = (key,)


def _kept(study: Study, cell: Cell) -> bool:
    if study.only and not any(matches(item, cell) for item in study.only):
        return False
    return not any(matches(item, cell) for item in study.exclude)


def matches(item: Filter, cell: Cell) -> bool:
    """Whether a filter picks a cell. One on an axis that a control has not (pool, size, seed) picks no control."""
    return all(
        wanted is None or value in wanted
        for wanted, value in (
            (item.model, cell.model),
            (item.pool, cell.pool),
            (item.size, cell.size),
            (item.seed, cell.seed),
            (item.recipe, cell.recipe),
        )
    )
