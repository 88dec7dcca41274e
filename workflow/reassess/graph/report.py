"""The tables and figures of a study: the one place that names them, in the order in which they are printed."""

from __future__ import annotations

from typing import Literal

from reassess import paths
from reassess.study.study import Study

Kind = Literal["tables", "figures"]
KINDS: tuple[Kind, ...] = ("tables", "figures")

# What makes each, as `module:function`; resolved when it is made, because it imports pandas or matplotlib.
TABLES = {
    "capacity": "reassess.analyse.tables.capacity:build",
    "scale": "reassess.analyse.tables.scale:build",
    "transfer": "reassess.analyse.tables.transfer:build",
    "families": "reassess.analyse.tables.families:build",
    "contrasts": "reassess.analyse.tables.contrasts:build",
    "sources": "reassess.analyse.tables.sources:build",
    "examples": "reassess.analyse.tables.examples:build",
    "lengths": "reassess.analyse.tables.lengths:build",
    "cost": "reassess.analyse.tables.cost:build",
    "sampling": "reassess.analyse.tables.sampling:build",
    "reward": "reassess.analyse.tables.reward:build",
    "measures": "reassess.analyse.tables.measures:build",
    "imported": "reassess.analyse.tables.imported:build",
}
FIGURES = {
    "scale": "reassess.analyse.figures.scale:draw",
    "reward": "reassess.analyse.figures.reward:draw",
}
TABLE_FORMATS = ("csv", "md", "tex")
FIGURE_FORMATS = ("svg", "pdf")


def tables(study: Study) -> dict[str, str]:
    """Return the tables of a study: some only where it has what they are about."""
    about = {
        "contrasts": study.contrasts,
        "sources": study.examples,
        "examples": study.examples,
        "measures": study.measures,
        "imported": study.imported,
    }
    return {name: where for name, where in TABLES.items() if about.get(name, True)}


def files(study: Study, kind: Kind) -> list[str]:
    """Return the record of all tables or figures of a study, and every one of them in every format."""
    names, formats, path = (
        (tables(study), TABLE_FORMATS, paths.table) if kind == "tables" else (FIGURES, FIGURE_FORMATS, paths.figure)
    )
    return [paths.report(kind), *(path(name, suffix) for name in names for suffix in formats)]
