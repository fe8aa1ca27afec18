"""A named number with a unit and a direction, and what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Better = Literal["lower", "higher", "none"]
Bound = Literal["lower", "upper"]


@dataclass(frozen=True)
class Quantity:
    """What a probe can report.

    name: dotted and lower case, for instance `forward.time_per_step`; unit: SI (`s`, `B`, `1/s`, `1`, `step`);
    better: which direction is an improvement, `none` where there is no better; doc: one sentence, shown in reports.
    deterministic: two runs of the same code give the same number, so comparisons are exact instead of statistical.
    headline: rank among the tables people read first, small numbers first; None: only shown where everything is.
    group: the topic a report files it under, `speed` or `memory` say; empty: the probe's own.
    fallback: name of the quantity that is shown in its place where it is missing; that one needs no rank of its own.

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


@dataclass(frozen=True)
class Value:
    """One measured quantity.

    value: the headline number in the quantity's unit (a median where there are samples), never NaN: what could not be
    measured is left out and explained in a note. low, high: 95 % interval. samples: every raw sample, in the order
    taken. bound: set when the number is only a bound (`lower`: the truth is at least `value`, as for a censored run).
    origin: `measured`, `counted` (from the cell's mathematics), `compiled` (read off a compiler, not run), `modelled`,
    or `derived` from others by a report.
    """

    value: float
    low: float | None = None
    high: float | None = None
    samples: Sequence[float] = ()
    bound: Bound | None = None
    origin: Literal["measured", "counted", "compiled", "modelled", "derived"] = "measured"


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


@dataclass(frozen=True)
class Measurement:
    """What a probe hands back for one case.

    values: by the names of the probe's `quantities`; a name that they do not declare is an error. curves: by name.
    notes: sentences that a reader of the numbers must know. details: JSON values for whoever looks closer.

    Example:
        >>> from rnnbench import Measurement, Value
        >>> Measurement({"forward.time": Value(0.012, low=0.011, high=0.013)}, notes=["one sample"]).values.keys()
        dict_keys(['forward.time'])
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    notes: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
