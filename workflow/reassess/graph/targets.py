"""Says what is wrong with a requested path, where Snakemake would only say that no rule makes it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable

from reassess import paths
from reassess.graph.build import Graph
from reassess.study.read import StudyError


def known(graph: Graph) -> set[str]:
    """Return every path that a study's rules make, or that lies undeclared beside one."""
    models = {job.record.rpartition("/")[0] + "/model" for job in graph.jobs.values() if job.rule in ("model", "train")}
    return models | {file for job in graph.jobs.values() for file in job.outputs}


def holes(graph: Graph) -> list[str]:
    """Return the files that are not there although something that was made from them is.

    Snakemake does not miss a file that was deleted, or whose making was interrupted, behind what was once made from it.
    To ask for each file of a study would do, and take a fifth of the time of a dry run.
    """
    behind: set[str] = set()
    found: list[str] = []
    for job in reversed(graph.jobs.values()):
        missing = [file for file in job.outputs if not os.path.exists(file)]  # noqa: PTH110 (thousands of files)
        if job.name in behind:
            found += missing
        if job.name in behind or len(missing) < len(job.outputs):
            behind.update(job.needs)
    return found


def check(graph: Graph, arguments: Iterable[str]) -> None:
    """Check the paths under `results/` among command-line arguments.

    Raises:
        StudyError: a path is none of the study's; the message has the nearest ones and the valid names. Or an argument
            is the name of a cell; the message has its paths.
    """
    given = list(arguments)
    for argument in given:
        _check_no_cell(graph, argument.rstrip("/"))
    folders = "pools|benchmarks|examples|subsets|models|runs|evals|measures|imported|tables|figures"
    made = re.compile(rf"{paths.RESULTS}/({folders})/")
    # Snakemake takes ./results/runs for results/runs.
    asked = [path for path in map(os.path.normpath, given) if made.match(path)]
    if not asked or "--cleanup-metadata" in given:
        return
    valid = known(graph)
    study = graph.study
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
            **({"measures": study.measures} if study.measures else {}),
        }
        raise StudyError(
            f"{path} is no path of study {study.name}"
            + "".join(f"\n  did you mean {other}?" for other in near)
            + "".join(f"\n  {axis}: {', '.join(map(str, values))}" for axis, values in axes.items())
        )


def _check_no_cell(graph: Graph, argument: str) -> None:
    """Raise StudyError where an argument is the name of a cell, as `reassess status` has it."""
    if argument in graph.runs or argument in {cell.key for cell in graph.cells}:
        made = [graph.checkpoint(argument).record]
        made += [job.record for rule in ("score", "measure") for job in graph.by_cell(rule, argument)]
        raise StudyError("\n  ".join([f"{argument} is the name of a cell; targets are paths:", *made]))
