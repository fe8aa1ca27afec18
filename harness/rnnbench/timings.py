"""How long a call took, and the numbers that are the same measurement in another unit.

A probe hands back each timing once. Time per step, tokens per second and FLOP/s are *views* of it: they are worked out
whenever a record is read, and never kept as samples of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from rnnbench.quantity import Value

Stopped = Literal["width", "budget", "samples", "turns", ""]
STOPPED: tuple[str, ...] = get_args(Stopped)


@dataclass(frozen=True)
class Interval:
    """A sample quantile and its confidence interval, in the unit of the samples.

    reached: whether the interval has the confidence asked for. With too few samples (fewer than 6 for a median at 95 %)
    none has: it is then the whole range as far as it goes, and covers less.

    Example:
        >>> from rnnbench import Interval
        >>> f"{Interval(1.0, 0.99, 1.02, reached=True).relative_width:.2f}"
        '0.03'
    """

    value: float
    low: float
    high: float
    reached: bool

    @property
    def relative_width(self) -> float:
        """(high − low) / |value|; infinite where the interval has not the confidence asked for, or value is 0."""
        return (self.high - self.low) / abs(self.value) if self.reached and self.value else math.inf


@dataclass(frozen=True)
class Timing:
    """What one process measured of one call. All times in seconds.

    `rnnbench.timing.measure` makes one; a probe with a clock of its own gives at least the first two fields.

    Attributes:
        samples: Seconds per call, in the order taken. None is ever dropped.
        interval: Median of the samples with its 95 % interval.
        number: Calls per sample.
        first_call: The very first call, which compiles and allocates; 0 where it was not timed.
        stopped: Why sampling ended: `width` reached, `budget` spent, `samples`, the most that are kept, or `turns`: the
            process that took turns with this one had stopped. Empty where nothing is known.
        steady: False where the samples drift, None where they are too few to tell.
        drift: Relative change from their first half to their second, 0 where there is no trend.
        warmup_calls: Calls after the first and before the first sample.
        contaminated: Indices of samples during which other work took more than 1 % of the time.
        discarded: Samples taken again because the clock had not moved forward.
        clock_share: Of the median sample, what reading the clock may have added.
        cycles: Of processes that take turns, in which turn each sample was taken; samples of equal number stand beside
            each other. Empty where the process had the machine to itself.
        notes: Sentences on whatever of this a reader must know. The probe takes those it wants into its own notes; a
            record does not keep them a second time.

    Example:
        >>> from rnnbench import Timing, View, median_interval
        >>> samples = (0.010, 0.011, 0.012)
        >>> timing = Timing(samples, median_interval(samples))
        >>> View("forward", 64 * 16, inverse=True).of({"forward": timing}).value  # tokens/s of 64 steps, 16 sequences
        93090.9090909091
    """

    samples: tuple[float, ...]
    interval: Interval
    number: int = 1
    first_call: float = 0.0
    stopped: Stopped = ""
    steady: bool | None = None
    drift: float = 0.0
    warmup_calls: int = 0
    contaminated: tuple[int, ...] = ()
    discarded: int = 0
    clock_share: float = 0.0
    cycles: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def median(self) -> float:
        """Seconds per call."""
        return self.interval.value

    def value(self, scale: float = 1.0) -> Value:
        """As a quantity, every time multiplied by `scale`: 1/T for seconds per time step."""
        low, high = self.interval.low * scale, self.interval.high * scale
        samples = self.samples if scale == 1 else tuple([sample * scale for sample in self.samples])
        return Value(self.median * scale, low, high, samples)

    def rate(self, amount: float) -> Value:
        """`amount` per second, tokens of a call say: the same median, interval and samples the other way round."""
        low, high = (amount / end if end else None for end in (self.interval.high, self.interval.low))
        return Value(amount / self.median, low, high, tuple([amount / sample for sample in self.samples]))


@dataclass(frozen=True)
class View:
    """A quantity that is a timing in another unit: factor · t, or factor / t where it is `inverse`.

    timing: its name in `Measurement.timings`.

    Example:
        >>> from rnnbench import View
        >>> View("train"), View("train", 1 / 64), View("train", 64 * 16, inverse=True)  # time, per step, tokens/s
        (View(timing='train', factor=1.0, inverse=False), View(timing='train', factor=0.015625, inverse=False), \
View(timing='train', factor=1024, inverse=True))
    """

    timing: str
    factor: float = 1.0
    inverse: bool = False

    def of(self, timings: Mapping[str, Timing]) -> Value:
        """The number, with the median's interval and every sample. Raises KeyError where there is no such timing."""
        timing = timings[self.timing]
        return timing.rate(self.factor) if self.inverse else timing.value(self.factor)
