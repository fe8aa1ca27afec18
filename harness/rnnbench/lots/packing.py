"""Several cases at once on this machine: which, and how many."""

from __future__ import annotations

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
"""Lots per worker, at the least: the last ones then end at about the same time."""


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
