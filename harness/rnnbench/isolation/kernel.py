"""What isolation asks of Linux. Elsewhere each function does nothing, and the callers have a second way."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_GET_CHILD_SUBREAPER = 37


def adopt_orphans() -> None:
    """Processes whose parent has died become children of this one, however they tried to detach themselves."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def adopts_orphans() -> bool:
    """Whether this process was told to."""
    answer = ctypes.c_int(0)
    _prctl(_GET_CHILD_SUBREAPER, ctypes.addressof(answer))
    return bool(answer.value)


def die_with_parent(signum: int) -> None:
    """Have `signum` sent to this process when its parent dies by whatever means; 0 takes that back."""
    _prctl(_SET_PDEATHSIG, signum)


def oom_kills(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """How many processes have ever been killed for want of memory: of this one's cgroup (v2) and those below it where
    that is counted, so that another job's kill is not taken for ours, else of the machine; None if neither says.
    """
    found = _own_cgroup(proc, cgroups)
    if found is None:
        found = _count(proc / "vmstat")
    return found


def _own_cgroup(proc: Path, cgroups: Path) -> int | None:
    """`oom_kill` of memory.events (Linux, admin-guide/cgroup-v2): kills in the cgroup and its descendants."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return None
    path = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)
    return None if path is None else _count(cgroups / path.strip("/") / "memory.events")


def _count(path: Path) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _prctl(option: int, argument: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(argument), 0, 0, 0)
