"""How much memory this process holds, and the most it held since a reset.

The kernel keeps the high-water mark itself, so a peak inside one call is seen whole: nothing samples, nothing is
missed between two samples. Four things make such a number wrong, and each has its remedy here or at the caller:

- *Memory the process had kept.* An allocator does not give everything back when it is freed, so a call may live off
  memory that an earlier call had touched, and the mark stays low. `reset_peak` therefore first hands free memory back
  (`trim`), but no one can empty the private pools of a library. Measure in a fresh process, one question per process.
- *The mark of the past.* It is reset by writing 5 to /proc/self/clear_refs (Linux 4.0). Where that is not possible
  `resettable()` is False and `peak_bytes` is the peak of the whole life of the process: an upper bound.
- *Split counters.* Linux sums resident pages from counters that each CPU holds back a batch of (at least 32 pages of
  each kind, 128 KiB), so VmRSS and VmHWM may be short by about that much per CPU. What is resident *now* is therefore
  read from /proc/self/smaps_rollup, which walks the page tables and is exact; the mark has no exact source.
- *Huge pages.* A block that is touched in one place may become resident 2 MiB at a time. `small_pages` ends that.

Numbers are bytes of resident memory of this process: pages swapped out, device memory, and children are not in them.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import time
from pathlib import Path

CALM, PAUSE = 4, 0.005
"""Readings that must agree, and seconds between two."""

_CLEAR = Path("/proc/self/clear_refs")
_ROLLUP = Path("/proc/self/smaps_rollup")
_STATUS = Path("/proc/self/status")
_RESET_HIGH_WATER_MARK = "5"  # proc(5), clear_refs
_SET_THP_DISABLE = 41  # PR_SET_THP_DISABLE


def resettable() -> bool:
    """Whether the high-water mark can be set back; without it `peak_bytes` covers the whole life of the process."""
    return os.access(_CLEAR, os.W_OK) and _kibibytes(_STATUS, "VmHWM") is not None


def trim() -> bool:
    """Ask the C library to give free memory back to the system; whether it gave any. A no-op where it cannot."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError):  # not glibc
        return False


def resident_bytes() -> int:
    """Bytes resident now. Costs a walk of the page tables: about 1 ms per 100 MiB, so never inside a timed region."""
    exact = _kibibytes(_ROLLUP, "Rss")
    if exact is not None:
        return exact
    import psutil

    return psutil.Process().memory_info().rss


def small_pages() -> bool:
    """Let this process take pages of the ordinary size from now on; whether the system did so (Linux, prctl(2)).

    Where huge ones are given, a block counts 2 MiB at a time, more or less by chance of its address.
    """
    try:
        return ctypes.CDLL(None).prctl(_SET_THP_DISABLE, 1, 0, 0, 0) == 0
    except (AttributeError, OSError):
        return False


def settle(seconds: float = 0.5) -> None:
    """Wait until what is resident stays the same: threads of a library go on freeing after a call has returned."""
    deadline, same, before = time.monotonic() + seconds, 0, -1
    while same < CALM and time.monotonic() < deadline:
        trim()
        now = resident_bytes()
        same = same + 1 if now == before else 0
        before = now
        time.sleep(PAUSE)


def reset_peak() -> int:
    """Give free memory back, start a new high-water mark, and return the bytes resident at that moment.

    The peak of one call above what was there before: `before = reset_peak(); call(); peak_bytes() - before`.
    Where the mark cannot be reset (`resettable()` is False) it stays that of the whole process.
    """
    trim()
    if resettable():
        _CLEAR.write_text(_RESET_HIGH_WATER_MARK)
    return resident_bytes()


def peak_bytes() -> int:
    """The most bytes resident at once since `reset_peak`; never less than what is resident now."""
    mark = _kibibytes(_STATUS, "VmHWM")
    if mark is None:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        mark = used if sys.platform == "darwin" else used * 1024  # getrusage(2): bytes on macOS, KiB elsewhere
    return max(mark, resident_bytes())


def lifetime_peak_bytes() -> int:
    """The most bytes resident at once in this process, or in the hungriest of its children that have ended.

    Of this process only since the latest `reset_peak`, if there was one.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    return max(peak_bytes(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit)


def _kibibytes(path: Path, key: str) -> int | None:
    """`Key:   123 kB` in a /proc file, in bytes; None where the file or the key is absent."""
    try:
        text = path.read_text()
    except OSError:
        return None
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name == key:
            return int(rest.split()[0]) * 1024
    return None
