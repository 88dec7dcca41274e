"""What the contrasts of a study compare: pairs of methods, one on each model that has both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from reassess.graph.cells import Cell, matches
from reassess.study.study import Filter, Study

Side = tuple[Cell, ...]
"""Cells that differ in the seed alone."""


class Pair(NamedTuple):
    """Two methods that a contrast compares.

    Attributes:
        model: the model of both, or of each where they are two.
        pool: the pool, None where both are controls.
        a: the cells of the one, one per seed; a control is one cell.
        b: those of the other.
    """

    model: str
    pool: str | None
    a: Side
    b: Side


def pairs(study: Study, cells: Sequence[Cell]) -> dict[str, tuple[Pair, ...]]:
    """Return what each contrast of a study compares, by its name.

    Where no model has both sides and each is of one model, the two are compared across models.

    Raises:
        ValueError: a side stands for several methods of one model, or no model has both.
    """
    return {name: tuple(_pairs(name, spec.a, spec.b, cells)) for name, spec in study.contrasts.items()}


def _pairs(name: str, a: Filter, b: Filter, cells: Sequence[Cell]) -> list[Pair]:
    sides = [_side(f"contrasts.{name}.{which}", item, cells) for which, item in (("a", a), ("b", b))]
    one, other = sides
    models = dict.fromkeys(model for model, _ in one)
    found = []
    for model in models:
        own = [pool for side in sides for of, pool in side if of == model]
        for pool in dict.fromkeys(filter(None, own)) if any(own) else (None,):
            # A control has no pool.
            chosen = [side.get((model, pool)) or side.get((model, None)) for side in sides]
            if chosen[0] and chosen[1]:
                found.append(Pair(model, pool, chosen[0], chosen[1]))
    if not found and len(one) == len(other) == 1:
        ((first, cells_a),), ((second, cells_b),) = one.items(), other.items()
        found.append(Pair(f"{first[0]}, {second[0]}", first[1] or second[1], cells_a, cells_b))
    if not found:
        said = [", ".join(dict.fromkeys(model for model, _ in side)) or "none" for side in sides]
        raise ValueError(
            f"contrasts.{name}: no model has both sides: {said[0]} has `a`, {said[1]} has `b`; change the coordinates, "
            "or what `only` and `exclude` take out"
        )
    return found


def _side(where: str, item: Filter, cells: Iterable[Cell]) -> dict[tuple[str, str | None], Side]:
    """Return the cells of a side by model and pool."""
    found: dict[tuple[str, str | None], Side] = {}
    for cell in cells:
        if not cell.is_asked or not matches(item, cell):
            continue
        known = found.setdefault((cell.model, cell.pool), ())
        if known and (known[0].method, known[0].size) != (cell.method, cell.size):
            raise ValueError(
                f"{where}: of {cell.model}, {_said(known[0])} and {_said(cell)} are meant; say which, as in "
                "`{recipe: sft, size: 2000}`"
            )
        found[cell.model, cell.pool] = (*known, cell)
    return found


def _said(cell: Cell) -> str:
    return cell.method if cell.size is None else f"{cell.method} at {cell.size}"
