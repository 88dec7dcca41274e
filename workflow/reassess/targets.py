"""Says what is wrong with a requested path, where Snakemake would only say that no rule makes it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from reassess import grid, paths
from reassess.config import StudyError
from reassess.study import Study


def known(study: Study) -> set[str]:
    """Return every path that a study's rules make."""
    found = {*paths.tables(), *paths.figures()}
    for cell, suite in grid.evaluations(study):
        names = ("responses.parquet", "responses.json", "scores.parquet", "scores.json")
        found |= {paths.evaluation(cell, suite, name) for name in names}
    for run in grid.runs(study):
        found |= {paths.run(run.cell, name) for name in ("run.json", "metrics.jsonl", "model")}
        found.add(paths.subset(run.pool, run.seed, run.size))
    for name in study.models:
        found |= {paths.model(name, "manifest.json"), paths.model(name, "model")}
    for folder in [*map(paths.pool, study.pools), *map(paths.benchmark, study.benchmarks)]:
        found |= {f"{folder}/manifest.json", f"{folder}/shards"}
    return found


def check(study: Study, arguments: Iterable[str]) -> None:
    """Check the paths under `results/` among command-line arguments.

    Raises:
        StudyError: a path is none of the study's; the message has the nearest ones and the valid names. Or an argument
            is the name of a cell; the message has its paths.
    """
    given = list(arguments)
    for argument in given:
        _check_no_cell(study, argument.rstrip("/"))
    made = re.compile(rf"{paths.RESULTS}/(pools|benchmarks|subsets|models|runs|evals|tables|figures)/")
    asked = [argument.rstrip("/") for argument in given if made.match(argument)]
    if not asked or "--cleanup-metadata" in given:
        return
    valid = known(study)
    for path in asked:
        if path in valid:
            continue
        near = difflib.get_close_matches(path, valid, n=3, cutoff=0.5)
        axes: dict[str, Iterable[object]] = {
            "models": study.models,
            "pools": study.pools,
            "seeds": study.seeds,
            "sizes": study.sizes,
            "stages": study.stages,
            "suites": study.suites,
        }
        raise StudyError(
            f"{path} is no path of study {study.name}"
            + "".join(f"\n  did you mean {other}?" for other in near)
            + "".join(f"\n  {axis}: {', '.join(map(str, values))}" for axis, values in axes.items())
        )


def _check_no_cell(study: Study, argument: str) -> None:
    """Raise StudyError where an argument is the name of a cell, as `reassess status` has it."""
    # Every job of a workflow is checked, and the cells of a large study take time to list.
    if argument.partition("/")[0] not in study.models:
        return
    if argument in {cell.key for cell in grid.cells(study)} | {run.cell for run in grid.runs(study)}:
        made = [grid.checkpoint_record(argument)]
        for cell, suite in grid.evaluations(study):
            made += [paths.evaluation(cell, suite, "scores.json")] if cell == argument else []
        raise StudyError("\n  ".join([f"{argument} is the name of a cell; targets are paths:", *made]))
