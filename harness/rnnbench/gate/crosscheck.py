"""Samples of a process beside the turns in which they were taken, by the gate's own clock.

A process reads its own clock, and code that is measured can change what that says, or what is made of it. The gate
reads its own when it gives a turn and when it gets it back. What a turn takes beside the sample, some tenths of a
millisecond of handing over, is alike on both sides; on a busy machine both wait longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rnnbench.part import Part

MAX_SHARE_APART = 0.1
"""Share of a turn by which what is left of it on the two sides may differ."""

MAX_SECONDS_APART = 3e-3
"""Seconds by which it may differ whatever the turn: a process that sleeps is woken late on a busy machine."""

LEAST = 5
"""Turns of a measurement that tell something."""


def left_over(part: Part, turns: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    """By timing, the median seconds of its turns that are not in its samples, and the median turn.

    Args:
        part: What the process says.
        turns: Of each measurement in lockstep, seconds of each turn by the gate's clock.

    Returns:
        Nothing for timings whose turns cannot be told: with several samples a turn, or taken outside of lockstep.
    """
    measured = [each for each in turns if each]
    if len(measured) != len(part.timings):
        return {}
    found = {}
    for (name, timing), each in zip(part.timings.items(), measured, strict=True):
        if len(each) >= LEAST and not timing.cycles:
            turn = median(each)
            found[name] = [turn - median(timing.samples) * timing.number, turn]
    return found


def apart(base: Sequence[Sequence[float]], head: Sequence[Sequence[float]]) -> str:
    """Whether two sides have it from unlike clocks, in words; empty where they have not. Both: `left_over` by pair."""
    differences = [own[0] - other[0] for own, other in zip(head, base, strict=True)]
    turn = median(min(own[1], other[1]) for own, other in zip(head, base, strict=True))
    found = median(differences)
    if abs(found) <= max(MAX_SECONDS_APART, MAX_SHARE_APART * turn):
        return ""
    side, rest = ("head", head) if found > 0 else ("base", base)
    seconds, whole = (median(each[i] for each in rest) for i in (0, 1))
    return f"{seconds / whole:.0%} of the time that {side} was given by the gate's clock is not in its samples"
