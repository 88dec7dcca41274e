"""What a study consists of: cells, training runs, evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reassess import paths
from reassess.study import Filter, Study

BASE = "base"
# The base model forced to start with <think>: most of an apparent RL gain on a small model is a switch into
# that format, so this control stands beside every model.
BASE_THINK = "base-think"


class Run(NamedTuple):
    """One training run: a checkpoint made from its parent's checkpoint."""

    model: str
    pool: str
    seed: int
    lineage: str

    @property
    def cell(self) -> str:
        return paths.cell(*self)

    @property
    def stage(self) -> str:
        """Name of the last stage."""
        return self.lineage.rsplit("/", 1)[-1].split("@")[0]

    @property
    def size(self) -> int:
        """Training examples of the last stage."""
        return int(self.lineage.rsplit("@", 1)[-1])

    @property
    def parent(self) -> Run | None:
        """The run that this one starts from, None where it starts from the base model."""
        head, _, _ = self.lineage.rpartition("/")
        return self._replace(lineage=head) if head else None

    @property
    def parent_record(self) -> str:
        """The record that is written last when the checkpoint to start from is finished."""
        parent = self.parent
        return paths.run(parent.cell, "run.json") if parent else paths.model(self.model, "manifest.json")


class Cell(NamedTuple):
    """One point of the grid. The base model has no pool, size or seed: it is one cell per model."""

    model: str
    recipe: str
    pool: str | None = None
    size: int | None = None
    seed: int | None = None
    lineage: str = BASE

    @property
    def key(self) -> str:
        """The cell's path under `results/evals/`, without the suite."""
        run = self.run
        return run.cell if run else f"{self.model}/{self.lineage}"

    @property
    def run(self) -> Run | None:
        if self.pool is None or self.seed is None:
            return None
        return Run(self.model, self.pool, self.seed, self.lineage)


def lineage(stages: tuple[str, ...], size: int) -> str:
    """Return the lineage of a recipe at one size: `sft@2000/grpo@2000`."""
    return "/".join(f"{stage}@{size}" for stage in stages)


def model_of(cell: str) -> str:
    """Return the model of a cell's key."""
    return cell.partition("/")[0]


def is_base(cell: str) -> bool:
    """Return whether a cell's key is one of the two controls on the base model."""
    return cell.partition("/")[2] in (BASE, BASE_THINK)


def checkpoint_record(cell: str) -> str:
    """Return the record that is written last when the checkpoint that a cell evaluates is finished."""
    return paths.model(model_of(cell), "manifest.json") if is_base(cell) else paths.run(cell, "run.json")


def cells(study: Study) -> list[Cell]:
    """Return the cells of a study: the product of the axes less what the filters take out.

    Each model has its two controls, base and forced `<think>`, unless a filter takes the whole model out.
    """
    found: dict[Cell, None] = {}
    models = []
    for model in study.models:
        trained = [cell for cell in _product(study, model) if _kept(study, cell)]
        base = [Cell(model, recipe) for recipe, stages in study.recipes.items() if not stages]
        base = [cell for cell in base if _kept(study, cell)]
        if trained or base:
            models.append(model)
            found.update(dict.fromkeys([Cell(model, BASE), Cell(model, BASE_THINK, lineage=BASE_THINK), *trained]))
    if not models:
        raise ValueError("exclude/only: the filters take every cell out of the study")
    return list(found)


def runs(study: Study) -> list[Run]:
    """Return every training run that the cells need, parents before children."""
    found: dict[Run, None] = {}
    for cell in cells(study):
        chain: list[Run] = []
        run = cell.run
        while run is not None:
            chain.append(run)
            run = run.parent
        found.update(dict.fromkeys(reversed(chain)))
    return list(found)


def evaluations(study: Study) -> list[tuple[str, str]]:
    """Return every (cell key, suite) that is evaluated."""
    final = [suite for suite, spec in study.suites.items() if spec.checkpoints == "final"]
    found = [(cell.key, suite) for cell in cells(study) for suite in final]
    for run in runs(study):
        if study.stages[run.stage].trajectory:
            found += [
                (run.cell, suite)
                for suite, spec in study.suites.items()
                if spec.checkpoints == "trajectory" and (spec.sizes is None or run.size in spec.sizes)
            ]
    return found


def jobs(study: Study) -> dict[str, int]:
    """Return the number of jobs of each rule in a run from nothing."""
    needed = runs(study)
    evaluated = len(evaluations(study))
    return {
        "pool": len({run.pool for run in needed}),
        "benchmark": len({name for suite in study.suites.values() for name in suite.benchmarks}),
        "subset": len({(run.pool, run.seed, run.size) for run in needed}),
        "base_model": len({cell.model for cell in cells(study)}),
        "train": len(needed),
        "generate": evaluated,
        "score": evaluated,
        "tables": 1,
        "figures": 1,
    }


def results(study: Study) -> list[str]:
    """Return the records of runs, and the scores, that tables and figures are made from."""
    found = [paths.run(run.cell, "run.json") for run in runs(study)]
    for cell, suite in evaluations(study):
        found += [paths.evaluation(cell, suite, f"scores.{suffix}") for suffix in ("json", "parquet")]
    return found


def _product(study: Study, model: str) -> Iterator[Cell]:
    for recipe, stages in study.recipes.items():
        if not stages:
            continue
        for pool in study.pools:
            for size in study.sizes:
                for seed in study.seeds:
                    yield Cell(model, recipe, pool, size, seed, lineage(stages, size))


def _kept(study: Study, cell: Cell) -> bool:
    if study.only and not any(_matches(item, cell) for item in study.only):
        return False
    return not any(_matches(item, cell) for item in study.exclude)


def _matches(item: Filter, cell: Cell) -> bool:
    """A filter on an axis that the base model has not (pool, size, seed) does not match the base model."""
    return all(
        wanted is None or getattr(cell, axis) in wanted
        for axis, wanted in (
            ("model", item.model),
            ("pool", item.pool),
            ("size", item.size),
            ("seed", item.seed),
            ("recipe", item.recipe),
        )
    )
