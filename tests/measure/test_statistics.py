"""Intervals cover as often as they say, and agree with scipy, which the package itself does not need."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from rnnbench.measure.statistics import (
    least_squares,
    log_log_slope,
    median_interval,
    quantile,
    quantile_interval,
    student_t_quantile,
)

SHAPES = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "skewed": lambda rng, n: np.exp(rng.standard_normal(n)) - 1,
    "two modes": lambda rng, n: rng.standard_normal(n) * 0.01 + rng.choice([-1.0, 1.0], n),
    "heavy tail": lambda rng, n: rng.standard_cauchy(n),
}


@pytest.mark.parametrize("n", [6, 7, 20, 33, 200])
@pytest.mark.parametrize("q", [0.5, 0.9])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_are_those_of_scipy(n: int, q: float, confidence: float) -> None:
    samples = np.random.default_rng(n).standard_normal(n)
    ours = quantile_interval(samples.tolist(), q, confidence)
    theirs = scipy.stats.quantile_test(samples, p=q).confidence_interval(confidence_level=confidence)
    ends = (ours.low, ours.high) if ours.reached else (theirs.low, theirs.high)
    assert ends == (theirs.low, theirs.high)
    assert ours.reached == bool(np.all(np.isfinite([theirs.low, theirs.high])))
    assert ours.value == pytest.approx(np.quantile(samples, q))


@pytest.mark.parametrize("n", [6, 11, 40, 199])
def test_no_narrower_interval_would_do(n: int) -> None:
    below = int(median_interval(range(n)).low)  # as many samples lie below the interval
    assert coverage(n, below) >= 0.95 > coverage(n, below + 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [6, 11, 40])
def test_the_interval_covers_the_true_median_as_often_as_computed_whatever_the_distribution(shape: str, n: int) -> None:
    rng = np.random.default_rng(7)
    found = [median_interval(SHAPES[shape](rng, n).tolist()) for _ in range(4000)]
    covered = np.mean([interval.low <= 0 <= interval.high for interval in found])
    exact = coverage(n, int(median_interval(range(n)).low))
    assert covered == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 4000))  # four standard errors


def coverage(n: int, below: int) -> float:
    """Probability that the median lies between the samples that have `below` others below and above them."""
    return float(1 - 2 * scipy.stats.binom.cdf(below, n, 0.5))


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_with_fewer_than_six_samples_the_interval_is_the_range_and_says_so(n: int) -> None:
    interval = median_interval([float(v) for v in range(n, 0, -1)])
    assert (interval.low, interval.high, interval.reached) == (1.0, float(n), False)
    assert interval.relative_width == math.inf


def test_six_samples_are_enough_for_a_median() -> None:
    interval = median_interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    assert (interval.value, interval.low, interval.high, interval.reached) == (3.5, 1.0, 6.0, True)
    assert interval.relative_width == pytest.approx(5 / 3.5)


def test_a_99th_percentile_needs_368_samples_for_an_upper_end() -> None:
    assert not quantile_interval(range(367), 0.99).reached
    assert quantile_interval(range(368), 0.99).reached


@pytest.mark.parametrize("q", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_quantiles_are_those_of_numpy(q: float) -> None:
    for n in (1, 2, 10, 101):
        samples = np.random.default_rng(n).standard_normal(n)
        assert quantile(samples.tolist(), q) == pytest.approx(np.quantile(samples, q))


def test_a_median_of_zero_has_no_relative_width() -> None:
    assert median_interval([0.0] * 10).relative_width == math.inf


@pytest.mark.parametrize(("samples", "q"), [([], 0.5), ([1.0], 1.5), ([1.0], -0.1)])
def test_nonsense_is_refused(samples: list[float], q: float) -> None:
    with pytest.raises(ValueError, match="quantile"):
        quantile_interval(samples, q)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 20, 101])
@pytest.mark.parametrize("p", [0.6, 0.9, 0.975, 0.9995])
def test_student_t_is_that_of_scipy(freedom: int, p: float) -> None:
    assert student_t_quantile(p, freedom) == pytest.approx(scipy.stats.t.ppf(p, freedom), rel=1e-9)


def test_an_exact_power_law_gives_its_exponent() -> None:
    slope = log_log_slope([64, 128, 512, 2048], [3e-6 * t**1.5 for t in (64, 128, 512, 2048)])
    assert (slope.value, slope.low, slope.high) == pytest.approx((1.5, 1.5, 1.5), abs=1e-9)


def test_the_slope_and_its_interval_are_those_of_scipy() -> None:
    x = np.array([64, 128, 256, 512, 1024, 2048])
    y = x**1.1 * np.exp(0.1 * np.random.default_rng(0).standard_normal(len(x)))
    slope = log_log_slope(x.tolist(), y.tolist())
    fit = scipy.stats.linregress(np.log(x), np.log(y))
    margin = scipy.stats.t.ppf(0.975, len(x) - 2) * fit.stderr  # type: ignore[attr-defined]
    expected = (fit.slope, fit.slope - margin, fit.slope + margin)  # type: ignore[attr-defined]
    assert (slope.value, slope.low, slope.high) == pytest.approx(expected)


def test_two_points_give_an_exponent_without_an_interval() -> None:
    slope = log_log_slope([1, 2], [1, 4])
    assert slope.value == pytest.approx(2)
    assert (slope.low, slope.high) == (None, None)


@pytest.mark.parametrize(("x", "y"), [([1], [1]), ([2, 2], [1, 3]), ([1, 2], [0, 1]), ([-1, 2], [1, 1]), ([1, 2], [1])])
def test_an_exponent_needs_positive_values_at_two_lengths(x: list[float], y: list[float]) -> None:
    with pytest.raises(ValueError, match="growth exponent"):
        log_log_slope(x, y)


def test_a_line_is_recovered_with_its_error() -> None:
    points = [(1.0, 2.0), (2.0, 2.5), (4.0, 7.0), (9.0, 11.0)]
    x, y = (list(column) for column in zip(*points, strict=True))
    expected: Any = scipy.stats.linregress(x, y)
    fit = least_squares(x, y)
    assert (fit.slope, fit(0.0), fit.error) == pytest.approx((expected.slope, expected.intercept, expected.stderr))
