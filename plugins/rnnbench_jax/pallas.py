"""`pallas`: cells that are linear in their state, by a kernel that keeps the state on the chip for a block of steps.

Pallas compiles it through Triton for an NVIDIA GPU and through Mosaic for a TPU. Elsewhere Pallas's interpreter runs
it, which shows whether it is right and says nothing of how fast it is.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from rnnbench import Array, Cell, Implementation, Unroll, supports_linear
from rnnbench_jax.linear_recurrence import linear_unroll

BLOCK = 64
"""Time steps of one call of the kernel: a block of a, b and h of 3·64·128 float32 is 96 KiB, which fits into the shared
memory of a GPU and the vector memory of a TPU alike."""
LANES = 128
"""Recurrences side by side in one program of the kernel: a row of a TPU's registers, four warps of a GPU."""


def interpreter(device: str) -> str | None:
    """Pallas's own, where there is nothing that Pallas compiles for."""
    return None if _platform(device) in ("cuda", "tpu") else "Pallas's interpreter"


def supports(cell: Cell, device: str, dtype: str) -> str | None:
    """Cells that are linear in a real state."""
    reason = supports_linear(cell, device, dtype)
    if reason is not None:
        return reason
    if _complex(cell):
        return f"cell {cell.name!r} has a complex state, and Pallas has no complex numbers"
    if dtype == "float64" and _platform(device) == "tpu":
        return "a TPU's kernels have no float64"
    return None


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """One step after the other, in blocks."""
    del dtype
    return linear_unroll(cell, partial(prefixes, device))


def prefixes(device: str, a: Array, b: Array, *, reverse: bool) -> Array:
    """All states of the recurrence from zero: see `rnnbench_jax.linear_recurrence.Prefixes`.

    The state goes from block to block through the device's memory. Half precision is computed in float32.
    """
    import jax
    import jax.numpy as jnp

    shape, dtype = a.shape, a.dtype
    wide = jnp.promote_types(dtype, jnp.float32)
    steps, lanes = shape[0], int(np.prod(shape[1:]))

    def blocks(array: Array) -> Array:
        """(blocks, BLOCK, lanes up to a multiple of LANES), zeros behind the end."""
        rows = (array[::-1] if reverse else array).reshape(steps, lanes).astype(wide)
        padded = jnp.pad(rows, ((0, -steps % BLOCK), (0, -lanes % LANES)))
        return padded.reshape(-1, BLOCK, padded.shape[1])

    def block(h: Array, parts: tuple[Array, Array]) -> tuple[Array, Array]:
        hs = _block(device, *parts, h)
        return hs[-1:], hs

    a, b = blocks(a), blocks(b)
    _, hs = jax.lax.scan(block, jnp.zeros((1, a.shape[2]), wide), (a, b))
    found = hs.reshape(-1, hs.shape[2])[:steps, :lanes].reshape(shape).astype(dtype)
    return found[::-1] if reverse else found


def _block(device: str, a: Array, b: Array, h: Array) -> Array:
    """h_t = a_t·h_{t-1} + b_t for t = 1 ... BLOCK: a, b (BLOCK, lanes) and h_0 (1, lanes) to hs (BLOCK, lanes)."""
    import jax
    from jax.experimental import pallas as pl

    rows = pl.BlockSpec((BLOCK, LANES), lambda i: (0, i))
    row = pl.BlockSpec((1, LANES), lambda i: (0, i))
    return pl.pallas_call(
        _kernel,
        jax.ShapeDtypeStruct(a.shape, a.dtype),
        grid=(a.shape[1] // LANES,),
        in_specs=[rows, rows, row],
        out_specs=rows,
        interpret=interpreter(device) is not None,
        compiler_params=_compiler(device),
        name="linear_recurrence",
    )(a, b, h)


def _kernel(a_ref: Any, b_ref: Any, h_ref: Any, hs_ref: Any) -> None:
    import jax
    import jax.numpy as jnp
    from jax.experimental import pallas as pl

    def step(t: Array, h: Array) -> Array:
        row = pl.ds(t, 1)
        h = a_ref[row, :] * h + b_ref[row, :]
        hs_ref[row, :] = h
        return h

    jax.lax.fori_loop(jnp.int32(0), jnp.int32(BLOCK), step, h_ref[...])


def _compiler(device: str) -> Any:
    """Triton for an NVIDIA GPU, which runs on all of them; Pallas's own choice elsewhere."""
    if _platform(device) != "cuda":
        return None
    from jax.experimental.pallas import triton

    return triton.CompilerParams(num_warps=LANES // 32)


def _platform(device: str) -> str:
    """`cuda` of `cuda:h100`."""
    return device.partition(":")[0]


def _complex(cell: Cell) -> bool:
    """Whether the state is complex, by a small draw; a cell that cannot be drawn is refused elsewhere."""
    try:
        _, state = cell.init(np.random.default_rng(0), 8, 8, **cell.options)
    except Exception:  # the plugin's own fault, which verification tells with its place
        return False
    return np.iscomplexobj(state)


PALLAS = Implementation(
    name="pallas",
    backend="jax",
    supports=supports,
    build=build,
    interpreter=interpreter,
    block=BLOCK,
    doc="a Pallas kernel of h -> a·h + b in blocks, for cells that are linear in a real state; interpreted on a CPU",
)
