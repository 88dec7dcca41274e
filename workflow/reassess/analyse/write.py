"""Writes the tables of a study as CSV (full numbers), Markdown and LaTeX, and its figures as SVG and PDF.

The same results give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import pandas as pd

from reassess import paths
from reassess.analyse.estimates import Estimates, comparable
from reassess.analyse.latex import latex
from reassess.analyse.layout import Table, markdown
from reassess.analyse.made_from import record
from reassess.graph import Graph, report
from reassess.graph.report import FIGURE_FORMATS, FIGURES, TABLE_FORMATS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Without its date a file is the same each time.
_DATES = {"svg": "Date", "pdf": "CreationDate"}


def tables(graph: Graph, partial: bool = False) -> list[str]:
    """Build all tables of a study and return the paths that were written.

    Args:
        graph: the study.
        partial: build from whatever is there, into the partial directory, and print what is missing.

    Raises:
        MissingError: something is missing and `partial` is false.
        ParityError: results cannot be compared.
        ResultsError: a file is broken.
    """
    estimates = comparable(graph, partial)
    texts: dict[str, str] = {}
    for name, where in report.tables(graph.study).items():
        print(f"table {name}", flush=True)
        build: Callable[[Estimates], tuple[Table, pd.DataFrame]] = resolve_name(where)
        table, numbers = build(estimates)
        forms = {"csv": _csv(numbers), "md": markdown(table), "tex": latex(table)}
        texts.update({paths.table(name, suffix, partial): forms[suffix] for suffix in TABLE_FORMATS})
    # All are built before the first is written: a broken file leaves the old ones as they were.
    for path, text in texts.items():
        with _aside(path) as aside:
            aside.write_text(text, encoding="utf-8")
    return [*texts, record(graph, "tables", list(texts), partial)]


def figures(graph: Graph, partial: bool = False) -> list[str]:
    """Draw all figures of a study and return the paths that were written.

    Args:
        graph: the study.
        partial: draw whatever is there, into the partial directory, and print what is missing.

    Raises:
        MissingError: something is missing and `partial` is false.
        ParityError: results cannot be compared.
        ResultsError: a file is broken.
    """
    # Tables are made without it, and it takes long to import.
    from reassess.analyse.figures.style import styled

    estimates = comparable(graph, partial)
    written = []
    for name, where in FIGURES.items():
        print(f"figure {name}", flush=True)
        draw: Callable[[Estimates], Figure] = resolve_name(where)
        with styled():
            figure = draw(estimates)
            for suffix in FIGURE_FORMATS:
                path = paths.figure(name, suffix, partial)
                with _aside(path) as aside:
                    figure.savefig(aside, format=suffix, metadata={_DATES[suffix]: None})
                written.append(path)
    return [*written, record(graph, "figures", written, partial)]


@contextmanager
def _aside(path: str) -> Iterator[Path]:
    """Yield where a file is written before it has its name, so that a reader never sees half of it."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.tmp")
    yield aside
    aside.replace(target)


def _csv(numbers: pd.DataFrame) -> str:
    text: str = numbers.to_csv(index=False, lineterminator="\n", float_format="%.10g")
    return text
