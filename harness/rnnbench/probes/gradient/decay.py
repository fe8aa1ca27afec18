"""What norms of gradients against lag say in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnbench.measure.statistics import median_interval, student_t_quantile
from rnnbench.quantity import Curve, Value

if TYPE_CHECKING:
    import numpy as np

POINTS = 200
"""Lags kept of a curve: enough to draw, few enough to store."""
FADED = 1e-3
"""A gradient below this share of what it was at the shortest lag no longer reaches: 0.1 % of a learning signal drowns
in the noise of any mini-batch, and this many learning rates lie between what still trains and what diverges."""
MIN_LAGS = 8
"""Lags that each half of a fit needs before it can contradict the other."""
QUANTILES = {"q10": 0.1, "median": 0.5, "q90": 0.9}


@dataclass(frozen=True)
class Decay:
    """rate: per step of lag, with low and high; None where too few lags have a gradient. reach: in steps, at least so
    many where `reaches_all`. grown_after: steps from the shortest lag to where the mean has grown by 1/FADED, read off
    the curve; None where it never has. broken_from, zero_from: first lag with an infinite or NaN gradient, with an
    exactly zero one.
    """

    rate: Value | None
    reach: float
    reaches_all: bool
    grown_after: float | None
    broken_from: int | None
    zero_from: int | None


def summarise(
    log_norms: np.ndarray, draws: int = 1, one_orbit: bool = False
) -> tuple[Decay, dict[str, Value], dict[str, Curve], list[str]]:
    """What the natural logarithms of norms (T, B), row k−1 at lag k, say: (decay, values, curves, notes).

    The columns are `draws` groups of equally many sequences, one for each draw of the weights; one_orbit: the sequences
    of a draw have the same states, and count once. decay_rate: slope of the
    mean of ln‖dL/ds‖ per step of lag, by least squares over the second half of the lags up to the last one where the
    gradient is not exactly zero (the first half holds the transient). half_life: ln 2 / −decay_rate, left out where the
    gradient does not decay, or not at one rate: the slopes over the two halves of those lags differ twofold, or the
    scatter around the line is larger than its fall.
    reach: per sequence the largest lag with more than FADED of the norm at lag 1, the median
    over sequences. nonfinite_share: share of (t, b) where it is infinite or not a number.
    """
    import numpy as np

    alive, dead = np.isfinite(log_norms), np.isneginf(log_norms)
    values = {"nonfinite_share": Value(float(np.mean(~alive & ~dead)))}
    notes = []
    counts = alive.sum(axis=1)
    mean = np.where(alive, log_norms, 0.0).sum(axis=1) / np.maximum(counts, 1)
    lags = np.flatnonzero(counts == log_norms.shape[1]) + 1
    zero_from = _first(dead)
    if zero_from is not None:
        values["zero_from_lag"] = Value(float(zero_from))
        notes.append(f"the gradient is exactly zero in {np.mean(dead):.0%} of steps and sequences")
    late = lags[lags > (lags[-1] // 2 if len(lags) else 0)]
    rate = None
    if len(late) >= 3:
        rate = _slope(late, log_norms[late - 1], draws, one_orbit)
        values |= {"decay_rate": rate}
        halves = [late[: len(late) // 2], late[len(late) // 2 :]]
        if _falls(late, mean[late - 1], rate.value) and (
            len(late) < 2 * MIN_LAGS or _alike(*(_slope(half, log_norms[half - 1], draws).value for half in halves))
        ):
            values |= _half_life(rate)
        elif rate.value < -1e-12:
            notes.append("no half-life: the gradient does not fade at one rate, its first and second half differ")
    values |= {"log_norm_at_full_lag": Value(float(mean[-1]))} if counts[-1] else {}
    values["reach"] = reach(log_norms, 1)
    risen = np.where(counts > 0, mean - mean[0], -np.inf) if counts[0] else np.zeros(1)
    bound = values["reach"].bound == "lower"
    decay = Decay(rate, values["reach"].value, bound, _crossing(risen), _first(~alive & ~dead), zero_from)
    return decay, values, curves(log_norms, 1, "log_norm", "ln ‖dL/ds‖"), notes


def _crossing(risen: np.ndarray) -> float | None:
    """Steps after which `risen`, by step, is ln 1/FADED, between two of them in proportion; None for never."""
    import numpy as np

    above = np.flatnonzero(risen >= -math.log(FADED))
    if not len(above):
        return None
    step = int(above[0])
    before, after = risen[step - 1], risen[step]
    return step - float((after + math.log(FADED)) / (after - before)) if np.isfinite(before) else float(step)


def _first(where: np.ndarray) -> int | None:
    """The first lag with a True, or None."""
    import numpy as np

    rows = np.flatnonzero(where.any(axis=1))
    return int(rows[0]) + 1 if len(rows) else None


def _slope(lags: np.ndarray, log_norms: np.ndarray, draws: int, one_orbit: bool = False) -> Value:
    """Slope per sequence: their mean, and a 95 % interval (Student's t) over the draws, or over the sequences of one.

    Sequences that share weights are not independent of each other, so with several draws only those count. There is no
    interval of one draw with one sequence, nor with several that see the same states.
    """
    import numpy as np

    centred = lags - lags.mean()
    slopes = centred @ log_norms / (centred @ centred)
    independent = slopes.reshape(draws, -1).mean(axis=1) if draws > 1 or one_orbit else slopes
    rate, samples = float(slopes.mean()), tuple(map(float, slopes))
    if (count := len(independent)) < 2:
        return Value(rate, samples=samples)
    half_width = float(student_t_quantile(0.975, count - 1) * np.std(independent, ddof=1) / math.sqrt(count))
    return Value(rate, rate - half_width, rate + half_width, samples)


def _falls(lags: np.ndarray, mean: np.ndarray, rate: float) -> bool:
    """Whether the line goes down by more than what is measured scatters around it."""
    import numpy as np

    residuals = mean - mean.mean() - rate * (lags - lags.mean())
    return -rate * (lags[-1] - lags[0]) > float(np.sqrt(np.mean(residuals**2)))


def _alike(one: float, other: float) -> bool:
    """Whether two rates of decay are one, within a factor of two."""
    return one < 0 and other < 0 and 0.5 <= one / other <= 2.0


def _half_life(rate: Value) -> dict[str, Value]:
    if rate.value >= -1e-12:
        return {}
    low, high = (math.log(2) / -end if end is not None and end < 0 else None for end in (rate.low, rate.high))
    return {"half_life": Value(math.log(2) / -rate.value, low, high)}


def reach(log_norms: np.ndarray, first_lag: int) -> Value:
    """Median over sequences of the largest lag with a norm above FADED of that at the first lag that has any.

    A bound where the median sequence still has it at the longest lag measured; first_lag − 1 without any gradient.
    """
    import numpy as np

    last = first_lag + len(log_norms) - 1
    found = []
    for column in log_norms.T:
        starts = np.flatnonzero(~np.isneginf(column))
        with np.errstate(invalid="ignore"):
            above = np.flatnonzero(column - column[starts[0]] > math.log(FADED)) if len(starts) else starts
        found.append(float(first_lag + above[-1]) if len(above) else float(first_lag - 1))
    interval = median_interval(found)
    low, high = (interval.low, interval.high) if len(found) > 1 else (None, None)
    return Value(interval.value, low, high, tuple(found), bound="lower" if interval.value >= last else None)


def curves(log_norms: np.ndarray, first_lag: int, name: str, y_name: str) -> dict[str, Curve]:
    """The mean over sequences and its quantiles, at up to POINTS lags spaced evenly on a logarithmic axis.

    The mean is over the sequences where the gradient is finite and not zero, None where there is none; quantiles are
    over all sequences that are not NaN, None where they are infinite.
    """
    import numpy as np

    T = len(log_norms)
    rows = np.unique(np.geomspace(1, T, min(POINTS, T)).round().astype(int)) - 1
    lags = [first_lag + int(row) for row in rows]
    alive = np.isfinite(log_norms)
    mean: list[float | None] = [float(log_norms[row][alive[row]].mean()) if alive[row].any() else None for row in rows]
    found = {name: Curve("lag", y_name, lags, mean)}
    ordered = [np.sort(log_norms[row][~np.isnan(log_norms[row])]) for row in rows]
    for label, q in QUANTILES.items():
        found[f"{name}.{label}"] = Curve("lag", y_name, lags, [_order_statistic(values, q) for values in ordered])
    return found


def _order_statistic(ordered: np.ndarray, q: float) -> float | None:
    """The smallest value with at least a share q at or below it; between −∞ and a number nothing can be averaged."""
    if not len(ordered):
        return None
    value = float(ordered[max(0, math.ceil(q * len(ordered)) - 1)])
    return value if math.isfinite(value) else None
