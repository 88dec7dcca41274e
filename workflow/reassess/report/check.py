"""What `reassess check` prints: the cells of a study and the jobs it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from reassess import grid
from reassess.study import Study


def overview(study: Study) -> str:
    """Return the axes, the cells by model and recipe, and the jobs of a run from nothing."""
    cells = grid.cells(study)
    lines = [f"study {study.name}: valid", ""]
    axes: dict[str, Iterable[object]] = {
        "models": study.models,
        "pools": study.pools,
        "sizes": study.sizes,
        "seeds": study.seeds,
        "recipes": study.recipes,
        "suites": study.suites,
    }
    lines += [f"  {axis:8} {', '.join(map(str, values))}" for axis, values in axes.items()]
    lines += ["", f"{len(cells)} cells:"]
    by_recipe = Counter((cell.model, cell.recipe) for cell in cells)
    for cell in cells:
        count = by_recipe.pop((cell.model, cell.recipe), 0)
        if count:
            steps = " -> ".join(study.recipes.get(cell.recipe, ())) or "no training"
            lines.append(f"  {cell.model:16} {cell.recipe:16} {count:4}  ({steps})")
    total = grid.jobs(study)
    lines += ["", f"{sum(total.values())} jobs from nothing:"]
    lines += [f"  {rule:16} {count:5}" for rule, count in total.items()]
    return "\n".join(lines)
