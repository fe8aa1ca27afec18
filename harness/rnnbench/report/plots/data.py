"""What a line shows: numbers against the sequence length, measured curves, losses of several seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rnnbench import quantity
from rnnbench.record import Record
from rnnbench.report.series import Group, Panel, Series

PARTS = ("q10", "median", "q90")
"""Last words of curves that belong to another one: its quantiles."""
FLOAT32_ZERO = math.log10(2.0**-149)
"""log₁₀ of the smallest number above 0 in float32: what is below it trains nothing."""


class PlotCurve(NamedTuple):
    """A measured curve. y: NaN where there is no number."""

    x_name: str
    y_name: str
    x: list[float]
    y: list[float]


def curve(series: Series, name: str) -> tuple[list[int], list[float], list[float], list[float]]:
    """(lengths, values, reach of the interval below and above) in SI units.

    A length that was tried and gave no number is NaN, which breaks the line there: nothing is drawn across a failure.
    """
    x, y, below, above = [], [], [], []
    for length in sorted(series.groups):
        entry = series.groups[length].entry(name)
        value = entry.number
        x.append(length)
        y.append(value)
        below.append(0.0 if entry.low is None else max(0.0, value - entry.low))
        above.append(0.0 if entry.high is None else max(0.0, entry.high - value))
    return (x, y, below, above) if any(math.isfinite(value) for value in y) else ([], [], [], [])


def curve_names(panel: Panel) -> list[str]:
    """The measured curves of a panel, without the quantiles of others."""
    names = dict.fromkeys(name for record in records_of(panel.series) for name in record.curves)
    return [name for name in names if name.rpartition(".")[2] not in PARTS]


def longest_curve(series: Series, name: str) -> PlotCurve | None:
    """A curve at the longest length that has it, the median over its seeds; None where no length has it."""
    for length in sorted(series.groups, reverse=True):
        found = [record.curves[name] for record in series.groups[length].records if name in record.curves]
        if found:
            first = found[0]
            alike = [one.y for one in found if list(one.x) == list(first.x)]
            y = [_median(column) for column in zip(*alike, strict=True)]
            return PlotCurve(first.x_name, first.y_name, list(first.x), y)
    return None


def losses(group: Group, name: str) -> tuple[list[float], list[list[float]]]:
    """`held_losses` of the seeds of a group."""
    return held_losses([record.curves[name] for record in group.records if name in record.curves])


def held_losses(curves: Sequence[quantity.Curve]) -> tuple[list[float], list[list[float]]]:
    """(steps, at each step the loss of every seed). A seed that stopped because it was done keeps its last loss."""
    known = [points for one in curves if (points := one.points)]
    steps = sorted(set().union(*known))
    steps = [step for step in steps if all(step >= min(points) for points in known)]
    losses = [[points[max(x for x in points if x <= step)] for points in known] for step in steps]
    return steps, losses


def records_of(series: Iterable[Series]) -> Iterator[Record]:
    """All records of some series."""
    return (record for one in series for group in one.groups.values() for record in group.records)


def _median(column: Sequence[float | None]) -> float:
    known = [value for value in column if value is not None]
    return statistics.median(known) if known else math.nan
