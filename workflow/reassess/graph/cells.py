"""The points of a study's grid, and the models that have to be made for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

from reassess.graph.recipes import LONGEST_NAME, LONGEST_PATH, Place, Run, add, unfold, variant_of
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
    def think(self) -> bool:
        """Whether its responses are forced to start with a thought."""
        return self.name == BASE_THINK


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
    _check(study)
    cells: dict[str, Cell] = {}
    runs: dict[str, Run] = {}
    for model in study.models:
        made = list(_product(study, [model], study.pools, study.seeds))
        kept = [(cell, chain) for cell, chain in made if _kept(study, cell)]
        base = Cell(f"{model}/{BASE}", model, BASE)
        if not kept and not ("base" in study.recipes and _kept(study, base)):
            continue
        controls = (base, Cell(f"{model}/{BASE_THINK}", model, BASE_THINK, name=BASE_THINK))
        owners = _owners([cell for cell, _ in kept])
        # A model that is only on the way to a cell still has the name of the recipe that ends there.
        ends = owners if len(kept) == len(made) else _owners([cell for cell, _ in made]) | owners
        cells |= {cell.key: cell for cell in controls}
        cells |= {cell.key: cell for cell, _ in kept if owners[cell.key] is cell}
        for cell, chain in kept:
            for run in chain:
                _add(runs, run, ends.get(run.key), cell)
    if not cells:
        raise ValueError("exclude/only: the filters take every cell out of the study")
    return Grid(tuple(cells.values()), runs)


def as_cell(run: Run) -> Cell:
    """Return a run as a point of the grid, for what asks its kept checkpoints."""
    return Cell(run.key, run.model, run.recipe, run.pool, run.size, run.seed, run.name)


def shared(study: Study) -> list[tuple[Cell, Cell]]:
    """Return the cells that another recipe has, each with that one's; of the first model, pool and seed, unfiltered."""
    found = [cell for cell, _ in _product(study, *_first(study))]
    owners = _owners(found)
    return [(cell, owners[cell.key]) for cell in found if owners[cell.key] is not cell]


def _first(study: Study) -> tuple[list[str], list[str], tuple[int, ...]]:
    return list(study.models)[:1], list(study.pools)[:1], study.seeds[:1]


def _check(study: Study) -> None:
    """Raise ValueError where models have the same path, or one that is too long, and where a recipe has no cell."""
    runs: dict[str, Run] = {}
    # The others have the same paths below theirs.
    found = list(_product(study, *_first(study)))
    for cell, chain in found:
        for run in chain:
            add(runs, run)
        longest = max(cell.name.split("/"), key=len)
        if len(longest) > LONGEST_NAME or len(cell.name) > LONGEST_PATH:
            raise ValueError(
                f"recipes.{cell.recipe}: makes {cell.name[:80]}..., a path of {len(cell.name)} characters with a "
                f"directory of {len(longest)}; at most {LONGEST_PATH} and {LONGEST_NAME}: give shorter names, have "
                "fewer stages, or vary fewer options"
            )
    owners = _owners([cell for cell, _ in found])
    has_cells = {cell.recipe for cell in owners.values()}
    for cell, _ in found:
        if cell.is_asked and cell.recipe not in has_cells:
            same = owners[cell.key].recipe
            raise ValueError(f"recipes.{cell.recipe}: makes the same models as recipes.{same}; leave one of them out")


def _add(runs: dict[str, Run], run: Run, end: Cell | None, cell: Cell) -> None:
    """Add a run on the way to a cell, by the name of the recipe that ends there if one does."""
    recipe = run.recipe if end is None else end.method
    is_asked = cell.is_asked and (end is None or end.is_asked)
    known = runs.get(run.key)
    if known is not None and (known.is_asked or not is_asked):
        return
    runs[run.key] = run if (recipe, is_asked) == run[-2:] else run._replace(recipe=recipe, is_asked=is_asked)


def _owners(found: Sequence[Cell]) -> dict[str, Cell]:
    """Return the cell that each path is of: the first one, and one that is asked before one that is not."""
    owners: dict[str, Cell] = {}
    for cell in found:
        known = owners.setdefault(cell.key, cell)
        if cell.is_asked and not known.is_asked:
            owners[cell.key] = cell
    return owners


def _product(
    study: Study, models: Iterable[str], pools: Iterable[str], seeds: Iterable[int]
) -> Iterator[tuple[Cell, list[Run]]]:
    """Yield every cell of some models, pools and seeds, filtered or not, with what has to be made for it."""
    for recipe, spec in study.recipes.items():
        if not spec.steps:
            continue
        own = study.own_size(recipe)
        sizes = study.sizes if own is None else (own,)
        varied = study.variants(recipe)
        for chosen in product(*(found.items() for found in varied.values())):
            variants = dict(zip(varied, (name for name, _ in chosen), strict=True))
            values = tuple(item for _, variant in chosen for item in variant.values.items())
            variant = variant_of(study, recipe, variants)
            for model, pool, size, seed in product(models, pools, sizes, seeds):
                chain = unfold(study, Place(model, pool, seed, variants), recipe, size)
                key, name = chain[-1].key, chain[-1].name
                yield Cell(key, model, recipe, pool, size, seed, name, variant, values, spec.evaluate), chain


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
