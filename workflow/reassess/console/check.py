"""What `reassess check` prints: the cells of a study and the jobs it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from reassess.graph import Graph, resources
from reassess.graph.cells import shared


def overview(graph: Graph) -> str:
    """Return the axes, the cells by model and recipe, and the jobs of a run from nothing."""
    study = graph.study
    lines = [f"study {study.name}: valid", ""]
    axes: dict[str, Iterable[object]] = {
        "models": study.models,
        "pools": study.pools,
        "sizes": study.sizes,
        "seeds": study.seeds,
        "recipes": study.recipes,
        "suites": study.suites,
        **({"measures": study.measures} if study.measures else {}),
    }
    lines += [f"  {axis:8} {', '.join(map(str, values))}" for axis, values in axes.items()]
    lines += _rollouts(graph)
    lines += ["", f"{len(graph.cells)} cells:"]
    for (model, recipe), count in Counter((cell.model, cell.recipe) for cell in graph.cells).items():
        steps = str(study.recipes.get(recipe, "")) or "no training"
        lines.append(f"  {model:16} {recipe:16} {count:4}  ({steps})")
    for cell, owner in shared(study):
        said = f"{cell.method} at {cell.size} is {owner.method} at {owner.size}"
        lines.append(f"  {said}: one cell, in a row of the latter")
    total = graph.counts()
    lines += ["", f"{sum(total.values())} jobs from nothing:"]
    lines += [f"  {rule:16} {count:5}" for rule, count in total.items()]
    return "\n".join(lines)


def _rollouts(graph: Graph) -> Iterator[str]:
    """Yield where the completions of each stage of RL come from, which may depend on the GPUs of a model's jobs."""
    study = graph.study
    for name, stage in ((name, spec) for variants in study.used.values() for name, spec in variants.items()):
        models: dict[str, list[str]] = {}
        for model, how in study.models.items():
            engine = stage.sampler(resources.asked(how, stage.kind, stage).gpu)
            if engine is not None:
                models.setdefault(engine, []).append(model)
        said = models if len(models) < 2 else [f"{engine} ({', '.join(its)})" for engine, its in models.items()]
        if said:
            yield f"  rollouts {name}: {', '.join([*said, *stage.drawing])}"
