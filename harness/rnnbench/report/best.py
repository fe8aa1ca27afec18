"""Which number of a column is best, and which cannot be told from it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rnnbench.report.series import Entry, Series, ratio
from rnnbench.report.units import number

BEST = "best of rows that differ only in cell, program and device, and those not told from it"


def mark_best(series: Sequence[Series], rows: Sequence[list[Entry]], better: str) -> list[list[Entry]]:
    """Mark, per column and contest, the best entry and all that lie within its interval or print the same.

    Nothing is marked where there is no contest: no direction, fewer than two numbers, all alike, or a competitor that
    ran but has no such number (a gradient that never halves has no half-life, and is not worse for it). Unverified
    rows do not compete, and a number that may be arbitrarily worse than it looks (a censored one) is never best.
    """
    rows = [list(row) for row in rows]
    if better == "none" or not rows:
        return rows
    contests: dict[Any, list[int]] = defaultdict(list)
    for index, one in enumerate(series):
        if one.verified:
            contests[one.contest].append(index)
    for members in contests.values():
        for column in range(len(rows[0])):
            entrants = [(index, rows[index][column]) for index in members if competes(rows[index][column])]
            for index in winners(entrants, better):
                rows[index][column] = replace(rows[index][column], best=True)
    return rows


def competes(entry: Entry) -> bool:
    """Whether it ran; a number of too few samples, or of which nothing is sure, is in no contest."""
    return entry.ran and (entry.value is None or entry.counts)


def winners(entrants: Sequence[tuple[int, Entry]], better: str) -> list[int]:
    """Which of some (index, entry) are best, or cannot be told from the best."""
    if len(entrants) < 2 or any(entry.value is None for _, entry in entrants):
        return []
    bad_side = "lower" if better == "lower" else "upper"
    exact = [(index, entry) for index, entry in entrants if entry.bound != bad_side]
    if not exact:
        return []
    sign = 1 if better == "lower" else -1
    _, top = min(exact, key=lambda item: sign * _number(item[1]))
    if any(sign * _number(entry) < sign * _number(top) for _, entry in entrants if entry.bound == bad_side):
        return []  # a run that was cut off early might have come out better
    winners = [index for index, entry in exact if _within(entry, top)]
    return winners if len(winners) < len(entrants) else []


def _number(entry: Entry) -> float:
    return math.nan if entry.value is None else entry.value


def _within(entry: Entry, top: Entry) -> bool:
    """Whether a number is not told from the best: where the two were measured in lockstep, their ratio's interval holds
    1; else it lies in the interval of the best, or has the same three digits.
    """
    if (known := ratio(entry, top)) and known.low is not None:
        return not known.apart
    low, high = (_number(top) if end is None else end for end in (top.low, top.high))
    return low <= _number(entry) <= high or number(_number(entry)) == number(_number(top))
