"""Whether others are using the machine right now."""

from __future__ import annotations

import os

BUSY = 0.5
"""Share of the cores that may have work before the times of a run will be wide."""
STOLEN = 0.02
"""Share of the time that a hypervisor may give to others."""
SAMPLE = 0.2
"""Seconds over which steal is watched."""


def busy_sentence() -> str | None:
    """What a user should know before measuring here, None where the machine is quiet enough. Takes SAMPLE seconds."""
    import psutil

    steal = getattr(psutil.cpu_times_percent(interval=SAMPLE), "steal", 0.0) / 100
    return sentence(os.getloadavg()[0], os.cpu_count() or 1, steal)


def sentence(load: float, cores: int, steal: float) -> str | None:
    """load: the system's load average of the last minute. steal: share of the time."""
    found = []
    if load > BUSY * cores:
        found.append(f"load {load:.1f} on {cores} core{'s' * (cores != 1)}")
    if steal > STOLEN:
        found.append(f"{steal:.0%} of the time stolen by other virtual machines")
    if not found:
        return None
    return f"this machine is busy ({', '.join(found)}): times will be wide. Wait, or add `--set threads=1`"
