"""Training reward and held-out accuracy at the kept checkpoints of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reassess.analyse.collect import Collected
from reassess.analyse.estimates import COUNTS, Estimates, add_counts
from reassess.analyse.runs import Group, run_groups
from reassess.analyse.statistics import Estimate, delta_interval, item_scores, mean_interval
from reassess.graph import Run


class Point(NamedTuple):
    """A kept checkpoint of a recipe that ends in RL, over its seeds.

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
    """Return the kept checkpoints of every run of RL whose checkpoints are evaluated, seeds together."""
    collected, study = estimates.collected, estimates.study
    suites = list(study.watching)
    scores = {}
    for suite in suites:
        part = collected.trajectory[collected.trajectory["suite"] == suite]
        scores.update({f"{suite}/{name}": frame for name, frame in item_scores(part, ["cell", "point"]).items()})
    wanted = [f"{suite}/{name}" for suite in suites for name in study.suites[suite].benchmarks]
    evaluated = {job.at.cell for job in collected.graph.of("generate") if job.at.suite in suites}
    found = []
    for group in run_groups(collected):
        run = group.runs[0]
        if study.all_stages[run.stage].REWARDED and run.key in evaluated:
            steps = [_steps(collected, run) for run in group.runs]
            count = max((len(item) for item in steps), default=0)
            points = [
                _point(estimates, group, steps, at, {name: scores.get(name) for name in wanted})
                for at in range(1, count + 1)
            ]
            found.append((group, points))
    return found


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
        for suite, spec in estimates.study.watching.items():
            record = estimates.collected.scores.get((run.key, suite))
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
