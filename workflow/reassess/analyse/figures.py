"""Draws the figures of a study as SVG and PDF, the same bytes for the same results."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from reassess import paths
from reassess.analyse.estimates import Estimates, Method, comparable, control, label, methods, models
from reassess.analyse.made_from import record
from reassess.analyse.run_tables import Group, Point, trajectories
from reassess.graph import BASE, BASE_THINK, Graph

# The palette of Okabe and Ito (2008), which colour-blind readers can tell apart; yellow is too pale for lines.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_GREY = "#666666"
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
    estimates = comparable(graph, partial)
    drawers: dict[str, Callable[[Estimates], Figure]] = {"scale": scale_figure, "reward": reward_figure}
    written = []
    for name in paths.FIGURES:
        print(f"figure {name}", flush=True)
        with matplotlib.rc_context(_STYLE):
            figure = drawers[name](estimates)
            for suffix, dates in (("svg", {"Date": None}), ("pdf", {"CreationDate": None})):
                target = Path(paths.figure(name, suffix, partial))
                target.parent.mkdir(parents=True, exist_ok=True)
                aside = target.with_name(f".{target.name}.tmp")
                figure.savefig(aside, format=suffix, metadata=dates)
                aside.replace(target)
                written.append(str(target))
        plt.close(figure)
    return [*written, record(graph, "figures", written, partial)]


def scale_figure(estimates: Estimates) -> Figure:
    """Return mean accuracy against training size, one panel per model."""
    names = models(estimates.graph)
    figure, panels = _panels(len(names), sharey=True)
    for panel, model in zip(panels, names, strict=True):
        _scale_panel(panel, estimates, model)
        panel.set_title(model)
        panel.set_xlabel("Training examples")
    for panel in _left(panels):
        panel.set_ylabel(f"{estimates.lead.capitalize()} accuracy (%)")
    _legend(figure, panels)
    return figure


def reward_figure(estimates: Estimates) -> Figure:
    """Return training reward and held-out accuracy by step, one panel per model and recipe at the largest size."""
    largest: dict[tuple[str, str, str], tuple[Group, list[Point]]] = {}
    for group, points in trajectories(estimates):
        key = (group.model, group.pool, group.runs[0].recipe)
        if points and (key not in largest or group.runs[0].size > largest[key][0].runs[0].size):
            largest[key] = (group, points)
    figure, panels = _panels(max(1, len(largest)))
    if not largest:
        panels[0].text(0.5, 0.5, "no kept checkpoint with scores", ha="center", va="center", color=_GREY)
        panels[0].set_axis_off()
    for panel, ((model, pool, recipe), (group, points)) in zip(panels, largest.items(), strict=False):
        named = f"{recipe} ({pool})" if len(estimates.study.pools) > 1 else recipe
        _reward_panel(panel, points)
        panel.set_title(f"{model}, {named}, {group.runs[0].size:,} examples")
    _legend(figure, panels)
    return figure


def _scale_panel(panel: Axes, estimates: Estimates, model: str) -> None:
    found = methods(estimates.graph, model)
    lead = estimates.of(estimates.lead)
    lines: dict[str, list[Method]] = {}
    for method in found:
        if method.size is not None:
            lines.setdefault(label(estimates.study, method), []).append(method)
    labels = list(
        dict.fromkeys(
            label(estimates.study, m)
            for name in models(estimates.graph)
            for m in methods(estimates.graph, name)
            if m.size
        )
    )
    for name, line in lines.items():
        line.sort(key=lambda method: method.size or 0)
        known = [(method.size, estimate) for method in line if (estimate := estimates.mean(method, lead))]
        colour, marker = _look(labels.index(name))
        sizes = np.array([size for size, _ in known], dtype=float)
        means, low, high = (np.array([100 * getattr(e, end) for _, e in known]) for end in ("mean", "lo", "hi"))
        panel.plot(sizes, means, color=colour, marker=marker, label=name)
        panel.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)
        if len(known) == 1:
            panel.vlines(sizes, low, high, color=colour)
    for name, style in ((BASE, "-"), (BASE_THINK, "--")):
        if estimate := estimates.mean(control(found, name), lead):
            panel.axhline(100 * estimate.mean, color=_GREY, linestyle=style, linewidth=1, label=name)
    if (floor := estimates.floor(lead)) is not None:
        panel.axhline(100 * floor, color=_GREY, linestyle=":", linewidth=1, label="floor")
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(FixedLocator(sorted(estimates.study.sizes)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.xaxis.set_minor_locator(NullLocator())
    low_size, high_size = min(estimates.study.sizes), max(estimates.study.sizes)
    panel.set_xlim(low_size / 1.3, high_size * 1.3)
    panel.spines["right"].set_visible(False)


def _reward_panel(panel: Axes, points: list[Point]) -> None:
    """Reward on the left axis, held-out accuracy on the right, each axis in the colour of its line."""
    rewarded = [(point.step, point.rewards["reward"]) for point in points if "reward" in point.rewards]
    scored = [(point.step, point.accuracy) for point in points if point.accuracy is not None]
    colour, marker = _look(0)
    if rewarded:
        panel.plot(*zip(*rewarded, strict=True), color=colour, marker=marker, label="training reward (left axis)")
    panel.set_xlabel("Optimizer step")
    panel.set_ylabel("Training reward", color=colour)
    panel.tick_params(axis="y", colors=colour)
    panel.set_xlim(left=0)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    right = panel.twinx()
    colour, marker = _look(1)
    if scored:
        steps = [step for step, _ in scored]
        low, high = ([100 * getattr(estimate, end) for _, estimate in scored] for end in ("lo", "hi"))
        means = [100 * estimate.mean for _, estimate in scored]
        right.plot(steps, means, color=colour, marker=marker, linestyle="--", label="held-out accuracy (right axis)")
        right.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
        panel.plot([], [], color=colour, marker=marker, linestyle="--", label="held-out accuracy (right axis)")
    else:
        right.set_yticks([])
    # The reward's line stays above the band of the accuracy.
    panel.set_zorder(right.get_zorder() + 1)
    panel.patch.set_visible(False)
    right.set_ylabel("Held-out accuracy (%)" if scored else "no held-out accuracy yet", color=colour)
    right.tick_params(axis="y", colors=colour)


def _panels(count: int, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels for a paper's column or page: at most two a row, so that text stays readable."""
    columns = min(2, count)
    rows = math.ceil(count / columns)
    width = _COLUMN if columns == 1 else _PAGE
    figure, grid = plt.subplots(
        rows, columns, figsize=(width, _HEIGHT * rows + 0.3), squeeze=False, sharey=sharey, layout="constrained"
    )
    panels = list(grid.ravel())
    for unused in panels[count:]:
        unused.set_axis_off()
    return figure, panels[:count]


def _left(panels: list[Axes]) -> list[Axes]:
    return [panel for i, panel in enumerate(panels) if i % 2 == 0]


def _legend(figure: Figure, panels: list[Axes]) -> None:
    """One legend above all panels."""
    handles = {
        name: handle for panel in panels for handle, name in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    if handles:
        columns = min(len(handles), 4 if len(panels) == 1 else 7)
        figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=columns, frameon=False)


def _look(index: int) -> tuple[str, str]:
    return _COLOURS[index % len(_COLOURS)], _MARKERS[index % len(_MARKERS)]
