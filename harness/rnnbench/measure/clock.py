"""What time is it, and what does asking cost."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Protocol

from rnnbench.errors import CaseError

BATCHES = 5
READINGS = 200
"""1,000 readings take some 50 µs, and the cheapest of five batches is one that nothing interrupted."""


class Clock(Protocol):
    """Anything that tells seconds since an arbitrary moment. Tests bring their own."""

    def now(self) -> float:
        """Seconds; meant never to go backwards, but the engine survives it."""
        ...


class SystemClock:
    """`time.perf_counter`: monotonic, not adjusted by clock synchronisation beyond its rate, tens of nanoseconds."""

    now = staticmethod(time.perf_counter)


SYSTEM = SystemClock()


def clock_cost(clock: Clock = SYSTEM) -> float:
    """Seconds of error that two readings may add to what they enclose: the cost of a reading or the resolution.

    The larger of the two: on a coarse clock readings are cheap, but time moves in visible steps. Raises CaseError where
    the clock stands still.
    """
    costs = [cost for _ in range(BATCHES) if (cost := _cost_of_a_reading(clock)) > 0]
    if not costs:
        raise CaseError("the clock stands still or runs backwards: nothing can be timed with it")
    return min(costs)


def _cost_of_a_reading(clock: Clock) -> float:
    """Mean of one batch or its smallest visible step, whichever is larger; 0 where the batch shows no progress."""
    now = clock.now
    readings = [now() for _ in range(READINGS + 1)]
    steps = [after - before for before, after in pairwise(readings) if after > before]
    return max((readings[-1] - readings[0]) / READINGS, min(steps)) if steps else 0.0
