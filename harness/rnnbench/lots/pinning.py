"""Keeping a worker to the cores that its engine granted, where the engine itself does not."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections import Counter
from pathlib import Path


def pin(cpus: int | None) -> None:
    """Run on so many CPUs from now on, with all that is started later; None: on all that Slurm granted on this node.

    Those are taken that the fewest other processes keep to. On systems without affinity, nothing happens.
    """
    wanted = cpus or int(os.environ.get("SLURM_CPUS_ON_NODE", "0"))
    if not hasattr(os, "sched_setaffinity") or not wanted:
        return
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
