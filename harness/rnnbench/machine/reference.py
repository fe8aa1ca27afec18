"""Kernels that never change: when their times move, it is the machine that moved.

`reference_kernel` is timed between cases. It is a small tanh recurrence in NumPy, of matrix products and elementwise
functions like the cells themselves, with fixed data. Its products are of 64×64, so small that OpenBLAS, which NumPy's
wheels bring, runs them on the calling thread: the thread settings of a case do not show in it.

`KERNELS` are three, one for each of what may limit a program: arithmetic, the way from one operation to the next, and
memory. They take turns with the programs of a table, so that two runs, weeks or machines apart, can be put on one
scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from statistics import median
from typing import TYPE_CHECKING

from rnnbench.measure.clock import SYSTEM, Clock

if TYPE_CHECKING:
    import numpy as np

SIZE = 64
STEPS = 1000
"""About 10 ms on a present-day core: long beside the clock, short beside a case."""

LATENCY_STEPS = 300
"""Of the same recurrence as the kernel that takes turns with programs."""

ROUNDS = 3
"""The median of three survives one interruption, and all of it costs some 40 ms a case."""

SLOWER = 0.1
"""A machine this much slower than its median is not the one the other cases ran on; the kernel itself repeats within a
few percent."""


def run_reference(clock: Clock = SYSTEM) -> float:
    """Seconds of one pass of the kernel: the median of `ROUNDS` passes, after one that is not counted."""
    reference_kernel()
    times = []
    for _ in range(ROUNDS):
        started = clock.now()
        reference_kernel()
        times.append(clock.now() - started)
    return median(times)


def drift(now: float, baseline: float) -> float:
    """How much slower the machine is than at the baseline: 0.1 for 10 % slower, negative for faster."""
    return now / baseline - 1


def reference_kernel(steps: int = STEPS) -> np.ndarray:
    """h ← tanh(h W + x), so many times from h = 0, float32: the last h, always the same."""
    import numpy as np

    weights, x = _data()
    h = np.zeros_like(x)
    for _ in range(steps):
        h = np.tanh(h @ weights + x)
    return h


@lru_cache(maxsize=1)
def _data() -> tuple[np.ndarray, np.ndarray]:
    """W scaled to keep h of order one, so that nothing fades into denormal numbers, and x, both (64, 64)."""
    import numpy as np

    rng = np.random.default_rng(0)
    weights = rng.standard_normal((SIZE, SIZE)) / np.sqrt(SIZE)
    return weights.astype(np.float32), rng.standard_normal((SIZE, SIZE)).astype(np.float32)


def _products() -> None:
    """Four products of 384×384, float32: 0.45 GFLOP, on data that fit into a cache of 2 MiB."""
    import numpy as np

    a, out = _square()
    for _ in range(4):
        np.matmul(a, a, out=out)


def _copies() -> None:
    """Read and write 24 MiB, float32: more than a core's own caches hold."""
    import numpy as np

    source, target = _large()
    np.multiply(source, 1.5, out=target)


@lru_cache(maxsize=1)
def _square() -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    a = np.random.default_rng(0).standard_normal((384, 384)).astype(np.float32)
    return a, np.empty_like(a)


@lru_cache(maxsize=1)
def _large() -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    source = np.ones(3 << 20, np.float32)
    return source, np.zeros_like(source)


KERNELS: Mapping[str, Callable[[], object]] = {
    "compute": _products,
    "latency": partial(reference_kernel, LATENCY_STEPS),
    "memory": _copies,
}
"""By what limits them. Each takes some 3 to 10 ms on one core of today."""
VARIABLES = {"OPENBLAS_NUM_THREADS": "1"}
"""For the process they run in: what several threads take hangs on who else runs."""
