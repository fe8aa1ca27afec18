"""What XLA tells of a program it has compiled, without running it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rnnbench import Compiled

if TYPE_CHECKING:
    import jax

_SIZES = ("argument", "output", "temp", "alias", "generated_code")


def compile(lowered: jax.stages.Lowered, capacity: int | None) -> Compiled | None:
    """Compile and read off the sizes of its buffers; None where this compiler does not tell.

    An output that takes the memory of a donated argument (`alias`) is counted once, with the arguments. What a TPU's
    compiler places in the chip's own fast memory instead of its HBM is in none of the sizes: they are no whole.
    """
    started = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - started
    found = compiled.memory_analysis()
    if found is None:
        return None
    sizes = {name: int(getattr(found, f"{name}_size_in_bytes")) for name in _SIZES}
    peak = sizes["temp"] + sizes["output"] - sizes["alias"]
    return Compiled(seconds, peak, peak + sizes["argument"] + sizes["generated_code"], capacity, sizes)
