"""How the C library's allocator is set: so that a peak is that of the work, or so that a time is.

glibc gives each thread an arena of its own, gives back the top of the main one alone, and raises its thresholds as it
sees large blocks freed, so that blocks of up to 32 MiB stay with the process (mallopt(3)). Whether a block is kept is
thus a matter of what was freed before, and both kinds of number suffer:

- A peak reads low where a call lives off what an earlier one had touched, and high where a block freed in one arena is
  not there for the thread of another. With fixed thresholds (`RETURNING`) a large block is mapped when it is taken and
  unmapped when it is freed, whoever takes it.
- A time holds the page faults of every block that was given back: of an LSTM of jax at T = 256 (53 MB) a third, and of
  an LRU 0 or 7,000 faults a call, from process to process, 21 % between their times. Where nothing is ever given back
  (`KEEPING`), there are none after warm-up.

glibc reads these variables when a process starts, so they belong into the environment of the process that loads the
frameworks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

RETURNING = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_MMAP_MAX_": "1048576",
    "MALLOC_TOP_PAD_": "0",
}
"""For processes whose memory is measured."""

KEEPING = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TOP_PAD_": str(64 << 20),
}
"""For processes whose calls are timed."""


def variables(memory: bool, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What is still to be set where memory is measured, or times: for these nothing where the user has set an
    allocator.
    """
    if memory:
        return {name: value for name, value in RETURNING.items() if environment.get(name) != value}
    return {} if any(name.startswith("MALLOC_") for name in environment) else dict(KEEPING)


def settings(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What of these variables is set in this process."""
    return {name: value for name, value in sorted(environment.items()) if name.startswith("MALLOC_")}
