"""Has it settled: whether a sequence of times still goes anywhere.

A sequence is unsteady when it has a trend that is both *real* (Mann-Kendall: more pairs in one order than chance puts
there; Mann 1945, Kendall 1975) and *matters* (the medians of its two halves differ by more than a tolerance). Either
alone misleads: with many samples a trend of 0.01 % is real, and with noise of 10 % two halves differ by 3 % for
nothing. The rank test sees steps as well as slopes and does not mind outliers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

LEAST = 10
"""Below this many values even a plain step (five high, five low) is not significant, so there is no verdict."""

BLOCKS = 20
"""Longer sequences are condensed to the medians of this many blocks: less noise, neighbours less correlated."""

SIGNIFICANT = 1.96
"""Two-sided 5 %. A false alarm costs a longer warm-up; a trend that is missed costs a wrong number."""


def drift(times: Sequence[float], tolerance: float) -> float | None:
    """Relative change from the first half to the second, 0 where there is no trend that is real and matters.

    None for fewer than `LEAST` values: too few to tell.
    """
    if len(times) < LEAST:
        return None
    half = len(times) // 2
    before, after = median(times[:half]), median(times[half:])
    change = (after - before) / before if before else 0.0
    return change if abs(change) > tolerance and abs(trend(_condensed(times))) > SIGNIFICANT else 0.0


def trend(values: Sequence[float]) -> float:
    """Mann-Kendall's z: about standard normal for independent values in random order, > 0 for a rise."""
    n = len(values)
    score = sum((b > a) - (b < a) for i, a in enumerate(values) for b in values[i + 1 :])
    deviation = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return math.copysign(max(abs(score) - 1, 0), score) / deviation


def _condensed(times: Sequence[float]) -> list[float]:
    """At most `BLOCKS` values: medians of successive blocks of nearly equal length."""
    count = min(len(times), BLOCKS)
    edges = [i * len(times) // count for i in range(count + 1)]
    return [median(times[a:b]) for a, b in pairwise(edges)]
