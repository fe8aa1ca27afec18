"""What the default run sets so that processes are quick and few; nothing that a user may not set."""

from __future__ import annotations

import os

from rnnbench.machine.allocator import RETURNING

VARIABLES = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "OMP_WAIT_POLICY": "passive",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    **RETURNING,
}
"""XLA spends a third of the time of small programs on making them fast. Threads of OpenMP that wait for one without a
core take more CPU time than the work. Where waiting and allocating are set as for measurements of memory, rnnbench sets
neither for any process, so that all jobs of a backend are forked from one and a framework is imported once, not three
times.
"""


def without() -> dict[str, str]:
    """The environment of a user who has set none of them."""
    return {name: value for name, value in os.environ.items() if name not in VARIABLES}
