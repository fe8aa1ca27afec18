"""How well two runs agree on ratios of rows."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rnnbench.quantity import Level
from rnnbench.record import Record

APART = 1.1
"""Rows whose times differ by this factor should be told apart."""


@dataclass(frozen=True)
class Agreement:
    """Of all pairs of rows of a column that both runs have.

    moved, moved_p90: by what share the ratio of two rows differs between the runs, median and 90 % quantile. overlap:
    share of the pairs whose intervals overlap. apart: share told apart in both runs, of those that are `APART`.
    contradictions: pairs told apart in both, in opposite order. width: median of the relative widths of the intervals.
    """

    pairs: int
    moved: float
    moved_p90: float
    overlap: float
    apart: float
    contradictions: int
    width: float

    def __str__(self) -> str:
        return (
            f"{self.pairs} pairs: ratios moved by {self.moved:.1%} (p90 {self.moved_p90:.1%}), "
            f"{self.overlap:.1%} of the intervals overlap, "
            f"{self.apart:.1%} of pairs {APART:g} apart told apart in both, "
            f"{self.contradictions} contradictions; intervals {self.width:.1%} wide"
        )


def columns(records: Sequence[Record], suffix: str = ".time") -> dict[tuple[str, int], dict[str, Level]]:
    """(quantity, T) -> row -> level."""
    found: dict[tuple[str, int], dict[str, Level]] = defaultdict(dict)
    for record in records:
        row = f"{record.case.cell} {record.case.backend}/{record.implementation}"
        for name, reading in record.quantities.items():
            if name.endswith(suffix) and reading.level is not None:
                found[name, record.case.seq_len][row] = reading.level
    return found


def agreement(a: Sequence[Record], b: Sequence[Record], suffix: str = ".time") -> Agreement:
    """Of two runs of one suite."""
    one, other = columns(a, suffix), columns(b, suffix)
    moved, overlap, widths, agreeing = [], [], [], []
    contradictions = 0
    for column in one.keys() & other.keys():
        for x, y in _pairs(one[column], other[column]):
            first, second = (run[column][y].over(run[column][x]) for run in (one, other))
            moved.append(abs(math.log(first.value / second.value)))
            if first.low is None or first.high is None or second.low is None or second.high is None:
                continue
            overlap.append(first.low <= second.high and second.low <= first.high)
            widths.append((first.high - first.low) / first.value)
            both = first.apart and second.apart
            if abs(math.log(first.value)) >= math.log(APART):
                agreeing.append(both)
            contradictions += both and (first.value > 1) != (second.value > 1)
    return Agreement(
        len(moved),
        float(np.median(moved)),
        float(np.quantile(moved, 0.9)),
        float(np.mean(overlap)),
        float(np.mean(agreeing)),
        contradictions,
        float(np.median(widths)),
    )


def _pairs(a: dict[str, Level], b: dict[str, Level]) -> Iterator[tuple[str, str]]:
    rows = sorted(a.keys() & b.keys())
    return ((x, y) for x, y in itertools.combinations(rows, 2) if a[x].scale == a[y].scale)
