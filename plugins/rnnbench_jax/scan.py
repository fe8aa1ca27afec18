"""`scan`: the plain loop over the portable step, by jax.lax.scan."""

from __future__ import annotations

from functools import partial

from rnnbench.cell import Array, Cell, Params, State
from rnnbench.implementation import Implementation, Unroll, supports_portable
from rnnbench_jax.linear import linear_unroll
from rnnbench_jax.ops import jax_ops


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """One step after the other; what does not depend on the state is done outside the loop.

    The gradient is JAX's own for scan. A hand-written one, which propagates the state's cotangent alone and takes all
    parameter gradients in one product after the loop, was measured and was slower here.
    """
    import jax

    del device, dtype
    if cell.step is None:
        return linear_unroll(cell, _loop)
    ops = jax_ops()

    def unroll(params: Params, state: State, xs: Array) -> tuple[State, Array]:
        return jax.lax.scan(partial(cell.advance, ops, params), state, cell.projected(ops, params, xs))

    return unroll


def _loop(a: Array, b: Array, h: Array) -> Array:
    import jax

    def step(h: Array, ab: tuple[Array, Array]) -> tuple[Array, Array]:
        h = ab[0] * h + ab[1]
        return h, h

    return jax.lax.scan(step, h, (a, b))[1]


SCAN = Implementation(
    name="scan",
    backend="jax",
    supports=supports_portable,
    build=build,
    stepwise=True,
    doc="jax.lax.scan over the portable step, one step after the other",
)
