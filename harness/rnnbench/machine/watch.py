"""How the machine itself is doing while cases run: the reference kernel, read again every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from rnnbench.machine import reference
from rnnbench.measure.disturbance import stolen_seconds
from rnnbench.part import Reference

PERIOD = 4.0
"""Seconds between two readings of some 40 ms: one percent of the time."""


@dataclass
class Drift:
    """Readings of the reference kernel over one run, in seconds, and what they say about the time of a job."""

    read: Callable[[], float] = reference.run_reference
    clock: Callable[[], float] = time.perf_counter
    steal: Callable[[], float] = stolen_seconds
    period: float = PERIOD
    readings: list[float] = field(default_factory=list)
    _taken: float = 0.0

    def look(self) -> tuple[float, float]:
        """The latest reading, taken anew where it is older than the period; and the CPU seconds stolen so far."""
        if not self.readings or self.clock() - self._taken >= self.period:
            self.readings.append(self.read())
            self._taken = self.clock()
        return self.readings[-1], self.steal()

    def between(self, before: tuple[float, float], after: tuple[float, float]) -> tuple[Reference, float, bool]:
        """What two looks say about the time between them: the reference kernel, CPU seconds stolen, and whether it is
        contaminated, the kernel much slower than the median of the run so far. Of a run that is read, all readings
        are known, see `rnnbench.store.judging`.
        """
        slowdown = reference.drift(max(before[0], after[0]), median(self.readings))
        return Reference(before[0], after[0], slowdown), after[1] - before[1], slowdown > reference.SLOWER
