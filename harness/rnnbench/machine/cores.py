"""How many processor cores this process may use: one number for every framework."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
CPUS = Path("/sys/devices/system/cpu")


def usable() -> int:
    """Physical cores: the CPUs that affinity allows without their hyper-threads, at most the container's quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(groups())
    else:
        import psutil

        cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    granted = quota()
    return max(1, cores if granted is None else min(cores, math.ceil(granted)))


def groups() -> list[list[int]]:
    """The CPUs of each physical core that affinity allows; empty where the system does not say."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    found: dict[str, list[int]] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        found.setdefault(_siblings(cpu), []).append(cpu)
    return list(found.values())


def quota(root: Path = CGROUP) -> float | None:
    """Cores' worth of CPU time that the control group grants, None without a limit.

    cgroup v2: `quota period` in cpu.max; v1: cpu.cfs_quota_us (−1 for no limit) over cpu.cfs_period_us.
    """
    found, _, period = (_line(root / "cpu.max") or "").partition(" ")
    if not found:
        for folder in (root / "cpu", root / "cpu,cpuacct"):
            found, period = _line(folder / "cpu.cfs_quota_us") or "", _line(folder / "cpu.cfs_period_us") or ""
            if found:
                break
    return float(found) / float(period) if found.isdigit() and period.isdigit() and int(period) else None


def _siblings(cpu: int) -> str:
    """The hyper-threads that share a core with `cpu`; `cpu` alone where the kernel does not say."""
    return _line(CPUS / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu)


def _line(path: Path) -> str | None:
    try:
        return path.read_text().partition("\n")[0].strip()
    except OSError:
        return None
