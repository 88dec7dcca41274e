"""The estimates that tables and figures share: methods by their cells, with what is missing behind each number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reassess.analyse.collect import Collected, collect, require_complete
from reassess.analyse.parity import check_parity
from reassess.analyse.statistics import Estimate, delta_interval, floor_hits, item_scores, mean_interval
from reassess.graph import Cell, Graph
from reassess.study.study import Study

COUNTS = ("n", "unscored", "failed", "unparsed", "truncated")
Quantity = Literal["correct", "tokens", "tokens of right", "tokens of wrong"]
"""What is averaged over items: whether the answer is correct, or generated tokens of all or of some responses."""


class Method(NamedTuple):
    """One row of a table: the cells of a recipe, or of one of its variants, at one size that differ in the seed alone.

    `pool` and `size` are None for the two controls.
    """

    model: str
    recipe: str
    pool: str | None
    size: int | None
    cells: tuple[Cell, ...]

    @property
    def keys(self) -> list[str]:
        return [cell.key for cell in self.cells]


def methods(graph: Graph, model: str) -> list[Method]:
    """Return a model's methods in grid order: the controls first."""
    found: dict[tuple[str, str | None, int | None], list[Cell]] = {}
    for cell in graph.cells:
        if cell.model == model and cell.is_asked:
            found.setdefault((cell.method, cell.pool, cell.size), []).append(cell)
    return [Method(model, recipe, pool, size, tuple(cells)) for (recipe, pool, size), cells in found.items()]


def largest(found: Sequence[Method]) -> list[Method]:
    """Return the controls, and each recipe and pool at its largest size."""
    best: dict[tuple[str, str | None], Method] = {}
    for method in found:
        old = best.get((method.recipe, method.pool))
        if old is None or (method.size or 0) > (old.size or 0):
            best[method.recipe, method.pool] = method
    return list(best.values())


def label(study: Study, method: Method) -> str:
    """Return the name of a method's row: its recipe or the label of that; the pool where the study has several."""
    cell = method.cells[0]
    recipe = study.recipes.get(cell.recipe)
    name = " ".join(filter(None, (recipe.label, cell.variant))) if recipe and recipe.label else method.recipe
    return f"{name} ({method.pool})" if method.pool and len(study.pools) > 1 else name


def models(graph: Graph) -> list[str]:
    """Return the models that have cells."""
    return list(dict.fromkeys(cell.model for cell in graph.cells))


