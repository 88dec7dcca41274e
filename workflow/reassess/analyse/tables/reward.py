"""Training reward against held-out accuracy along the runs whose kept checkpoints are evaluated."""

from __future__ import annotations

from typing import Any

from reassess.analyse.estimates import COUNTS, Estimates
from reassess.analyse.layout import DASH, Block, Entry, Table, accuracy, difference, number
from reassess.analyse.runs import Group, title
from reassess.analyse.tables.shared import Built, frame, provenance
from reassess.analyse.trajectories import Point, diverges, trajectories

_NOTES = [
    "Reward: mean over the logged steps since the row before. Held-out: percent correct of that checkpoint, ± half "
    "the width of the 95% interval; Δ since the run's first row is paired, in percentage points.",
    "Diverges: the reward is above and the held-out accuracy below that of the run's first row; "
    "whether the fall is more than noise is in the interval beside it.",
]
_WHO = ["model", "pool", "recipe", "lineage", "size", "point", "step"]
_FIELDS = ("mean", "lo", "hi", "n", "seeds")
_COLUMNS = [*_FIELDS, *(f"change_{name}" for name in _FIELDS), *COUNTS[1:], "diverges"]


def build(estimates: Estimates) -> Built:
    """Return training reward against held-out accuracy along runs of RL that keep checkpoints."""
    study = estimates.study
    found = trajectories(estimates)
    names = list(dict.fromkeys(name for _, points in found for point in points for name in point.rewards))
    names = ["reward", *sorted(name for name in names if name != "reward")]
    table = Table(
        "reward",
        "Training reward and held-out accuracy along runs of RL, mean over seeds.",
        ["Run", "Step", *map(_heading, names), "Held-out", "Δ since first", "Diverges"],
    )
    records = []
    blocks: dict[str, list[list[Entry]]] = {}
    for group, points in found:
        blocks.setdefault(group.model, []).extend(_rows(table, estimates, group, points, names))
        records += [_record(group, points[0], point) for point in points]
    table.blocks = [Block(model, rows) for model, rows in blocks.items()]
    held_out = list(dict.fromkeys(name for spec in study.watching.values() for name in spec.benchmarks))
    table.notes = [*_NOTES, provenance(estimates, held_out)]
    if not found:
        table.notes.insert(0, "No stage of RL of this study keeps a trajectory.")
    return table, frame(records, [*_WHO, *names, *_COLUMNS])


def _heading(name: str) -> str:
    shown = name.removeprefix("rewards/").removesuffix("/mean").capitalize()
    return shown if name == "reward" else f"{shown} reward"


def _rows(table: Table, estimates: Estimates, group: Group, points: list[Point], names: list[str]) -> list[list[Entry]]:
    """Return the rows of a group of runs, one per kept checkpoint; the first names the group."""
    mark = table.mark(_lacking(estimates, group))
    name = Entry(title(estimates.collected, group), mark=mark)
    if not points:
        return [[name, *[Entry(DASH)] * (len(table.columns) - 1)]]
    rows = []
    for point in points:
        first = point is points[0]
        apart = diverges(points[0], point)
        row = [name if first else Entry(""), _step(point)]
        row += [number(point.rewards.get(reward), digits=3) for reward in names]
        row += [accuracy(point.accuracy), Entry("") if first else difference(point.change)]
        row.append(Entry({True: "yes", False: "no", None: "" if first else DASH}[apart]))
        rows.append(row)
    return rows


def _lacking(estimates: Estimates, group: Group) -> str:
    """Return in words what is missing of a group of runs and of the scores of their checkpoints."""
    suites = set(estimates.study.watching)
    cells = {run.key for run in group.runs}
    lacking = [
        str(item)
        for item in estimates.collected.missing
        if item.cell in cells and {suite for suite, _ in item.benchmarks} <= suites
    ]
    return "without " + "; ".join(lacking) if lacking else ""


def _record(group: Group, first: Point, point: Point) -> dict[str, Any]:
    """Return a kept checkpoint as a row of the CSV."""
    run = group.runs[0]
    record = {
        **dict(
            zip(_WHO, (run.model, run.pool, run.recipe, group.name, run.size, point.point, point.step), strict=True)
        ),
        **point.rewards,
        **{name: point.counts[name] for name in COUNTS[1:]},
        "diverges": diverges(first, point),
    }
    for prefix, estimate in (("", point.accuracy), ("change_", point.change)):
        record.update({prefix + name: getattr(estimate, name, None) for name in _FIELDS})
    return record


def _step(point: Point) -> Entry:
    low, high = min(point.steps), max(point.steps)
    return Entry(f"{low:,}" if low == high else f"{low:,}–{high:,}")
