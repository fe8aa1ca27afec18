"""Denormal numbers: values so near zero that many CPUs compute with them ten to a hundred times slower.

A recurrent state that fades (0.5^140 in float32) ends there and slows the rest of the sequence down, unless the thread
flushes such results to zero. Both are settings of a thread, so numbers are told apart by their bits here: a comparison
with zero would itself be subject to the mode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


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
