"""How a number grows with the sequence length T: its exponent, where two rows change places, what to expect beyond.

Two models, both straight lines by least squares with relative errors, both of two parameters, so the better fit wins:

    power      y = c·T^p        ln y against ln T
    overhead   y = α + β·T      y against T, weighted by 1/y²; α, β > 0: a fixed cost per call hides the slope 1

The intervals are Student's t with n − 2 degrees of freedom (Draper & Smith 1998, *Applied Regression Analysis*, section
1.4; for a new observation, 1.4.8). They hold if the model does: a prediction is `modelled`, never measured, and a cache
or a memory limit beyond the lengths measured is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

from rnnbench.measure.statistics import LinearFit, Slope, least_squares, log_log_slope
from rnnbench.quantity import Value

MIN_LENGTHS, MIN_SPAN = 3, 4
"""A trend with T is stated for at least so many lengths, the longest at least so many times the shortest."""
POOR = 0.02
"""A power law that misses its points by more than this, root mean square, gives way to an overhead that fits better."""
CLEAR = 0.05
"""Numbers without intervals have to differ by more than this to be called different."""

Points = tuple[tuple[float, float], ...]
"""(T, y) pairs, y > 0."""


@dataclass(frozen=True)
class Growth:
    """A fitted model. exponent: of the power law, whichever model fits better. misfit: root mean square of the relative
    residuals of the chosen model (n − 2 in the denominator). shortest, longest: the lengths it rests on.
    """

    model: Literal["power", "overhead"]
    exponent: Slope
    misfit: float
    shortest: float
    longest: float
    line: LinearFit

    def __call__(self, seq_len: float) -> float:
        """y(T)."""
        return math.exp(self.line(math.log(seq_len))) if self.model == "power" else self.line(seq_len)

    @property
    def overhead(self) -> float:
        """α, in the unit of y; only of the model `overhead`."""
        return self.line(0.0)

    @property
    def per_step(self) -> float:
        """β, in the unit of y per time step; only of the model `overhead`."""
        return self.line.slope

    def predict(self, seq_len: float) -> Value:
        """What to expect of a measurement at T, with its 95 % interval; origin `modelled`."""
        y = self(seq_len)
        if self.model == "power":
            factor = math.exp(min(self.line.margin(math.log(seq_len), 1.0), 700.0))
            low, high = y / factor, y * factor
        else:
            margin = self.line.margin(seq_len, y * y)
            low, high = max(0.0, y - margin), y + margin
        return Value(y, low, high, origin="modelled")


@lru_cache(maxsize=65536)
def fit(points: Points) -> Growth | None:
    """The model of some measured points; None for fewer than MIN_LENGTHS lengths, a span below MIN_SPAN, or y ≤ 0."""
    lengths = {T for T, _ in points}
    if len(lengths) < MIN_LENGTHS or max(lengths) < MIN_SPAN * min(lengths) or any(y <= 0 for _, y in points):
        return None
    exponent = log_log_slope([T for T, _ in points], [y for _, y in points])
    power = least_squares([math.log(T) for T, _ in points], [math.log(y) for _, y in points])
    chosen = Growth("power", exponent, math.sqrt(power.variance), min(lengths), max(lengths), power)
    if chosen.misfit > POOR:
        line = least_squares([T for T, _ in points], [y for _, y in points], [1 / y**2 for _, y in points])
        misfit = math.sqrt(line.variance)
        if line(0.0) > 0 and line.slope > 0 and misfit < chosen.misfit:
            return Growth("overhead", exponent, misfit, min(lengths), max(lengths), line)
    return chosen


class Measured(NamedTuple):
    """A number at one length, with its 95 % interval where it has one."""

    seq_len: float
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """Its own, or what CLEAR makes of the bare number."""
        if self.low is None or self.high is None:
            return self.value / (1 + CLEAR / 2), self.value * (1 + CLEAR / 2)
        return self.low, self.high


class Crossover(NamedTuple):
    """Where two rows change places. seq_len: estimated. low, high: the neighbouring measured lengths at which one, then
    the other, is clearly the lower: the crossing lies between them whatever the model. a_first: whether it is a that is
    the lower one before.
    """

    seq_len: float
    low: float
    high: float
    a_first: bool


def crossovers(a: Sequence[Measured], b: Sequence[Measured]) -> list[Crossover]:
    """Every length at which the lower of two rows becomes the higher one, within the lengths both have measured.

    Lengths at which neither is clearly lower (their intervals overlap), or one is not positive, count for nobody. The
    estimate is where the fitted models meet if they do so in between, else where the ratio is 1, ln ratio linear in
    ln T.
    """
    others = {point.seq_len: point for point in b if point.value > 0}
    common = [(point, others[point.seq_len]) for point in sorted(a) if point.seq_len in others and point.value > 0]
    clear = [(one, other) for one, other in common if _sign(one, other)]
    found = []
    for (a_low, b_low), (a_high, b_high) in pairwise(clear):
        if _sign(a_low, b_low) != _sign(a_high, b_high):
            at = _meeting(a, b, a_low.seq_len, a_high.seq_len)
            if at is None:
                at = _interpolated(a_low, b_low, a_high, b_high)
            found.append(Crossover(at, a_low.seq_len, a_high.seq_len, _sign(a_low, b_low) < 0))
    return found


def _sign(a: Measured, b: Measured) -> int:
    """−1 where a is clearly lower, +1 where b is, 0 where that is open."""
    (a_low, a_high), (b_low, b_high) = a.interval, b.interval
    return -1 if a_high < b_low else 1 if b_high < a_low else 0


def _meeting(a: Sequence[Measured], b: Sequence[Measured], low: float, high: float) -> float | None:
    """Where two fitted models are equal between low and high, by bisection; None where they are not."""
    one, other = (fit(tuple((point.seq_len, point.value) for point in row)) for row in (a, b))
    if one is None or other is None or (one(low) < other(low)) == (one(high) < other(high)):
        return None
    below = one(low) < other(low)
    for _ in range(60):  # far below a step
        middle = math.sqrt(low * high)
        low, high = (middle, high) if (one(middle) < other(middle)) == below else (low, middle)
    return high


def _interpolated(a_low: Measured, b_low: Measured, a_high: Measured, b_high: Measured) -> float:
    before, after = (math.log(a.value / b.value) for a, b in ((a_low, b_low), (a_high, b_high)))
    share = before / (before - after)
    return a_low.seq_len * (a_high.seq_len / a_low.seq_len) ** share


def beyond(longest: int) -> Iterator[int]:
    """The lengths that reports predict: twice and four times the longest measured."""
    yield from (2 * longest, 4 * longest)
