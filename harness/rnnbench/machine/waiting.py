"""How the threads of a process that waits for its turn must behave: sleep.

Pools of threads look for more work for a while before they sleep, GNU's OpenMP for some 15 ms: as long as the next
process's turn, which would have one core less. They are told to give up after about a millisecond. Not at once: between
the parallel regions of one step a thread that sleeps has to be woken, which made torch's small products twice as slow.
Nor may one of them take most of a GPU's memory ahead, as JAX does.
The variables are read when a library is loaded, so they belong into the environment of the process that loads it; one
that the user has set stays.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

VARIABLES = {
    "GOMP_SPINCOUNT": "20000",
    "KMP_BLOCKTIME": "1",
    "OPENBLAS_THREAD_TIMEOUT": "20",
}
"""Of GNU's OpenMP, in turns of its loop; of LLVM's and Intel's, in ms; of OpenBLAS, 2^n cycles of the processor."""

SHARED_DEVICE = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

_POLICIES = ("OMP_WAIT_POLICY", *VARIABLES, *SHARED_DEVICE)


def variables(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What has to be set for processes that take turns."""
    wanted = SHARED_DEVICE if "OMP_WAIT_POLICY" in environment else VARIABLES | SHARED_DEVICE
    return {name: value for name, value in wanted.items() if name not in environment}


def settings() -> dict[str, str]:
    """What of these variables is set in this process."""
    return {name: os.environ[name] for name in _POLICIES if name in os.environ}
