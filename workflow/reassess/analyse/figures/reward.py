"""Training reward and held-out accuracy by step."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reassess.analyse.estimates import Estimates
from reassess.analyse.figures.style import GREY, legend, look, panels
from reassess.analyse.runs import Group
from reassess.analyse.trajectories import Point, trajectories

# Letters of a title that stand over a panel in one line.
_WIDEST = 48


def draw(estimates: Estimates) -> Figure:
    """Return training reward and held-out accuracy by step, one panel per model and recipe at the largest size."""
    largest: dict[tuple[str, str, str], tuple[Group, list[Point]]] = {}
    for group, points in trajectories(estimates):
        key = (group.model, group.pool, group.runs[0].recipe)
        if points and (key not in largest or _size(group) > _size(largest[key][0])):
            largest[key] = (group, points)
    figure, found = panels(max(1, len(largest)))
    if not largest:
        found[0].text(0.5, 0.5, "no kept checkpoint with scores", ha="center", va="center", color=GREY)
        found[0].set_axis_off()
    drawn = []
    for panel, ((model, pool, recipe), (group, points)) in zip(found, largest.items(), strict=False):
        spec = estimates.study.recipes.get(recipe)
        shown = spec.label if spec and spec.label else recipe
        named = f"{shown} ({pool})" if len(estimates.study.pools) > 1 else shown
        drawn.append((panel, _panel(panel, points)))
        title = f"{model}, {named}, {_size(group):,} examples"
        panel.set_title(title if len(title) <= _WIDEST else f"{model}, {_size(group):,} examples\n{named}")
    _share(drawn)
    legend(figure, found)
    return figure


def _share(drawn: Sequence[tuple[Axes, Axes]]) -> None:
    """Give all panels the same two scales: RL from the base model and after a cold start are to be compared."""
    for side in zip(*drawn, strict=True):
        used = [panel for panel in side if panel.has_data()]
        limits = [end for panel in used for end in panel.get_ylim()]
        for panel in used:
            panel.set_ylim(min(limits), max(limits))


def _size(group: Group) -> int:
    return group.runs[0].size or 0


def _panel(panel: Axes, points: list[Point]) -> Axes:
    """Draw the reward on the left axis and held-out accuracy on the right one, each axis in the colour of its line, and
    return the right one."""
    rewarded = [(point.step, point.rewards["reward"]) for point in points if "reward" in point.rewards]
    scored = [(point.step, point.accuracy) for point in points if point.accuracy is not None]
    colour, marker = look(0)
    if rewarded:
        panel.plot(*zip(*rewarded, strict=True), color=colour, marker=marker, label="training reward (left axis)")
    panel.set_xlabel("Optimizer step")
    panel.set_ylabel("Training reward", color=colour)
    panel.tick_params(axis="y", colors=colour)
    panel.set_xlim(left=0)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    right = panel.twinx()
    colour, marker = look(1)
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
    return right
