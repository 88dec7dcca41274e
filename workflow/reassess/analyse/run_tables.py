"""The tables of training runs: what they cost, and reward against held-out accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reassess.analyse.accuracy_tables import Built, provenance
from reassess.analyse.collect import Collected
from reassess.analyse.estimates import COUNTS, Estimates, add_counts
from reassess.analyse.layout import DASH, Block, Entry, Table, accuracy, difference, number
from reassess.analyse.statistics import Estimate, delta_interval, item_scores, mean_interval
from reassess.graph import Run

_COSTS = {
    "samples_seen": "Samples",
    "tokens_seen": "Tokens",
    "steps_done": "Steps",
    "seconds": "Time (s)",
    "cpu_seconds": "CPU time (s)",
}


class Group(NamedTuple):
    """Runs that differ in the seed alone."""

    model: str
    pool: str
    lineage: str
    runs: tuple[Run, ...]


def run_groups(collected: Collected) -> list[Group]:
    """Return the runs of a study by model, pool and lineage, in grid order."""
    found: dict[tuple[str, str, str], list[Run]] = {}
    for run in collected.graph.runs.values():
        found.setdefault((run.model, run.pool, run.name), []).append(run)
    return [Group(*key, tuple(runs)) for key, runs in found.items()]


def cost(estimates: Estimates) -> Built:
    """Return what each lineage cost, its last stage alone and with all stages before it, as means over seeds."""
    collected = estimates.collected
    table = Table(
        "cost",
        "Cost of each lineage, mean over seeds: its last stage alone, and the whole lineage from the base model (Σ).",
        ["Lineage", *_COSTS.values(), "Put aside", "Seeds", "Device"],
    )
    records = []
    blocks: dict[str, list[list[Entry]]] = {}
    for group in run_groups(collected):
        there = [run for run in group.runs if run.key in collected.runs]
        own = {name: _mean([collected.runs[run.key].get(name) for run in there]) for name in _COSTS}
        total = {name: _mean([_total(collected, run, name) for run in there]) for name in _COSTS}
        devices = ", ".join(dict.fromkeys(str(collected.runs[run.key].get("device")) for run in there))
        aside = _mean([sum((collected.runs[run.key].get("put_aside") or {}).values()) for run in there])
        lacking = [str(item) for item in collected.missing if item.what == "no run.json"]
        lineage_cells = {link.key for run in group.runs for link in _chain(collected, run)}
        lacking = [text for text in lacking if text.rsplit(": ", 1)[0] in lineage_cells]
        mark = table.mark("without " + "; ".join(lacking)) if lacking else 0
        text = f"{group.pool}/{group.lineage}" if len(collected.study.pools) > 1 else group.lineage
        row = [Entry(text, mark=mark), *(_costs(group, own[name], total[name]) for name in _COSTS)]
        row += [number(aside), Entry(f"{len(there)} of {len(group.runs)}"), Entry(devices or DASH)]
        blocks.setdefault(group.model, []).append(row)
        records.append(
            {
                "model": group.model,
                "pool": group.pool,
                "lineage": group.lineage,
                "seeds": len(there),
                **own,
                **{f"lineage_{name}": value for name, value in total.items()},
                "put_aside": aside,
                "device": devices,
            }
        )
    table.blocks = [Block(model, rows) for model, rows in blocks.items()]
    table.notes = [
        "Samples: prompts x epochs for SFT, completions for GRPO. Tokens: as the trainer counts them. "
        "Time is wall-clock time of one job; put aside: training rows that could not be used.",
        f"Study {collected.study.name}, seeds {', '.join(map(str, collected.study.seeds))}.",
    ]
    return table, pd.DataFrame(records)


class Point(NamedTuple):
    """A kept checkpoint of a GRPO recipe, over its seeds.

    Attributes:
        point: 1 for the first kept checkpoint.
        steps: optimizer step of each seed.
        rewards: mean of `reward` and of each `rewards/<name>/mean` over the logged steps since the point before.
        accuracy: held-out accuracy.
        change: paired change of accuracy since the first point, None at the first.
        counts: responses, and of these unscored, unparsed and truncated.
    """

    point: int
    steps: tuple[int, ...]
    rewards: dict[str, float]
    accuracy: Estimate | None
    change: Estimate | None
    counts: dict[str, int]

    @property
    def step(self) -> float:
        """Mean step over seeds, NaN where no seed has this point."""
        return float(np.mean(self.steps)) if self.steps else float("nan")


def trajectories(estimates: Estimates) -> list[tuple[Group, list[Point]]]:
    """Return the kept checkpoints of every GRPO run whose checkpoints are evaluated, seeds together."""
    collected, study = estimates.collected, estimates.study
    suites = [name for name, spec in study.suites.items() if spec.checkpoints == "trajectory"]
    scores = {}
    for suite in suites:
        part = collected.trajectory[collected.trajectory["suite"] == suite]
        scores.update({f"{suite}/{name}": frame for name, frame in item_scores(part, ["cell", "point"]).items()})
    wanted = [f"{suite}/{name}" for suite in suites for name in study.suites[suite].benchmarks]
    evaluated = {job.at.cell for job in collected.graph.of("generate") if job.at.suite in suites}
    found = []
    for group in run_groups(collected):
        run = group.runs[0]
        if study.stages[run.stage].REWARDED and run.key in evaluated:
            steps = [_steps(collected, run) for run in group.runs]
            count = max((len(item) for item in steps), default=0)
            points = [
                _point(estimates, group, steps, at, {name: scores.get(name) for name in wanted})
                for at in range(1, count + 1)
            ]
            found.append((group, points))
    return found


def reward(estimates: Estimates) -> Built:
    """Return training reward against held-out accuracy along GRPO runs that keep checkpoints."""
    collected, study = estimates.collected, estimates.study
    found = trajectories(estimates)
    names = list(dict.fromkeys(name for _, points in found for point in points for name in point.rewards))
    names = ["reward", *sorted(name for name in names if name != "reward")]
    shown = [name.removeprefix("rewards/").removesuffix("/mean").capitalize() for name in names]
    table = Table(
        "reward",
        "Training reward and held-out accuracy along GRPO runs, mean over seeds.",
        [
            "Run",
            "Step",
            *(f"{text} reward" if text != "Reward" else text for text in shown),
            "Held-out",
            "Δ since first",
            "Diverges",
        ],
    )
    records = []
    blocks: dict[str, list[list[Entry]]] = {}
    trajectory_suites = {name for name, spec in study.suites.items() if spec.checkpoints == "trajectory"}
    for group, points in found:
        cells = {run.key for run in group.runs}
        lacking = [
            str(item)
            for item in collected.missing
            if item.cell in cells and {suite for suite, _ in item.benchmarks} <= trajectory_suites
        ]
        mark = table.mark("without " + "; ".join(lacking)) if lacking else 0
        text = f"{group.pool}/{group.lineage}" if len(study.pools) > 1 else group.lineage
        rows = blocks.setdefault(group.model, [])
        if not points:
            rows.append([Entry(text, mark=mark), *[Entry(DASH)] * (len(table.columns) - 1)])
        for point in points:
            apart = diverges(points[0], point)
            row = [Entry(text if point is points[0] else "", mark=mark if point is points[0] else 0), _step(point)]
            row += [number(point.rewards.get(name), digits=3) for name in names]
            first = point is points[0]
            row += [accuracy(point.accuracy), Entry("") if first else difference(point.change)]
            row.append(Entry({True: "yes", False: "no", None: "" if first else DASH}[apart]))
            rows.append(row)
            record = {
                "model": group.model,
                "pool": group.pool,
                "recipe": group.runs[0].recipe,
                "lineage": group.lineage,
                "size": group.runs[0].size,
                "point": point.point,
                "step": point.step,
                **{name: point.rewards.get(name) for name in names},
            }
            for prefix, estimate in (("", point.accuracy), ("change_", point.change)):
                for field in ("mean", "lo", "hi", "n", "seeds"):
                    record[prefix + field] = getattr(estimate, field, None)
            record.update({name: point.counts[name] for name in COUNTS if name != "n"}, diverges=apart)
            records.append(record)
    table.blocks = [Block(model, rows) for model, rows in blocks.items()]
    held_out = list(
        dict.fromkeys(
            name for spec in study.suites.values() if spec.checkpoints == "trajectory" for name in spec.benchmarks
        )
    )
    table.notes = [
        "Reward: mean over the logged steps since the row before. Held-out: percent correct of that checkpoint, ± half "
        "the width of the 95% interval; Δ since the run's first row is paired, in percentage points.",
        "Diverges: the reward is above and the held-out accuracy below that of the run's first row; "
        "whether the fall is more than noise is in the interval beside it.",
        provenance(estimates, held_out),
    ]
    if not found:
        table.notes.insert(0, "No GRPO stage of this study keeps a trajectory.")
    return table, pd.DataFrame(records)


def diverges(first: Point, point: Point) -> bool | None:
    """Return whether reward rose and accuracy fell since the first point; None where either is not known."""
    before, after = first.rewards.get("reward"), point.rewards.get("reward")
    if before is None or after is None or point.change is None:
        return None
    return after > before and point.change.mean < 0


def _point(
    estimates: Estimates,
    group: Group,
    steps: Sequence[list[int]],
    at: int,
    scores: dict[str, pd.DataFrame | None],
) -> Point:
    def values(point: int) -> dict[str, NDArray[np.float64]]:
        columns = [(run.key, point) for run in group.runs]
        return {
            name: np.full((len(columns), 1), np.nan)
            if frame is None
            else np.stack([_column(frame, column) for column in columns])
            for name, frame in scores.items()
        }

    resampling = estimates.study.seed, estimates.study.report.resamples
    rewards: dict[str, list[float]] = {}
    counts = dict.fromkeys(COUNTS, 0)
    for run, kept in zip(group.runs, steps, strict=True):
        if len(kept) < at:
            continue
        low = kept[at - 2] if at > 1 else 0
        for name, value in _rewards(estimates.collected, run, low, kept[at - 1]).items():
            rewards.setdefault(name, []).append(value)
        for suite, spec in estimates.study.suites.items():
            record = estimates.collected.scores.get((run.key, suite)) if spec.checkpoints == "trajectory" else None
            for benchmark in spec.benchmarks if record else ():
                add_counts(counts, record["scores"].get(f"{benchmark}@{kept[at - 1]}"))  # type: ignore[index]
    return Point(
        point=at,
        steps=tuple(kept[at - 1] for kept in steps if len(kept) >= at),
        rewards={name: float(np.mean(found)) for name, found in rewards.items()},
        accuracy=mean_interval(values(at), *resampling),
        change=delta_interval(values(at), values(1), *resampling) if at > 1 else None,
        counts=counts,
    )


def _column(frame: pd.DataFrame, column: tuple[str, int]) -> NDArray[np.float64]:
    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    return frame[column].to_numpy(dtype="float64")


def _steps(collected: Collected, run: Run) -> list[int]:
    """Return the steps of a run's kept checkpoints."""
    kept = [item["step"] for item in (collected.runs.get(run.key) or {}).get("trajectory") or ()]
    for (key, _), record in collected.scores.items():
        if key == run.key:
            kept += [item["step"] for item in record["checkpoints"] if item["step"] is not None]
    return sorted(set(kept))


