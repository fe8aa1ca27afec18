"""What other work on the machine took from this process, as far as the kernel tells.

Read between samples, never inside one. Three sources, cheapest honest ones: CPU steal (a hypervisor ran someone else;
/proc/stat, in ticks of 10 ms), run delay (this thread was ready and waited for a CPU; /proc/thread-self/schedstat, in
nanoseconds), and involuntary context switches of the other threads of this process (getrusage), whose waiting nobody
adds up for us.
"""

from __future__ import annotations

import itertools
import os
import resource
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
_SCHEDSTAT = Path("/proc/thread-self/schedstat")
_STEAL = 8  # field of the `cpu` line: user nice system idle iowait irq softirq steal (proc(5))
_TICK = 1 / os.sysconf("SC_CLK_TCK")

PERIOD = 0.01
"""Seconds of timed work between two readings: steal is counted in ticks of this length, finer readings show nothing."""

SLICE = 0.001
"""Seconds taken to be lost per switch where the wait is not known: the short end of Linux' scheduling slices."""

TOLERABLE = 0.01
"""Share of the time that may be lost before the samples count as disturbed: half the default width of an interval."""


@dataclass(frozen=True)
class Counters:
    """Running totals: seconds stolen of a CPU, seconds this thread waited, switches whose wait is not known."""

    steal: float
    delay: float
    switches: int


def read() -> Counters:
    """The totals so far; what the system does not tell stays 0. Costs some 30 µs."""
    delay = _run_delay()
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    if delay is not None and hasattr(resource, "RUSAGE_THREAD"):
        switches -= resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
    return Counters(steal=_stolen_each(), delay=delay or 0.0, switches=switches)


def disturbed(before: Counters, after: Counters, elapsed: float) -> bool:
    """Whether more than a tolerable share of `elapsed` seconds was taken between two readings."""
    lost = after.steal - before.steal + after.delay - before.delay + SLICE * (after.switches - before.switches)
    return lost > TOLERABLE * elapsed


def stolen_seconds() -> float:
    """CPU seconds of this machine that a hypervisor gave to others since boot; 0 where it is not told."""
    try:
        with _STAT.open() as lines:
            return int(lines.readline().split()[_STEAL]) * _TICK
    except (OSError, IndexError, ValueError):
        return 0.0


def _stolen_each() -> float:
    """The same of one CPU, in the mean of those that this process may use: what others lose on a large host is not lost
    here.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    try:
        with _STAT.open() as lines:
            next(lines)
            fields = [line.split() for line in itertools.takewhile(lambda line: line.startswith("cpu"), lines)]
        stolen = [int(one[_STEAL]) for one in fields if int(one[0][3:]) in allowed]
        return sum(stolen) / len(stolen) * _TICK
    except (OSError, IndexError, ValueError, StopIteration, ZeroDivisionError):
        return 0.0


def _run_delay() -> float | None:
    try:
        return int(_SCHEDSTAT.read_text().split()[1]) * 1e-9
    except (OSError, IndexError, ValueError):
        return None
