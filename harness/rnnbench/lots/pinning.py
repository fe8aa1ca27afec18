"""Keeping a worker to the cores that its engine granted, where the engine itself does not."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def pinned(cpus: int | None) -> Iterator[None]:
    """Run on so many CPUs within the block, with all that is started there; None: on all that Slurm granted here.

    Those are taken that the fewest other processes keep to. On systems without affinity, nothing happens. Of a thread
    of an engine, that thread alone is kept to them; what comes after it on the same worker has all of them again.
    """
    wanted = cpus or int(os.environ.get("SLURM_CPUS_ON_NODE", "0"))
    if not hasattr(os, "sched_setaffinity") or not wanted:
        yield
        return
    before = os.sched_getaffinity(0)
    _pin(wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _pin(wanted: int) -> None:
    with (Path(tempfile.gettempdir()) / f"rnnbench-pinning-{os.getuid()}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # two that choose at once would choose alike
        allowed = os.sched_getaffinity(0)
        if len(allowed) <= wanted:
            return
        taken = _taken()
        os.sched_setaffinity(0, sorted(allowed, key=lambda cpu: (taken[cpu], cpu))[:wanted])


def _taken() -> Counter[int]:
    """CPU -> processes that keep to it and some others, but not to all."""
    import psutil

    found: Counter[int] = Counter()
    own, every = os.getpid(), os.cpu_count() or 1
    for process in psutil.process_iter():
        if process.pid == own:
            continue
        try:
            kept = process.cpu_affinity() or []
        except psutil.Error:
            continue
        if len(kept) < every:
            found.update(kept)
    return found
