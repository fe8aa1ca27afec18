"""Unrolling a cell that is linear in its state: all but the recurrence is done for the whole sequence at once."""

from __future__ import annotations

from collections.abc import Callable

from rnnbench.cell import Array, Cell, Params
from rnnbench.implementation import Unroll
from rnnbench_jax.ops import jax_ops

Recurrence = Callable[[Array, Array, Array], Array]
"""recurrence(a, b, h_0) -> hs: h_t = a_t·h_{t-1} + b_t elementwise; a, b and hs have the shape (T, *h_0.shape)."""


def linear_unroll(cell: Cell, recurrence: Recurrence) -> Unroll:
    """The cell over a whole sequence, given a way to run the recurrence."""
    import jax.numpy as jnp

    ops = jax_ops()

    def unroll(params: Params, state: Array, xs: Array) -> tuple[Array, Array]:
        assert cell.linear is not None
        zs = cell.projected(ops, params, xs)
        a, b = cell.linear(ops, params, zs)
        shape, dtype = (xs.shape[0], *state.shape), state.dtype
        hs = recurrence(jnp.broadcast_to(a, shape).astype(dtype), jnp.broadcast_to(b, shape).astype(dtype), state)
        return hs[-1], cell.shown(ops, params, hs, zs)

    return unroll
