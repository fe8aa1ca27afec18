"""Intervals that assume no distribution, and the slope of a power law. Pure Python: importing it costs nothing.

Timings are skewed, have several modes and outliers, so means and normal intervals mislead. Order statistics do not
care: the number of samples below the true q-quantile is Binomial(n, q), whatever the distribution, so the interval
between the l-th and u-th smallest sample covers it with a probability that is known exactly (Conover 1999, *Practical
Nonparametric Statistics*, section 3.2). It holds for independent samples of one process; what differs between processes
is not in it and has to be measured by starting several.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rnnbench.timings import Interval

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Slope:
    """Exponent p of y ∝ x^p with its 95 % interval, None where two points leave nothing to judge it by."""

    value: float
    low: float | None
    high: float | None


def quantile(samples: Sequence[float], q: float) -> float:
    """The q-quantile, 0 ≤ q ≤ 1, linear between order statistics (Hyndman & Fan 1996, type 7, NumPy's default)."""
    ordered = _ordered(samples, q)
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    share = position - below
    return ordered[below] + (share and share * (ordered[below + 1] - ordered[below]))


def quantile_interval(samples: Sequence[float], q: float, confidence: float = 0.95) -> Interval:
    """The q-quantile with a distribution-free interval of at least the confidence asked for, if n allows it.

    For a 99th percentile at 95 % it takes 368 samples before the upper end exists.

    Args:
        samples: Of one unit, in any order, at least one.
        q: 0 ≤ q ≤ 1.
        confidence: That the interval holds the true quantile.

    Returns:
        Value and ends in the samples' unit; `reached` is false where there are too few of them.

    Raises:
        ValueError: There are no samples, or q is no quantile.

    Example:
        >>> from rnnbench import quantile_interval
        >>> tail = quantile_interval(range(101), 0.9)
        >>> tail.value, tail.low, tail.high, tail.reached
        (90.0, 84, 96, True)
    """
    ordered = _ordered(samples, q)
    lower, upper = _ranks(len(ordered), q, confidence)
    return Interval(
        value=quantile(ordered, q),
        low=ordered[max(lower, 1) - 1],
        high=ordered[min(upper, len(ordered)) - 1],
        reached=lower >= 1 and upper <= len(ordered),
    )


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> Interval:
    """The median with its distribution-free interval.

    Args:
        samples: Of one unit, in any order, at least one.
        confidence: That the interval holds the true median.

    Returns:
        Value and ends in the samples' unit, see `quantile_interval`.

    Raises:
        ValueError: There are no samples.

    Example:
        >>> from rnnbench import median_interval
        >>> found = median_interval([5.0, 1.0, 2.0, 3.0, 4.0, 90.0, 2.5])
        >>> found.value, found.low, found.high, found.reached
        (3.0, 1.0, 90.0, True)
    """
    return quantile_interval(samples, 0.5, confidence)


@dataclass(frozen=True)
class LinearFit:
    """y = slope·(x − mean) + height by weighted least squares, with what its intervals need.

    spread: Σ w·(x − mean)²; weight: Σ w; variance: of the residuals, of weight 1; freedom:
    its degrees of freedom, n − 2.
    Draper & Smith 1998, *Applied Regression Analysis*, section 1.4.
    """

    slope: float
    height: float
    mean: float
    spread: float
    weight: float
    variance: float
    freedom: int

    def __call__(self, x: float) -> float:
        """The value of the line at x."""
        return self.height + self.slope * (x - self.mean)

    @property
    def error(self) -> float:
        """Standard error of the slope; infinite where two points leave nothing to judge it by."""
        return math.sqrt(self.variance / self.spread) if self.freedom else math.inf

    def margin(self, x: float, noise: float) -> float:
        """Half the 95 % prediction interval at x, for a new observation of weight 1/noise (there, 1.4.8)."""
        scatter = noise + 1 / self.weight + (x - self.mean) ** 2 / self.spread
        return student_t_quantile(0.975, self.freedom) * math.sqrt(self.variance * scatter)


def least_squares(x: Sequence[float], y: Sequence[float], weights: Sequence[float] | None = None) -> LinearFit:
    """The line through points (x, y), at least two of which differ in x; weights: one each where none are given."""
    points = list(zip(x, y, weights or [1.0] * len(x), strict=True))
    total = math.fsum(w for *_, w in points)
    x_mean, y_mean = (math.fsum(point[axis] * point[2] for point in points) / total for axis in (0, 1))
    spread = math.fsum(w * (a - x_mean) ** 2 for a, _, w in points)
    slope = math.fsum(w * (a - x_mean) * (b - y_mean) for a, b, w in points) / spread
    rest = math.fsum(w * (b - y_mean - slope * (a - x_mean)) ** 2 for a, b, w in points)
    freedom = len(points) - 2
    return LinearFit(slope, y_mean, x_mean, spread, total, rest / freedom if freedom else 0.0, freedom)


def log_log_slope(x: Sequence[float], y: Sequence[float], confidence: float = 0.95) -> Slope:
    """Least-squares slope of ln y against ln x with Student's t interval: the exponent of growth.

    All x and y must be positive and at least two x differ, else ValueError.
    """
    if len(x) != len(y) or len(set(x)) < 2 or min(*x, *y) <= 0:
        raise ValueError(f"a growth exponent needs positive y at two different positive x, found x={x}, y={y}")
    line = least_squares([math.log(v) for v in x], [math.log(v) for v in y])
    if not line.freedom:
        return Slope(line.slope, None, None)
    margin = student_t_quantile((1 + confidence) / 2, line.freedom) * line.error
    return Slope(line.slope, line.slope - margin, line.slope + margin)


def bootstrap(
    statistic: Callable[..., np.ndarray], *samples: Sequence[float], resamples: int = 2000
) -> tuple[float, float]:
    """95 % percentile-bootstrap interval (Efron & Tibshirani 1993, ch. 13); the same samples give the same numbers.

    Args:
        statistic: takes for each of the samples an array (k, n) of resamples, one a row, and returns k numbers.
        samples: one or several independent samples.
        resamples: how often each sample is drawn anew, with replacement.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    sides = [np.asarray(side, dtype=float) for side in samples]
    draws = [side[rng.integers(len(side), size=(resamples, len(side)))] for side in sides]
    low, high = np.percentile(statistic(*draws), [2.5, 97.5])
    return float(low), float(high)


def ratio_of_medians(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """95 % bootstrap interval of median(b) / median(a), for positive samples."""
    import numpy as np

    return bootstrap(lambda a_draws, b_draws: np.median(b_draws, axis=1) / np.median(a_draws, axis=1), a, b)


@lru_cache(maxsize=1024)
def student_t_quantile(p: float, freedom: int) -> float:
    """The p-quantile, ½ < p < 1, of Student's t with a whole number of degrees of freedom, by bisection of its CDF."""
    low, high = 0.0, 1.0
    while student_t_cdf(high, freedom) < p:
        high *= 2
    for _ in range(80):  # halves the bracket to below a rounding error
        middle = (low + high) / 2
        low, high = (middle, high) if student_t_cdf(middle, freedom) < p else (low, middle)
    return high


def student_t_cdf(t: float, freedom: int) -> float:
    """P(T ≤ t) for t ≥ 0: the finite sums of Abramowitz & Stegun (1964), 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = total = 0.0 if freedom == 1 else (cosine if odd else 1.0)
    for k in range(2 + odd, freedom - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    return 0.5 + ((angle + sine * total) / math.pi if odd else sine * total / 2)


@lru_cache(maxsize=4096)
def _ranks(n: int, q: float, confidence: float) -> tuple[int, int]:
    """Ranks (1 = smallest) of the two order statistics, each end missing the quantile with at most (1−confidence)/2.

    The l-th smallest lies above the quantile with P(X ≤ l−1), the u-th below it with P(X ≥ u), X ~ Binomial(n, q). 0
    and n+1 stand for ends that no sample reaches.
    """
    tail = (1 - confidence) / 2
    return _lower_rank(n, q, tail), n + 1 - _lower_rank(n, 1 - q, tail)


def _lower_rank(n: int, q: float, tail: float) -> int:
    """The largest l with P(X ≤ l−1) ≤ tail, X ~ Binomial(n, q)."""
    if not 0 < q < 1:
        return 0
    below = 0.0
    for successes in range(n + 1):
        log_ways = math.lgamma(n + 1) - math.lgamma(successes + 1) - math.lgamma(n - successes + 1)
        below += math.exp(log_ways + successes * math.log(q) + (n - successes) * math.log1p(-q))
        if below > tail:
            return successes
    return n


def _ordered(samples: Sequence[float], q: float) -> list[float]:
    if not samples:
        raise ValueError("no samples, so no quantile")
    if not 0 <= q <= 1:
        raise ValueError(f"a quantile lies between 0 and 1, found {q}")
    return sorted(samples)
