"""How many threads XLA computes with on the CPU.

XLA has no option for it: when its client starts, which is once per process, it makes its pool as large as the set of
CPUs it is allowed to run on. So that set is narrowed for the moment of the start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")


def wanted(threads: int | None) -> int:
    """`threads`, or one per physical core; never more than the CPUs this process may use."""
    import psutil

    usable = len(_usable())
    return min(threads or psutil.cpu_count(logical=False) or usable, usable)


@contextmanager
def pool_of(threads: int) -> Iterator[None]:
    """A client started inside makes a pool of that many threads. They may run on any CPU afterwards."""
    usable = _usable()
    if not hasattr(os, "sched_setaffinity"):  # macOS, Windows: XLA takes all CPUs
        yield
        return
    os.sched_setaffinity(0, sorted(usable)[:threads])
    try:
        yield
    finally:
        for task in _TASKS.iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), usable)


def running() -> int | None:
    """How many threads the pool of this process has, None where the system does not tell."""
    if not _TASKS.exists():
        return None
    return sum((task / "comm").read_text().startswith("tf_XLAEigen") for task in _TASKS.iterdir()) or None


def _usable() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
