"""Linear recurrences h_t = a_t·h_{t-1} + b_t by whatever finds all h_t at once, with their gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Protocol

from rnnbench import Array, Cell, Params, Unroll
from rnnbench_jax.ops import jax_ops


class Prefixes(Protocol):
    """h_t = a_t·h_{t-1} + b_t from zero, or h_t = a_t·h_{t+1} + b_t backwards from zero; all of one shape (T, ...)."""

    def __call__(self, a: Array, b: Array, *, reverse: bool) -> Array:
        """All h_t."""
        ...


def linear_unroll(cell: Cell, prefixes: Prefixes) -> Unroll:
    """An unroll of a cell that is linear in its state."""
    import jax.numpy as jnp

    ops, linear, states = jax_ops(), cell.linear, recurrence(prefixes)
    assert linear is not None  # supports_linear

    def unroll(params: Params, state: Array, xs: Array) -> tuple[Array, Array]:
        opened = cell.open(ops, params, state, xs)
        shape, dtype = (xs.shape[0], *opened.state.shape), opened.state.dtype
        parts = linear(ops, opened.params, opened.zs)
        a, b = (jnp.broadcast_to(part, shape).astype(dtype) for part in parts)
        hs = states(a, b, opened.state)
        return opened.close(hs[-1]), cell.shown(ops, opened.params, hs, opened.zs)

    return unroll


@cache
def recurrence(prefixes: Prefixes) -> Callable[[Array, Array, Array], Array]:
    """states(a, b, h_0) -> hs: h_t = a_t·h_{t-1} + b_t elementwise; a, b and hs have the shape (T, *h_0.shape).

    The gradient is such a recurrence itself, run backwards (Martin & Cundy 2018, arXiv:1709.04057). With g_t the
    cotangent of h_t: λ_t = g_t + a_{t+1}·λ_{t+1}, and the cotangents are λ_t for b_t, λ_t·h_{t-1} for a_t, a_1·λ_1 for
    h_0; no conjugate appears in JAX's convention for complex numbers. Differentiating through an associative scan
    instead took half again as long to run, twice as long to compile, and almost twice the memory (T=512, B=16, H=128,
    on a CPU).
    """
    import jax
    import jax.numpy as jnp

    @jax.custom_vjp
    def states(a: Array, b: Array, h: Array) -> Array:
        folded = jnp.concatenate([b[:1] + a[:1] * h, b[1:]])
        return prefixes(a, folded, reverse=False)

    def forward(a: Array, b: Array, h: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        hs = states(a, b, h)
        return hs, (a, hs, h)

    def backward(residuals: tuple[Array, Array, Array], g: Array) -> tuple[Array, Array, Array]:
        a, hs, h = residuals
        following = jnp.concatenate([a[1:], jnp.zeros_like(a[:1])])
        cotangents = prefixes(following, g, reverse=True)
        before = jnp.concatenate([h[None], hs[:-1]])
        return cotangents * before, cotangents, a[0] * cotangents[0]

    states.defvjp(forward, backward)
    return states
