"""A named number with a unit and a direction, and what was measured of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

Better = Literal["lower", "higher", "none"]
Bound = Literal["lower", "upper"]
Origin = Literal["measured", "counted", "compiled", "modelled", "derived"]

TOPICS: Mapping[str, str] = {
    "gradients": "Vanishing and exploding gradients",
    "short memory": "Short memory",
    "overfitting": "Overfitting",
    "cost": "Cost of long sequences",
    "parallelism": "Limited parallelism",
    "learning": "Learning",
}
"""Groups of quantities, in the order reports tell them: the challenges of recurrent networks, and what was learnt."""


@dataclass(frozen=True)
class Quantity:
    """What a probe can report.

    name: dotted and lower case, for instance `forward.time_per_step`; unit: SI (`s`, `B`, `1/s`, `1`, `step`);
    better: which direction is an improvement, `none` where there is no better; doc: one sentence, shown in reports.
    deterministic: two runs of the same code give the same number, so comparisons are exact instead of statistical.
    headline: rank among the tables people read first, small numbers first; None: only shown where everything is asked
    for. Of a probe that ranks nothing, everything is shown. Ranks below 10 stand in the score card, a row per cell.
    group: the topic that tables and findings file it under: one of `TOPICS`, or a name of the probe's own.
    fallback: name of the quantity that this one stands in for: a headline only where some row has no number for that.
    goal: what it took to reach a goal; a bound `lower` says that the budget ended before.
    selects: setting of which reports show, for each row, the value with the best median of this quantity.
    grows: adds up over the sequence, so that reports tell how it grows with T, and from where on one program is ahead.
    alarm: any number above 0 is told.
    remark: dotted path in `Measurement.details` to a word that stands beside the number.
    negligible: (share, detail): up to this share of a number in the details it says nothing, and has no table.
    title: what tables and sentences call it; empty: its name in words.
    portable: the same on every machine that runs the same program, whatever else that does: losses, steps, gradients,
    counts; never a time or the memory of a process.
    resolution: the least amount that it tells from none: a gate takes smaller ones for equal.

    A run keeps the declarations of its probes (`rnnbench.store.RunFolder.quantities`), so a report needs no plugin.

    Example:
        >>> from rnnbench import Quantity
        >>> Quantity("forward.time", "s", "lower", "Median time of a forward pass.").better
        'lower'
    """

    name: str
    unit: str
    better: Better
    doc: str
    deterministic: bool = False
    headline: int | None = None
    group: str = ""
    fallback: str = ""
    goal: bool = False
    selects: str = ""
    grows: bool = False
    alarm: bool = False
    remark: str = ""
    negligible: tuple[float, str] | None = None
    title: str = ""
    portable: bool = False
    resolution: float = 0.0


@dataclass(frozen=True)
class Value:
    """One measured quantity.

    value: the headline number in the quantity's unit (a median where there are samples), never NaN: what could not be
    measured is left out and explained in a note. low, high: 95 % interval. samples: every raw sample, in the order
    taken. bound: set when the number is only a bound (`lower`: the truth is at least `value`, as for a censored run).
    origin: `measured`, `counted` (from the cell's mathematics), `compiled` (read off a compiler, not run), `modelled`,
    or `derived` from others by a report.

    Example:
        >>> from rnnbench import Value
        >>> Value(2.0e-5, low=1.9e-5, high=2.2e-5).origin
        'measured'
    """

    value: float
    low: float | None = None
    high: float | None = None
    samples: Sequence[float] = ()
    bound: Bound | None = None
    origin: Origin = "measured"


@dataclass(frozen=True)
class Ratio:
    """How many times as much one number is as another, with its 95 % interval, where there is one.

    Example:
        >>> from rnnbench import Ratio
        >>> Ratio(1.2, 1.1, 1.3).apart, Ratio(1.2, 0.9, 1.5).apart, Ratio(1.2).apart
        (True, False, False)
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def apart(self) -> bool:
        """Whether the two are told apart."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


@dataclass(frozen=True)
class Level:
    """Where a number lies beside those of other programs that took turns with this one.

    What the machine did meanwhile hit all of them alike, so that a ratio is known better than either number.

    Attributes:
        scale: Levels can be compared where this is the same.
        log: ln of the number, on the scale.
        error: Standard error of `log`; None where only one process was measured.
        student: 97.5 % quantile of Student's t for that error.

    Example:
        >>> from rnnbench import Level
        >>> one, other = Level("a", 0.0, 0.01, 2.0), Level("a", 0.1, 0.01, 2.0)
        >>> ratio = other.over(one)
        >>> f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})", ratio.apart
        ('1.11 (1.07 to 1.14)', True)
    """

    scale: str
    log: float
    error: float | None
    student: float

    def over(self, other: Level) -> Ratio:
        """How many times as much it is as another number of the same scale."""
        value = math.exp(self.log - other.log)
        if self is other:
            return Ratio(1.0, 1.0, 1.0)
        if self.error is None or other.error is None:
            return Ratio(value)
        margin = math.exp(max(self.student, other.student) * math.hypot(self.error, other.error))
        return Ratio(value, value / margin, value * margin)

    @property
    def inverse(self) -> Level:
        """Of one over the number: of a rate, where this is of a time."""
        return replace(self, log=-self.log)


@dataclass(frozen=True, kw_only=True)
class Reading(Value):
    """A value with what its probe declared about it.

    level: of a number that was measured in lockstep with those of other programs.

    Example:
        >>> from rnnbench import Quantity, Reading
        >>> one = Reading(2.0e-5, quantity=Quantity("train.time", "s", "lower", "Median time of a training step."))
        >>> one.unit, one.better
        ('s', 'lower')
    """

    quantity: Quantity
    level: Level | None = None

    @property
    def number(self) -> float:
        """The value."""
        return self.value

    @property
    def unit(self) -> str:
        """SI."""
        return self.quantity.unit

    @property
    def better(self) -> Better:
        """Which direction is an improvement."""
        return self.quantity.better

    @property
    def resolution(self) -> float:
        """The least amount that it tells from none."""
        return self.quantity.resolution

    @property
    def deterministic(self) -> bool:
        """Whether two runs of the same code were declared to give the same number."""
        return self.quantity.deterministic

    @property
    def exact(self) -> bool:
        """Whether it is compared exactly: declared deterministic, or not measured but counted, compiled or modelled."""
        return self.deterministic or self.origin != "measured"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, with what of the declaration a reader of a single record needs."""
        head = {"unit": self.unit, "better": self.better, "deterministic": self.deterministic}
        return head | {key: getattr(self, key) for key in _VALUE} | {"samples": list(self.samples)}


_VALUE = tuple(field.name for field in fields(Value))


@dataclass(frozen=True)
class Curve:
    """A quantity along an axis, for instance gradient norm against lag.

    x_name, y_name: what stands at the axes, `ln ` in front for natural logarithms. x, y: of one length; None for a
    place without a number.

    Example:
        >>> from rnnbench import Curve
        >>> Curve("lag", "ln gradient norm", (0, 1, 2), (0.0, -0.7, None)).points
        {0: 0.0, 1: -0.7}
    """

    x_name: str
    y_name: str
    x: Sequence[float]
    y: Sequence[float | None]

    @property
    def points(self) -> dict[float, float]:
        """x -> y, where there is a y."""
        return {x: y for x, y in zip(self.x, self.y, strict=True) if y is not None}
