"""Whether two numbers are told apart, and by which factor."""

from __future__ import annotations

from rnnbench.report import units
from rnnbench.report.series import Entry, ratio

MAX_RATIO_SPREAD = 1.5
"""Where the ends of a ratio's interval differ by more than this factor, only the lower one is told."""


def ratio_text(a: Entry, b: Entry) -> str:
    """a / b for a > b > 0: `1.8`, with its interval `1.8 (1.7–1.9)`, or where that is wide `at least 1.7`.

    The interval is that of the ratio where the two were measured in lockstep, else the widest both allow: [a.low /
    b.high, a.high / b.low]. Empty where the intervals overlap or lack,
    and where all that is sure is a factor that prints as one.
    """
    if not (a.counts and b.counts) or a.bound or b.bound:
        return ""
    ends = _ends(a, b)
    if ends is None or ends[0] <= 1:
        return ""
    low, high = ends
    if high > MAX_RATIO_SPREAD * low:
        return f"at least {units.factor(low)}" if units.factor(low) != units.factor(1) else ""
    text = units.factor(a.number / b.number)
    bounds = units.factor(low), units.factor(high)
    return text if bounds == (text, text) else f"{text} ({bounds[0]}–{bounds[1]})"


def _ends(a: Entry, b: Entry) -> tuple[float, float] | None:
    """Of the interval of a / b."""
    if known := ratio(a, b):
        return None if known.low is None or known.high is None else (known.low, known.high)
    if a.low is None or a.high is None or b.low is None or b.high is None or b.low <= 0:
        return None
    return a.low / b.high, a.high / b.low


def apart(a: Entry, b: Entry) -> bool:
    """Whether two numbers are told apart: where they were measured in lockstep, the interval of their ratio leaves out
    1; else their intervals, or their ranges over repetitions, have nothing in common.

    Numbers without are told apart only where they say of themselves that they are exact, which no entry does.
    """
    if a.counts and b.counts and (known := ratio(a, b)):
        return known.apart
    if not (a.counts and b.counts) or a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.high < b.low or b.high < a.low
