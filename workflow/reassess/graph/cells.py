"""The points of a study's grid, and the models that have to be made for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

from reassess.graph.recipes import Place, Run, own_size, unfold, variant_of
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
        variant: what spells the values of its varied stages, empty without any.
        varied: these options and their values.
        is_asked: whether suites are asked of it, and tables show it.
    """

    key: str
    model: str
    recipe: str
    pool: str | None = None
    size: int | None = None
    seed: int | None = None
    name: str = BASE
    variant: str = ""
    varied: tuple[tuple[str, Any], ...] = ()
    is_asked: bool = True

    @property
    def is_control(self) -> bool:
        return self.pool is None

    @property
    def method(self) -> str:
        """The recipe with the variant of its stages: what is one row of a table at one size."""
        return f"{self.recipe}.{self.variant}" if self.variant else self.recipe

    @property
    def prefill(self) -> str:
        """What its responses are forced to start with."""
        return THINK if self.name == BASE_THINK else ""


class Grid(NamedTuple):
    """What a study consists of.

    Attributes:
        cells: the cells, in the study's order; each model's controls come first.
        runs: what is made by key, parents before children.
    """

    cells: tuple[Cell, ...]
    runs: dict[str, Run]


def lay_out(study: Study) -> Grid:
    """Return the product of the axes less what the filters take out.

    Each model has its two controls, base and forced `<think>`, unless a filter takes the whole model out. Where two
    recipes make the same model at some size, it is a cell of the one that comes first in the study.

    Raises:
        ValueError: the filters take out everything, or what two recipes make has the same path.
    """
    cells: dict[str, Cell] = {}
    runs: dict[str, Run] = {}
    for model in study.models:
        made = list(_product(study, model))
        _check_owners(study, _owners([cell for cell, _ in made]))
        kept = [(cell, chain) for cell, chain in made if _kept(study, cell)]
        ends = _owners([cell for cell, _ in (*kept, *made)])
        base = Cell(f"{model}/{BASE}", model, BASE)
        if not kept and not ("base" in study.recipes and _kept(study, base)):
            continue
        controls = (base, Cell(f"{model}/{BASE_THINK}", model, BASE_THINK, name=BASE_THINK))
        cells |= {cell.key: cell for cell in controls}
        cells |= {cell.key: ends[cell.key] for cell, _ in kept}
        for cell, chain in kept:
            for run in chain:
                _add(runs, run, ends.get(run.key), cell)
    if not cells:
        raise ValueError("exclude/only: the filters take every cell out of the study")
    return Grid(tuple(cells.values()), runs)


def as_cell(run: Run) -> Cell:
    """Return a run as a point of the grid, for what asks its kept checkpoints."""
    return Cell(run.key, run.model, run.recipe, run.pool, run.size, run.seed, run.name)


def _add(runs: dict[str, Run], run: Run, end: Cell | None, cell: Cell) -> None:
    """Add a run on the way to a cell, by the name of the recipe that ends there if one does."""
    if end is not None:
        run = run._replace(recipe=end.method)
    run = run._replace(is_asked=cell.is_asked and (end is None or end.is_asked))
    known = runs.setdefault(run.key, run)
    if known._replace(recipe="", is_asked=True) != run._replace(recipe="", is_asked=True):
        raise ValueError(
            f"recipes.{run.recipe} and recipes.{known.recipe}: both make {run.key}, by {run.stage} from "
            f"{' and '.join(run.parents)}, and by {known.stage} from {' and '.join(known.parents)}; rename one of them"
        )
    if run.is_asked:
        runs[run.key] = known._replace(is_asked=True)


def _owners(found: Sequence[Cell]) -> dict[str, Cell]:
    """Return the cell that each path is of: the first one, and one that is asked before one that is not."""
    owners = {cell.key: cell for cell in reversed(found)}
    return owners | {cell.key: cell for cell in reversed(found) if cell.is_asked}


def _check_owners(study: Study, ends: dict[str, Cell]) -> None:
    """Raise ValueError where all that a recipe makes is another's."""
    owners = {cell.recipe for cell in ends.values()}
    for recipe, spec in study.recipes.items():
        if spec.steps and recipe not in owners:
            same = next(other for other in study.recipes if _paths(study, recipe) <= _paths(study, other))
            raise ValueError(f"recipes.{recipe}: makes the same models as recipes.{same}; leave one of them out")


def _paths(study: Study, recipe: str) -> set[str]:
    model = next(iter(study.models))
    return {cell.key for cell, _ in _product(study, model) if cell.recipe == recipe}


def _product(study: Study, model: str) -> Iterator[tuple[Cell, list[Run]]]:
    """Yield every cell of a model, filtered or not, with what has to be made for it."""
    for recipe, spec in study.recipes.items():
        if not spec.steps:
            continue
        fixed = own_size(study, recipe)
        varied = study.variants(recipe)
        for variants in product(*(found.items() for found in varied.values())):
            chosen = dict(zip(varied, (name for name, _ in variants), strict=True))
            values = tuple(item for _, variant in variants for item in variant.values.items())
            for pool, size, seed in product(study.pools, study.sizes if fixed is None else [fixed], study.seeds):
                chain = unfold(study, Place(model, pool, seed, chosen), recipe, size)
                end = chain[-1]
                yield (
                    Cell(
                        end.key, model, recipe, pool, size, seed, end.name,
                        variant_of(study, recipe, chosen), values, spec.evaluate,
                    ),
                    chain,
                )  # fmt: skip


def _kept(study: Study, cell: Cell) -> bool:
    if study.only and not any(matches(item, cell) for item in study.only):
        return False
    return not any(matches(item, cell) for item in study.exclude)


def matches(item: Filter, cell: Cell) -> bool:
    """Whether a filter picks a cell. One on an axis that a cell has not (a control: pool, size, seed) does not."""
    axes = {"model": cell.model, "pool": cell.pool, "size": cell.size, "seed": cell.seed, "recipe": cell.recipe}
    if any((wanted := getattr(item, axis)) is not None and value not in wanted for axis, value in axes.items()):
        return False
    return all(
        any(key == name and value in wanted for name, value in cell.varied) for key, wanted in item.varied.items()
    )
