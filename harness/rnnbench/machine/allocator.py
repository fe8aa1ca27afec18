"""How the C library's allocator has to be set for a peak to be that of the work.

glibc gives each thread an arena of its own, gives back the top of the main one alone, and raises its thresholds as it
sees large blocks freed, so that blocks of up to 32 MiB stay with the process (mallopt(3)). A call then lives off what
an earlier one had touched, and its peak reads low; or a block freed in one arena is not there for the thread of
another, and it reads high. With fixed thresholds a large block is mapped when it is taken and unmapped when it is
freed, whoever takes it. glibc reads these variables when a process starts, so they belong into the environment of the
process that loads the frameworks.
"""

from __future__ import annotations

import os

VARIABLES = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_MMAP_MAX_": "1048576",
    "MALLOC_TOP_PAD_": "0",
}
"""For processes whose memory is measured. Times are not taken in them: every large block costs page faults."""


def settings() -> dict[str, str]:
    """What of these variables is set in this process."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}
