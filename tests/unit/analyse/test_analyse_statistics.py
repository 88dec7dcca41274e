"""Estimates and intervals against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reassess.analyse.statistics import delta_interval, floor_hits, item_scores, mean_interval

NAN = float("nan")


def rows(*values: list[float]) -> np.ndarray:
    return np.array(values, dtype=float)


def test_floor_is_the_commonest_gold_of_each_family() -> None:
    questions = pd.DataFrame(
        [("a", "f", "7"), ("a", "f", "3"), ("a", "f", "7"), ("a", "g", "y"), ("a", "g", "x"), ("b", "f", "3")],
        columns=["benchmark", "family", "gold"],
    )
    # Family f of benchmark a: 7; family g: x of two equally common; family f of benchmark b: 3.
    assert floor_hits(questions).tolist() == [1, 0, 1, 0, 1, 1]


def test_samples_of_an_item_are_averaged_without_the_unscored() -> None:
    frame = pd.DataFrame(
        {
            "cell": "m/base",
            "benchmark": "a",
            "id": ["q1", "q1", "q1", "q2", "q2", "q3"],
            "correct": pd.array([True, False, None, True, True, None], dtype="boolean"),
        }
    )
    scores = item_scores(frame, ["cell"])["a"]["m/base"]
    assert scores.to_dict() == pytest.approx({"q1": 0.5, "q2": 1.0, "q3": NAN}, nan_ok=True)


def test_equal_items_have_an_interval_of_no_width() -> None:
    estimate = mean_interval({"a": rows([1] * 30, [1] * 30)}, seed=0, resamples=200)
    assert estimate is not None
    assert (estimate.mean, estimate.lo, estimate.hi) == (1, 1, 1)
    assert (estimate.n, estimate.seeds, estimate.left_out) == (30, 2, 0)


def test_interval_of_a_share_is_that_of_the_binomial() -> None:
    # The bootstrap of 50 correct of 100 is Binomial(100, 0.5); its 2.5% and 97.5% quantiles are 40 and 60.
    estimate = mean_interval({"a": rows([0, 1] * 50)}, seed=0, resamples=5000)
    assert estimate is not None
    assert estimate.mean == 0.5
    assert (estimate.lo, estimate.hi) == (pytest.approx(0.40, abs=0.011), pytest.approx(0.60, abs=0.011))


def test_resamples_in_several_blocks_have_the_width_of_the_normal_approximation() -> None:
    # 30,000 items need about 70 resamples a block. The half width is 1.96 sqrt(0.25 / n).
    estimate = mean_interval({"a": rows([0, 1] * 15_000)}, seed=0, resamples=1000)
    assert estimate is not None
    assert estimate.half_width == pytest.approx(1.96 * (0.25 / 30_000) ** 0.5, rel=0.1)


def test_mean_counts_benchmarks_equally_and_needs_all_of_them() -> None:
    scores = {"small": rows([1] * 10), "large": rows([0] * 40)}
    estimate = mean_interval(scores, seed=0, resamples=200)
    assert estimate is not None
    assert (estimate.mean, estimate.n) == (0.5, 50)
    assert mean_interval({**scores, "empty": rows([NAN] * 5)}, seed=0, resamples=200) is None
    assert mean_interval({}, seed=0, resamples=200) is None


def test_benchmarks_are_resampled_independently() -> None:
    # Two independent means of equal variance: the interval of their mean is narrower by the root of two.
    one = mean_interval({"a": rows([0, 1] * 100)}, seed=0, resamples=4000)
    two = mean_interval({"a": rows([0, 1] * 100), "b": rows([0, 1] * 100)}, seed=0, resamples=4000)
    assert one is not None
    assert two is not None
    assert two.half_width == pytest.approx(one.half_width / 2**0.5, rel=0.1)


def test_delta_of_a_method_to_itself_is_exactly_zero() -> None:
    scores = {"a": rows(list(np.random.default_rng(0).random(50)))}
    estimate = delta_interval(scores, scores, seed=0, resamples=200)
    assert estimate is not None
    assert (estimate.mean, estimate.lo, estimate.hi) == (0, 0, 0)


def test_delta_is_paired() -> None:
    # One item of 100 more is right: the bootstrap is Binomial(100, 0.01), whose 97.5% quantile is 3. Unpaired,
    # the interval would reach from about -0.13 to 0.15.
    base = rows([0, 1] * 50)
    method = base.copy()
    method[0, 0] = 1
    estimate = delta_interval({"a": method}, {"a": base}, seed=0, resamples=4000)
    assert estimate is not None
    assert (estimate.mean, estimate.lo, estimate.hi) == (pytest.approx(0.01), 0, pytest.approx(0.03, abs=0.0011))


def test_unscored_items_are_left_out_pairwise_and_counted() -> None:
    estimate = delta_interval({"a": rows([1, NAN, 0, 1])}, {"a": rows([0, 1, NAN, 1])}, seed=0, resamples=200)
    assert estimate is not None
    assert (estimate.mean, estimate.n, estimate.left_out) == (0.5, 2, 2)
    scored_are_right = mean_interval({"a": rows([1, NAN, 1, NAN, 1])}, seed=0, resamples=200)
    assert scored_are_right is not None
    assert (scored_are_right.lo, scored_are_right.hi) == (1, 1)


def test_seeds_are_a_level_of_their_own() -> None:
    # Two seeds, all wrong and all right: a quarter of the resamples draws one seed twice, a quarter the other.
    apart = mean_interval({"a": rows([0] * 50, [1] * 50)}, seed=0, resamples=1000)
    assert apart is not None
    assert (apart.mean, apart.lo, apart.hi) == (0.5, 0, 1)
    values = [0, 1] * 50
    alike = mean_interval({"a": rows(values, values)}, seed=0, resamples=1000)
    single = mean_interval({"a": rows(values)}, seed=0, resamples=1000)
    assert alike is not None
    assert single is not None
    assert (alike.lo, alike.hi) == (single.lo, single.hi)


def test_a_seed_without_scores_does_not_count() -> None:
    values = [0, 1, 1, 0, 1] * 10
    both = mean_interval({"a": rows(values, [NAN] * 50)}, seed=0, resamples=500)
    assert both == mean_interval({"a": rows(values)}, seed=0, resamples=500)
    assert both is not None
    assert both.seeds == 1


def test_the_draw_depends_on_the_seed_of_the_study_alone() -> None:
    scores = {"a": rows([0, 1, 1] * 40)}
    first = mean_interval(scores, seed=3, resamples=500)
    mean_interval({"b": rows([1, 0] * 9)}, seed=3, resamples=500)
    assert mean_interval(scores, seed=3, resamples=500) == first
    assert mean_interval(scores, seed=-4, resamples=500) != first


def test_intervals_contain_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for i in range(200):
        estimate = mean_interval({"a": (rng.random((1, 60)) < 0.3).astype(float)}, seed=i, resamples=300)
        assert estimate is not None
        covered += estimate.lo <= 0.3 <= estimate.hi
    assert 0.88 <= covered / 200 <= 0.99
