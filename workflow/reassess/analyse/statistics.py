"""Means over items (of accuracy, of lengths), paired differences and their 95% bootstrap intervals.

Items are resampled within each benchmark, the same draw for every method and seed; seeds, where there are several, are
resampled as a level of their own, the same draw for every benchmark: a hierarchical bootstrap (Davison and Hinkley,
Bootstrap Methods and their Application, 1997, section 3.8).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Scores = Mapping[str, NDArray[np.float64]]
"""By benchmark: item scores of shape (seeds, items), NaN where an item has none."""

# 2^21 float32 weights are 8 MB; 32 such blocks bound the cache to 256 MB whatever the benchmark's size.
_BLOCK = 2**21
_CACHED_BLOCKS = 32


@dataclass(frozen=True)
class Estimate:
    """A mean over benchmarks with its 95% percentile interval.

    Attributes:
        mean: the point estimate; of an accuracy a fraction.
        lo: lower end of the interval.
        hi: upper end.
        n: items that count, summed over benchmarks.
        seeds: training seeds that count; 1 for a model that was not trained.
        left_out: pairs of item and seed without a score.
    """

    mean: float
    lo: float
    hi: float
    n: int
    seeds: int
    left_out: int

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.hi - self.lo) / 2


def item_scores(frame: pd.DataFrame, by: list[str], score: pd.Series[Any] | None = None) -> dict[str, pd.DataFrame]:
    """Return, by benchmark, a frame of item scores with one row per item id and one column per value of `by`.

    The samples of an item are averaged, those without a score left out; NaN where none has one.

    Args:
        frame: one row per response.
        by: columns that tell one set of responses from another.
        score: score of each row; the column `correct` where it is not given.
    """
    small = frame[[*by, "benchmark", "id"]].copy()
    small["score"] = (frame["correct"] if score is None else score).to_numpy(dtype="float64", na_value=np.nan)
    means = small.groupby([*by, "benchmark", "id"], observed=True, sort=False)["score"].mean()
    found = {}
    for name in frame["benchmark"].unique():
        wide = means.xs(name, level="benchmark").unstack(by)
        # Plain labels: every look-up in a categorical index would hash all of its categories.
        wide.index = pd.Index(wide.index.astype(str))
        if len(by) == 1:
            wide.columns = pd.Index(wide.columns.astype(str))
        found[str(name)] = wide.sort_index()
    return found


def mean_interval(scores: Scores, seed: int, resamples: int) -> Estimate | None:
    """Return the mean over benchmarks of the mean score (over seeds and items) with its interval.

    Args:
        scores: item scores by benchmark, each of shape (seeds, items); the seeds are the same in all.
        seed: of the resampling. Equal seeds draw equal items, so the result does not depend on what else is asked.
        resamples: bootstrap resamples.

    Returns:
        None where a benchmark has no scored item: a mean over fewer benchmarks would be another quantity.
    """
    scored = {name: ~np.isnan(values) for name, values in scores.items()}
    if not scores or not all(mask.any() for mask in scored.values()):
        return None
    present = np.any([mask.any(axis=1) for mask in scored.values()], axis=0)
    scores = {name: values[present] for name, values in scores.items()}
    scored = {name: mask[present] for name, mask in scored.items()}
    n_seeds = int(present.sum())
    drawn = _seed_weights(seed, n_seeds, resamples)
    points, replicates = [], []
    for name, values in scores.items():
        point = np.array([row[mask].mean() for row, mask in zip(values, scored[name], strict=True) if mask.any()])
        points.append(point.mean())
        means = _resampled(values, seed, resamples, name)
        there = ~np.isnan(means)
        weight = (drawn * there).sum(axis=1)
        total = (drawn * np.where(there, means, 0.0)).sum(axis=1)
        # A resample without any scored item or seed of a benchmark says nothing, and is left out of the quantiles.
        replicates.append(np.divide(total, weight, out=np.full(resamples, np.nan), where=weight > 0))
    lo, hi = np.nanquantile(np.mean(replicates, axis=0), [0.025, 0.975])
    return Estimate(
        mean=float(np.mean(points)),
        lo=float(lo),
        hi=float(hi),
        n=int(sum(mask.any(axis=0).sum() for mask in scored.values())),
        seeds=n_seeds,
        left_out=int(sum((~mask[mask.any(axis=1)]).sum() for mask in scored.values())),
    )


def delta_interval(method: Scores, base: Scores, seed: int, resamples: int) -> Estimate | None:
    """Return the paired difference method - base with its interval; see `mean_interval`.

    An item without a score on either side is left out for that seed. `base` has one row, compared with each of the
    method's seeds, or the same seeds as the method, compared seed by seed.
    """
    return mean_interval({name: values - base[name] for name, values in method.items()}, seed, resamples)


def floor_hits(questions: pd.DataFrame) -> pd.Series[float]:
    """Return 1.0 for each question whose gold is the commonest of its family and benchmark, else 0.0.

    The mean over any questions is what always giving each family's commonest gold scores there.

    Args:
        questions: one row per question, with columns `benchmark`, `family` and `gold`.
    """
    keys = ["benchmark", "family"]
    # Of equally common golds the first in sorted order is taken, so that the breakdown by difficulty is fixed.
    # A question of which no single answer is right, because it was asked in rotations, has no gold.
    known = questions[questions["gold"].astype(str).ne("")]
    counts = known.groupby([*keys, "gold"], observed=True, dropna=False).size().reset_index(name="count")
    commonest = counts.sort_values("count", ascending=False, kind="stable").drop_duplicates(keys)
    merged = questions[[*keys, "gold"]].merge(commonest, how="left", on=[*keys, "gold"])
    return pd.Series(merged["count"].notna().to_numpy(dtype="float64"), index=questions.index)


def _resampled(values: NDArray[np.float64], seed: int, resamples: int, stratum: str) -> NDArray[np.float64]:
    """Return the mean of each row under each resample of the items: shape (resamples, rows), NaN where none counts."""
    n = values.shape[1]
    mask = ~np.isnan(values)
    filled = np.where(mask, values, 0.0).astype(np.float32).T
    complete = bool(mask.all())
    counted = mask.astype(np.float32).T
    step = max(1, _BLOCK // n)
    out = np.empty((resamples, len(values)))
    for start in range(0, resamples, step):
        weights = _item_weights(seed, zlib.crc32(stratum.encode()), start // step, n, min(step, resamples - start))
        totals = (weights @ filled).astype(np.float64)
        sizes = np.full_like(totals, n) if complete else (weights @ counted).astype(np.float64)
        out[start : start + step] = np.divide(totals, sizes, out=np.full_like(totals, np.nan), where=sizes > 0)
    return out


@lru_cache(maxsize=_CACHED_BLOCKS)
def _item_weights(seed: int, stratum: int, block: int, n: int, rows: int) -> NDArray[np.float32]:
    """Return how often each of n items is drawn in each resample of a block: shape (rows, n)."""
    rng = np.random.default_rng([seed % 2**32, stratum, block])
    picks = rng.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
    return np.bincount(picks.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float32)


@lru_cache(maxsize=_CACHED_BLOCKS)
def _seed_weights(seed: int, n: int, resamples: int) -> NDArray[np.float64]:
    """Return how often each of n seeds is drawn in each resample: shape (resamples, n)."""
    if n == 1:
        return np.ones((resamples, 1))
    rng = np.random.default_rng([seed % 2**32, n])
    picks = rng.integers(0, n, size=(resamples, n)) + np.arange(resamples)[:, None] * n
    return np.bincount(picks.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)
