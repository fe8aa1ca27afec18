"""Sentences about growth with T: who overtakes whom, bytes of a further step, what to expect beyond."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from rnnbench.measure.statistics import least_squares
from rnnbench.report import units
from rnnbench.report.findings.finding import Finding
from rnnbench.report.findings.ratios import MAX_RATIO_SPREAD
from rnnbench.report.growth import (
    MIN_LENGTHS,
    MIN_SPAN,
    Crossover,
    Growth,
    Measured,
    beyond,
    crossovers,
    fit,
)
from rnnbench.report.series import Panel, Series
from rnnbench.report.wording import listed


def crossings(panels: Sequence[Panel]) -> Iterator[Finding]:
    """The lengths at which two programs of one contest change places, and where there are none, that; of times."""
    for panel, quantity in growing(panels):
        if panel.quantities[quantity].unit != "s":
            continue
        pairs = list(_pairs(panel, quantity))
        clauses = [
            f"{first.name} is lower up to T≈{units.number(crossing.seq_len, 2)} "
            f"({crossing.low:g}–{crossing.high:g}), {second.name} beyond"
            for a, b, found in pairs
            for crossing in found
            for first, second in [(a, b) if crossing.a_first else (b, a)]
        ]
        if clauses:
            yield Finding(f"{_words(quantity)}, crossovers: {listed(clauses, '; ')}.", _topic(panel, quantity))
        elif pairs:
            text = f"{_words(quantity)}: no crossover of any two programs within the measured lengths."
            yield Finding(text, _topic(panel, quantity))


def per_step(panels: Sequence[Panel]) -> Iterator[Finding]:
    """Bytes per time step where memory is a straight line in T."""
    for panel, quantity in growing(panels):
        if panel.quantities[quantity].unit != "B" or _read_off(panel, quantity):
            continue
        slopes = []
        for series in panel.series:
            points = _numbers(series, quantity)
            if len(points) >= MIN_LENGTHS and points[-1][0] >= MIN_SPAN * points[0][0]:
                found = least_squares(*(list(column) for column in zip(*points, strict=True)))
                if found.slope > 0 and found.error <= 0.1 * found.slope:
                    slopes.append((found.slope, series.name))
        if slopes:
            clauses = [f"{units.quantity(slope, 'B')} ({name})" for slope, name in sorted(slopes)]
            ends = clauses if len(clauses) <= 2 else [clauses[0], clauses[-1]]
            count = f" in {len(clauses)} programs" if len(clauses) > 2 else ""
            text = f"{_words(quantity)} grows per time step by {' to '.join(ends)}{count}."
            yield Finding(text, _topic(panel, quantity))


def modelled(panels: Sequence[Panel]) -> Iterator[Finding]:
    """What to expect at four times the longest length that ran, of what stands in the score card or grows with it."""
    for panel, quantity in growing(panels):
        declared = panel.quantities[quantity]
        *_, length = beyond(panel.lengths[-1])
        clauses = []
        for series in panel.series:
            if (model := fitted(series, quantity)) is None:
                continue
            value = model.predict(length)
            if value.low is not None and value.high is not None and 0 < value.high <= MAX_RATIO_SPREAD * value.low:
                ends = "–".join(units.quantity(end, declared.unit) for end in (value.low, value.high))
                clauses.append(f"{series.name} {units.quantity(value.value, declared.unit)} ({ends})")
        if clauses:
            text = f"Modelled, not run: {units.words(quantity)} at T={length}: {listed(clauses, '; ')}."
            yield Finding(text, _topic(panel, quantity))


KINDS = (crossings, per_step, modelled)


def growing(panels: Sequence[Panel]) -> Iterator[tuple[Panel, str]]:
    """Every quantity that adds up over the sequence."""
    return ((panel, name) for panel in panels for name, one in panel.quantities.items() if one.grows)


def fitted(series: Series, quantity: str) -> Growth | None:
    """The model of one row's exact numbers."""
    return fit(tuple(_numbers(series, quantity)))


def _pairs(panel: Panel, quantity: str) -> Iterator[tuple[Series, Series, list[Crossover]]]:
    """Any two verified rows that solve the same problem at enough common lengths."""
    contests: dict[Any, list[tuple[Series, list[Measured]]]] = defaultdict(list)
    for series in panel.series:
        if series.verified:
            contests[series.contest].append((series, _measured(series, quantity)))
    for contest in contests.values():
        for (a, one), (b, other) in combinations(contest, 2):
            lengths = {point.seq_len for point in one} & {point.seq_len for point in other}
            if len(lengths) >= MIN_LENGTHS and max(lengths) >= MIN_SPAN * min(lengths):
                yield a, b, crossovers(one, other)


def _read_off(panel: Panel, quantity: str) -> bool:
    """Whether no number of it was measured: what a compiler says needs no second sentence."""
    readings = (record.quantities.get(quantity) for record in panel.ran)
    return all(one.origin != "measured" for one in readings if one is not None)


def _measured(series: Series, quantity: str) -> list[Measured]:
    points = [(length, entry) for length, entry in series.points(quantity) if entry.bound is None]
    return [Measured(float(length), entry.number, entry.low, entry.high) for length, entry in points]


def _numbers(series: Series, quantity: str) -> list[tuple[float, float]]:
    return [(float(length), entry.number) for length, entry in series.points(quantity) if entry.bound is None]


def _topic(panel: Panel, quantity: str) -> str:
    return panel.quantities[quantity].group or panel.probe


def _words(quantity: str) -> str:
    words = units.words(quantity)
    return words[0].upper() + words[1:]
