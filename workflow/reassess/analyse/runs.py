"""The runs of a study by what differs in the seed alone, and what they were made from."""

from __future__ import annotations

from typing import NamedTuple

from reassess.analyse.collect import Collected
from reassess.graph import Run


class Group(NamedTuple):
    """Runs that differ in the seed alone.

    Attributes:
        model: the base model.
        pool: the pool.
        name: what their paths have behind the seed.
        runs: one per seed.
    """

    model: str
    pool: str
    name: str
    runs: tuple[Run, ...]


def run_groups(collected: Collected) -> list[Group]:
    """Return the runs of a study by model, pool and name, in the study's order."""
    found: dict[tuple[str, str, str], list[Run]] = {}
    for run in collected.graph.runs.values():
        found.setdefault((run.model, run.pool, run.name), []).append(run)
    return [Group(*key, tuple(runs)) for key, runs in found.items()]


def chain(collected: Collected, run: Run) -> list[Run]:
    """Return a run and all runs that it was made from, each once."""
    runs = collected.graph.runs
    parents = [link for key in run.parents if key in runs for link in chain(collected, runs[key])]
    return list(dict.fromkeys((run, *parents)))


def title(collected: Collected, group: Group) -> str:
    """Return the name of a group's row; the pool is named where the study has several."""
    return f"{group.pool}/{group.name}" if len(collected.study.pools) > 1 else group.name


def lacking(collected: Collected, group: Group) -> str:
    """Return in words which runs of a group, or before it, are not there; nothing where all are."""
    keys = {link.key for run in group.runs for link in chain(collected, run)}
    found = [str(item) for item in collected.missing if item.what.endswith("run.json") and item.cell in keys]
    return "without " + "; ".join(found) if found else ""
