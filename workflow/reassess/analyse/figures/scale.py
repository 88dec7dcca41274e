"""Mean accuracy against training size."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reassess.analyse.estimates import Estimates, Method, control, label, methods, models
from reassess.analyse.figures.style import GREY, left, legend, look, panels
from reassess.graph import BASE, BASE_THINK

# The factor between the places of two methods that have one size alone.
_APART = 1.05


def draw(estimates: Estimates) -> Figure:
    """Return mean accuracy against training size, one panel per model."""
    names = models(estimates.graph)
    figure, found = panels(len(names), sharey=True)
    for panel, model in zip(found, names, strict=True):
        _panel(panel, estimates, model)
        panel.set_title(model)
        panel.set_xlabel("Training examples")
    for panel in left(found):
        panel.set_ylabel(f"{estimates.lead.capitalize()} accuracy (%)")
    legend(figure, found)
    return figure


def _panel(panel: Axes, estimates: Estimates, model: str) -> None:
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
        colour, marker = look(labels.index(name))
        sizes = np.array([size for size, _ in known], dtype=float)
        means, low, high = (np.array([100 * getattr(e, end) for _, e in known]) for end in ("mean", "lo", "hi"))
        if len(known) == 1:
            # Side by side, where lines would lie on each other.
            sizes = sizes * _APART ** (labels.index(name) - (len(labels) - 1) / 2)
            panel.vlines(sizes, low, high, color=colour)
        panel.plot(sizes, means, color=colour, marker=marker, label=name)
        panel.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)
    for name, style in ((BASE, "-"), (BASE_THINK, "--")):
        if estimate := estimates.mean(control(found, name), lead):
            panel.axhline(100 * estimate.mean, color=GREY, linestyle=style, linewidth=1, label=name)
    if (floor := estimates.floor(lead)) is not None:
        panel.axhline(100 * floor, color=GREY, linestyle=":", linewidth=1, label="floor")
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(FixedLocator(sorted(estimates.study.sizes)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.xaxis.set_minor_locator(NullLocator())
    low_size, high_size = min(estimates.study.sizes), max(estimates.study.sizes)
    panel.set_xlim(low_size / 1.3, high_size * 1.3)
    panel.spines["right"].set_visible(False)
