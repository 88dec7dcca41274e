"""What the figures share: their style, panels for a paper's column or page, and one legend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# The palette of Okabe and Ito (2008), which colour-blind readers can tell apart; yellow is too pale for lines.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#666666"
# Text is about 7 pt in print at the width of one column (3.3 in) or of a page (6.75 in) of a two-column paper.
_COLUMN, _PAGE, _HEIGHT = 3.3, 6.75, 2.4
_STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    # Type 42 fonts, as conferences ask; the fixed salt makes the ids in an SVG the same in every run.
    "pdf.fonttype": 42,
    "svg.hashsalt": "reassess",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and write in the style of all figures."""
    with matplotlib.rc_context(_STYLE):
        yield


def panels(count: int, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels for a paper's column or page: at most two a row, so that text stays readable."""
    columns = min(2, count)
    rows = math.ceil(count / columns)
    width = _COLUMN if columns == 1 else _PAGE
    figure = Figure(figsize=(width, _HEIGHT * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    found = list(grid.ravel())
    for unused in found[count:]:
        unused.set_axis_off()
    return figure, found[:count]


def left(found: list[Axes]) -> list[Axes]:
    """Return the panels at the left edge."""
    return [panel for i, panel in enumerate(found) if i % 2 == 0]


def legend(figure: Figure, found: list[Axes]) -> None:
    """Draw one legend above all panels, in as many columns as fit."""
    handles = {name: handle for panel in found for handle, name in zip(*panel.get_legend_handles_labels(), strict=True)}
    for columns in range(min(len(handles), 7), 0, -1):
        lines, names = list(handles.values()), list(handles)
        made = figure.legend(lines, names, loc="outside upper center", ncols=columns, frameon=False)
        if columns == 1 or made.get_window_extent().width <= figure.bbox.width:
            return
        made.remove()


def look(index: int) -> tuple[str, str]:
    """Return the colour and the marker of a line."""
    return _COLOURS[index % len(_COLOURS)], _MARKERS[index % len(_MARKERS)]
