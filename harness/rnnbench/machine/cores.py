"""How many processor cores this process may use: one number for every framework."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
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


def quota(root: Path = CGROUP, own: Path = OWN) -> float | None:
    """Cores' worth of CPU time that the control groups grant, None without a limit.

    The least of the group of this process and of those around it, as far as they can be seen: a container sees its own
    as the root, a job of Slurm or a service of systemd lies some folders below.

    Args:
        root: Where control groups are mounted.
        own: Says which of them this process is in.
    """
    granted = [one for folder in dict.fromkeys(_folders(root, own)) if (one := _granted(folder)) is not None]
    return min(granted, default=None)


def _folders(root: Path, own: Path) -> Iterator[Path]:
    """The group of this process in each hierarchy that may limit CPU time, and all around it."""
    mounts = {"": [root], "cpu": [root / "cpu", root / "cpu,cpuacct"]}
    for folders in mounts.values():
        yield from folders
    for line in _text(own).splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        parts = [part for part in path.split("/") if part]
        if ".." in parts:  # above what is mounted
            continue
        version_2, limits = not controllers, "cpu" in controllers.split(",")
        for mount in mounts["cpu" if limits else ""] if limits or version_2 else ():
            yield from (mount.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1))


def _granted(folder: Path) -> float | None:
    """By the files of cgroup v2, `quota period` in cpu.max; of v1, cpu.cfs_quota_us over its period, −1 for none."""
    found, _, period = (_line(folder / "cpu.max") or "").partition(" ")
    if not found:
        found, period = _line(folder / "cpu.cfs_quota_us") or "", _line(folder / "cpu.cfs_period_us") or ""
    limited = found.isdecimal() and period.isdecimal() and int(found) and int(period)
    return float(found) / float(period) if limited else None


def _siblings(cpu: int) -> str:
    """The hyper-threads that share a core with `cpu`; `cpu` alone where the kernel does not say."""
    return _line(CPUS / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu)


def _line(path: Path) -> str | None:
    return _text(path).partition("\n")[0].strip() or None


def _text(path: Path) -> str:
    """Empty where it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