def _rewards(collected: Collected, run: Run, low: int, high: int) -> dict[str, float]:
    """Return mean rewards over the logged steps in (low, high]."""
    # A resumed run logs some steps twice; the last line is what happened to the weights that were kept.
    logged = {line["step"]: line for line in collected.metrics.get(run.key, ()) if "reward" in line}
    lines = [line for step, line in logged.items() if low < step <= high]
    names = ["reward", *(name for name in (lines[0] if lines else ()) if _is_reward(name))]
    found = {name: [line[name] for line in lines if line.get(name) is not None] for name in names}
    return {name: float(np.mean(values)) for name, values in found.items() if values}


def _is_reward(name: str) -> bool:
    return name.startswith("rewards/") and name.endswith("/mean")


def _step(point: Point) -> Entry:
    low, high = min(point.steps), max(point.steps)
    return Entry(f"{low:,}" if low == high else f"{low:,}–{high:,}")


def _costs(group: Group, own: float | None, total: float | None) -> Entry:
    """Return the cost of the last stage and, where there are stages before it, of the whole lineage."""
    entry = number(own)
    return replace(entry, rest=f"(Σ {number(total).text})") if group.runs[0].parents else entry


def _chain(collected: Collected, run: Run) -> list[Run]:
    """Return a run and all that it was made from."""
    parents = [link for key in run.parents for link in _chain(collected, collected.graph.runs[key])]
    return list(dict.fromkeys((run, *parents)))


def _total(collected: Collected, run: Run, name: str) -> float | None:
    """Return a cost summed over a run and the runs before it, None where one is not known."""
    values = [collected.runs.get(link.key, {}).get(name) for link in _chain(collected, run)]
    return None if None in values else float(sum(value for value in values if value is not None))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None
