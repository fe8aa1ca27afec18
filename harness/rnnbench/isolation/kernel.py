"""What isolation asks of Linux. Elsewhere each function does nothing, and the callers have a second way."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Processes whose parent has died become children of this one, however they tried to detach themselves."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signum: int) -> None:
    """Have `signum` sent to this process when its parent dies by whatever means; 0 takes that back."""
    _prctl(_SET_PDEATHSIG, signum)


def oom_kills() -> int | None:
    """How many processes this kernel has ever killed for want of memory, cgroups included; None if it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _prctl(option: int, argument: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(argument), 0, 0, 0)