class Estimates:
    """Estimates for the finished models of a study.

    `benchmarks` arguments name benchmarks of suites over final checkpoints; an estimate over several is their mean.
    """

    def __init__(self, collected: Collected) -> None:
        self.collected = collected
        self.graph = collected.graph
        self.study = collected.study
        # Tables ask for the same means and differences again.
        self._known: dict[tuple[Method, Method | None, tuple[str, ...], Quantity], Estimate | None] = {}
        self._items: dict[Quantity, dict[str, pd.DataFrame]] = {}
        self._suites = {
            name: suite
            for suite, spec in self.study.suites.items()
            if spec.checkpoints == "final"
            for name in spec.benchmarks
        }

    def _scores(self, what: Quantity) -> dict[str, pd.DataFrame]:
        if what not in self._items:
            items = self.collected.items
            score = items["correct"]
            if what != "correct":
                # A response that failed has neither a length nor a format.
                wanted = items["format_ok"].notna() if what == "tokens" else score.eq(what == "tokens of right")
                score = items["n_tokens"].where(wanted.fillna(False))
            self._items[what] = item_scores(items, ["cell"], score)
        return self._items[what]

    @cached_property
    def questions(self) -> dict[str, pd.DataFrame]:
        """By benchmark: questions by id, with `family`, `difficulty` and `hit` (see `floor_hits`)."""
        questions = self.collected.questions
        questions = questions.assign(hit=floor_hits(questions))
        return {str(name): part.set_index("id").sort_index() for name, part in questions.groupby("benchmark")}

    @property
    def benchmarks(self) -> list[str]:
        """Benchmarks of the finished models, in the study's order."""
        return list(self._suites)

    def of(self, modality: str) -> list[str]:
        """Return the benchmarks of one modality."""
        return [name for name in self.benchmarks if self.study.benchmarks[name].modality == modality]

    @property
    def thinking(self) -> list[str]:
        """Models whose chat template opens a thought itself, so that `base` is what `base-think` is."""
        scores = self.collected.scores.items()
        found = {record["model"] for (_, _), record in scores if not record["think"] and record["prefill"]}
        return [name for name in models(self.graph) if name in found]

    @property
    def lead(self) -> str:
        """The modality of the headline mean: visual, or text where no benchmark is visual."""
        return "visual" if self.of("visual") else "text"

    def floor(self, benchmarks: Sequence[str]) -> float | None:
        """Return the floor: always answering with each family's commonest gold. None where no question is known."""
        if not benchmarks or any(name not in self.questions for name in benchmarks):
            return None
        return float(np.mean([self.questions[name]["hit"].mean() for name in benchmarks]))

    def mean(self, method: Method, benchmarks: Sequence[str], what: Quantity = "correct") -> Estimate | None:
        """Return the accuracy of a method, or another mean; None where a benchmark has no item for it."""
        key = (method, None, tuple(benchmarks), what)
        if key not in self._known:
            self._known[key] = mean_interval(self._values(method, benchmarks, what), *self._resampling)
        return self._known[key]

    def delta(
        self, method: Method, base: Method, benchmarks: Sequence[str], what: Quantity = "correct"
    ) -> Estimate | None:
        """Return the paired difference to a control, None where a benchmark lacks either."""
        key = (method, base, tuple(benchmarks), what)
        if key not in self._known:
            values, reference = (self._values(side, benchmarks, what) for side in (method, base))
            self._known[key] = delta_interval(values, reference, *self._resampling)
        return self._known[key]

    def contrast(self, pairs: Sequence[tuple[Method, Method]], benchmarks: Sequence[str]) -> Estimate | None:
        """Return the mean over pairs of the paired difference of accuracy, the first of a pair less the second; None
        where a benchmark lacks a side of one. Each resample has the same items for all pairs."""
        found = {}
        for name in benchmarks:
            both = [[self._values(side, [name], "correct")[name] for side in pair] for pair in pairs]
            found[name] = np.mean(np.broadcast_arrays(*(a - b for a, b in both)), axis=0)
        return mean_interval(found, *self._resampling)

    def group(self, method: Method, benchmark: str, picked: pd.Series[bool]) -> Estimate | None:
        """Return the accuracy on the questions of a benchmark that are `picked` (by id)."""
        scores = self._scores("correct").get(benchmark)
        if scores is None:
            return None
        part = scores.loc[picked.reindex(scores.index).to_numpy(dtype=bool)]
        values = part.reindex(columns=method.keys).to_numpy(dtype="float64").T
        return mean_interval({benchmark: values}, *self._resampling)

    def measured(self, method: Method, name: str, column: str) -> Estimate | None:
        """Return the mean of a measure's column over examples, None where no cell of the method has it."""
        values = self._measured(name, column).reindex(columns=method.keys).to_numpy(dtype="float64").T
        return mean_interval({name: values}, *self._resampling) if values.size else None

    def unmeasured(self, method: Method, name: str) -> list[str] | None:
        """Return the cells of a method of which a measure is not there, None where it is not taken of any."""
        jobs = [job for key in method.keys for job in self.graph.by_cell("measure", key) if job.at.measure == name]
        there = self.collected.measured
        return [f"{name} of {job.at.cell}" for job in jobs if (job.at.cell, name) not in there] if jobs else None

    @cache  # noqa: B019 (as long as the estimates themselves)
    def _measured(self, name: str, column: str) -> pd.DataFrame:
        """One row per example and one column per cell."""
        values = self.collected.values.get(name)
        return pd.DataFrame() if values is None else values.pivot(index="id", columns="cell", values=column)

    def counts(self, method: Method, benchmarks: Sequence[str]) -> dict[str, int]:
        """Return the responses of all seeds, and of these the unscored, failed, unparsed and truncated."""
        total = dict.fromkeys(COUNTS, 0)
        for key in method.keys:
            for name in benchmarks:
                record = self.collected.scores.get((key, self._suites[name]))
                found = (record or {"scores": {}})["scores"].get(name)
                add_counts(total, found)
        return total

    def generated(self, method: Method, benchmarks: Sequence[str]) -> tuple[int, int, int]:
        """Return the responses of all seeds that did not fail, and of these the truncated and those in the format."""
        keys = pd.MultiIndex.from_product([method.keys, list(benchmarks)])
        found = self._generated.reindex(keys, fill_value=0).sum()
        return int(found["n"]), int(found["truncated"]), int(found["format_ok"])

    @cached_property
    def _generated(self) -> pd.DataFrame:
        """By cell and benchmark: responses that did not fail, and of these the truncated and those in the format."""
        items = self.collected.items
        small = items.loc[items["format_ok"].notna(), ["truncated", "format_ok"]].astype("int64").assign(n=1)
        where = [items.loc[small.index, name].astype("object") for name in ("cell", "benchmark")]
        return small.groupby(where).sum()

    def missing(self, method: Method, benchmarks: Iterable[str]) -> list[str]:
        """Return in words what a method's number lacks."""
        wanted = {(self._suites[name], name) for name in benchmarks}
        keys = set(method.keys)
        return [str(item) for item in self.collected.missing if item.cell in keys and wanted & set(item.benchmarks)]

    @property
    def _resampling(self) -> tuple[int, int]:
        return self.study.seed, self.study.report.resamples

    def _values(self, method: Method, benchmarks: Sequence[str], what: Quantity) -> dict[str, NDArray[np.float64]]:
        """Return item scores by benchmark, each of shape (seeds, items); all NaN for what is missing."""
        found = {}
        for name in benchmarks:
            scores = self._scores(what).get(name)
            if scores is None:
                found[name] = np.full((len(method.cells), 1), np.nan)
            else:
                found[name] = scores.reindex(columns=method.keys).to_numpy(dtype="float64").T
        return found


def add_counts(total: dict[str, int], found: dict[str, Any] | None) -> None:
    """Add one benchmark's counts of scores.json to a total."""
    for name in COUNTS:
        total[name] += int((found or {}).get(name) or 0)


def control(found: Sequence[Method], name: str) -> Method:
    """Return the base model (`base`) or its forced-`<think>` twin (`base-think`)."""
    return next(method for method in found if method.recipe == name and method.size is None)


def comparable(graph: Graph, partial: bool = False) -> Estimates:
    """Return the estimates of a study whose results are all there (or `partial`) and can be compared.

    Raises:
        MissingError: something is missing and `partial` is false.
        ParityError: results cannot be compared.
        ResultsError: a file is broken.
    """
    collected = collect(graph, partial)
    require_complete(collected, partial)
    check_parity(collected, partial)
    return Estimates(collected)
