"""Denormal numbers: values so near zero that many CPUs compute with them ten to a hundred times slower.

A recurrent state that fades (0.5^140 in float32) ends there and slows the rest of the sequence down, unless the thread
flushes such results to zero. Both are settings of a thread, so numbers are told apart by their bits here: a comparison
with zero would itself be subject to the mode.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnbench.cell import leaves

if TYPE_CHECKING:
    import numpy as np

    from rnnbench.backend import Program

TOLD = 0.01
"""A share of denormal numbers above this is told."""

SLOW = 1.5
"""So many times as long, and denormal numbers are what the time is about."""


@dataclass(frozen=True)
class Denormals:
    """What one forward pass holds of them.

    share: of the outputs or of the final states, whichever is larger. slowdown: how many times as long this machine
    takes for a product of them, in the mode that NumPy finds it in.
    """

    share: float
    slowdown: float

    def details(self) -> dict[str, float]:
        """As JSON."""
        return {"share": self.share, "slowdown": self.slowdown}

    def notes(self) -> list[str]:
        """A sentence where a reader must know."""
        if self.share <= TOLD:
            return []
        slow = f"which this machine computes {self.slowdown:.0f} times as slowly as others"
        fast = "which this machine computes as fast as others"
        return [
            f"{self.share:.0%} of the outputs or final states are denormal numbers, "
            f"{slow if self.slowdown > SLOW else fast}: the cell forgets within the sequence, and its time is not that "
            f"of a cell which does not"
        ]


def look(program: Program, xs: np.ndarray) -> Denormals:
    """How many there are after one more forward pass over xs_TBD, and what they cost here."""
    states, outputs = program.forward(program.put({"xs": xs})["xs"])
    arrays: list[Any] = [outputs, *(leaf for state in states for leaf in leaves(state))]
    share = max(map(denormal_share, map(_widened, map(program.get, arrays))), default=0.0)
    return Denormals(share, slowdown() if share > TOLD else 1.0)


def _widened(array: np.ndarray) -> np.ndarray:
    """bfloat16, which NumPy does not know, has the exponents of float32; what is no number has no denormals."""
    import numpy as np

    if array.dtype.kind in "fc" and array.dtype.itemsize <= 16 and array.dtype.name != "bfloat16":
        return array
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else np.zeros(0)


def slowdown(size: int = 4096, rounds: int = 30) -> float:
    """How many times as long a product of denormal float32 numbers takes as one of ordinary ones: the quickest of each,
    in turns.
    """
    import numpy as np

    ordinary, small = np.full(size, 1.5, np.float32), np.full(size, 1e-40, np.float32)
    factor, found = np.full(size, 0.75, np.float32), np.empty(size, np.float32)
    best = [float("inf"), float("inf")]
    with np.errstate(under="ignore"):
        for _ in range(rounds):
            for number, array in enumerate((ordinary, small)):
                started = time.perf_counter()
                np.multiply(array, factor, out=found)
                best[number] = min(best[number], time.perf_counter() - started)
    return best[1] / best[0]


def denormal_share(array: np.ndarray) -> float:
    """Share of the values of a floating or complex array that are denormal (IEEE 754: exponent bits 0, fraction not).

    float16, float32, float64, complex64, complex128; real and imaginary parts count one by one; 0 for an empty array.
    bfloat16 has the exponents of float32, so its values widened to float32 give its share. Raises TypeError for others.
    """
    import numpy as np

    layouts = {np.dtype(f"f{size}"): (np.dtype(f"u{size}"), bits) for size, bits in ((2, 10), (4, 23), (8, 52))}
    values = np.ascontiguousarray(array)
    if np.issubdtype(values.dtype, np.complexfloating):
        values = values.view(np.real(values).dtype)
    if values.dtype not in layouts:
        raise TypeError(f"denormal_share needs float16, float32, float64 or complex values, found {array.dtype}")
    if not values.size:
        return 0.0
    unsigned, fraction_bits = layouts[values.dtype]
    magnitude = values.view(unsigned) << 1  # shifts the sign out
    return float(np.mean((magnitude > 0) & (magnitude < 2 << fraction_bits)))


def flush_to_zero_active() -> bool:
    """Whether this thread turns denormal results or operands into zero, found out by computing with some."""
    import numpy as np

    smallest_normal = np.array([1 << 23], np.uint32).view(np.float32)
    with np.errstate(under="ignore"):
        result = smallest_normal * np.float32(0.5)
        from_denormal = np.array([1 << 22], np.uint32).view(np.float32) * np.float32(2)
    return bool(result.view(np.uint32)[0] == 0 or from_denormal.view(np.uint32)[0] == 0)
