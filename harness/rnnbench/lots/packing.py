"""Several cases at once on this machine: which, and how many."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rnnbench.case import Case
from rnnbench.machine import cores
from rnnbench.machine.environment import available_memory
from rnnbench.registry import Registry

WORTH = 20.0
"""Seconds of work that a worker must have: to start it, and to import its framework, takes about half as long."""
MEMORY = 3 << 29
"""Bytes that must be free for each worker: a framework, a small model, and its training."""
SHARE = 6
"""Lots per worker of this machine, at the least: the last ones then end at about the same time."""
SHARE_AWAY = 3
"""Likewise per worker elsewhere."""
LEAST_AWAY = 120.0
"""Seconds of work that a lot holds there: for each, a Python starts, imports a framework and verifies its programs."""


def packable(cases: Sequence[Case], registry: Registry) -> list[Case]:
    """Those whose numbers do not depend on what else this machine does: no times, and a core each.

    `best` is found by timing programs beside each other, which has to be done before.
    """
    return [
        case
        for case in cases
        if not registry.probes[case.probe].quiet and case.device == "cpu" and case.threads in (None, 1)
    ]


def workers(jobs: int | None, cases: Sequence[Case], seconds: Callable[[Case], float]) -> int:
    """How many workers these cases are worth; with less than two, they run as they always did. jobs: as asked for."""
    if jobs is not None:
        return min(jobs, len(cases))
    enough = sum(map(seconds, cases)) / WORTH
    return int(min(cores.usable(), len(cases), enough, available_memory() / MEMORY))


def share(seconds: float, seats: int | None, *, local: bool) -> float:
    """Seconds of work that a lot may hold, so that so much of it is shared out among `seats`; None: nobody knows.

    Example:
        >>> from rnnbench.lots.packing import share
        >>> share(3600.0, 2, local=True), share(3600.0, 8, local=False), share(600.0, 8, local=False)
        (300.0, 150.0, 120.0)
        >>> share(3600.0, None, local=False)
        inf
    """
    if not seats:
        return math.inf
    return seconds / (SHARE * seats) if local else max(LEAST_AWAY, seconds / (SHARE_AWAY * seats))
