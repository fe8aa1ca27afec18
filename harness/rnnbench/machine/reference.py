"""A kernel that never changes, timed between cases: when its time moves, it is the machine that moved.

It is a small tanh recurrence in NumPy, of matrix products and elementwise functions like the cells themselves, with
fixed data. Its products are of 64×64, so small that OpenBLAS, which NumPy's wheels bring, runs them on the calling
thread: the thread settings of a case do not show in it.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import median
from typing import TYPE_CHECKING

from rnnbench.measure.clock import SYSTEM, Clock

if TYPE_CHECKING:
    import numpy as np

SIZE = 64
STEPS = 1000
"""About 10 ms on a present-day core: long beside the clock, short beside a case."""

ROUNDS = 3
"""The median of three survives one interruption, and all of it costs some 40 ms a case."""


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


def reference_kernel() -> np.ndarray:
    """h ← tanh(h W + x), `STEPS` times from h = 0, float32: the last h, always the same."""
    import numpy as np

    weights, x = _data()
    h = np.zeros_like(x)
    for _ in range(STEPS):
        h = np.tanh(h @ weights + x)
    return h


@lru_cache(maxsize=1)
def _data() -> tuple[np.ndarray, np.ndarray]:
    """W scaled to keep h of order one, so that nothing fades into denormal numbers, and x, both (64, 64)."""
    import numpy as np

    rng = np.random.default_rng(0)
    weights = rng.standard_normal((SIZE, SIZE)) / np.sqrt(SIZE)
    return weights.astype(np.float32), rng.standard_normal((SIZE, SIZE)).astype(np.float32)
