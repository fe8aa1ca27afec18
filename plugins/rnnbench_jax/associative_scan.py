"""`associative_scan`: cells that are linear in their state, in O(log T) parallel steps."""

from __future__ import annotations

from functools import cache

from rnnbench.cell import Array, Cell
from rnnbench.implementation import Implementation, Unroll, supports_linear
from rnnbench_jax.linear import Recurrence, linear_unroll

Pair = tuple[Array, Array]


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """The recurrence as a prefix scan over the maps h -> a·h + b (Blelloch 1990, CMU-CS-90-190, section 1.4)."""
    del device, dtype
    return linear_unroll(cell, recurrence())


@cache
def recurrence() -> Recurrence:
    """hs of h_t = a_t·h_{t-1} + b_t from h_0, with a gradient that is such a recurrence itself, run backwards.

    With g_t the cotangent of h_t: λ_t = g_t + a_{t+1}·λ_{t+1}, and the cotangents are λ_t for b_t, λ_t·h_{t-1} for a_t,
    a_1·λ_1 for h_0 (Martin & Cundy 2018, arXiv:1709.04057, equation 10; no conjugate appears in JAX's convention
    for complex numbers). Differentiating through the scan instead took half again as long and twice the memory.
    """
    import jax
    import jax.numpy as jnp

    @jax.custom_vjp
    def states(a: Array, b: Array, h: Array) -> Array:
        folded = jnp.concatenate([b[:1] + a[:1] * h, b[1:]])
        return _prefixes(a, folded, reverse=False)

    def forward(a: Array, b: Array, h: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        hs = states(a, b, h)
        return hs, (a, hs, h)

    def backward(residuals: tuple[Array, Array, Array], g: Array) -> tuple[Array, Array, Array]:
        a, hs, h = residuals
        following = jnp.concatenate([a[1:], jnp.zeros_like(a[:1])])
        cotangents = _prefixes(following, g, reverse=True)
        before = jnp.concatenate([h[None], hs[:-1]])
        return cotangents * before, cotangents, a[0] * cotangents[0]

    states.defvjp(forward, backward)
    return states


def _prefixes(a: Array, b: Array, *, reverse: bool) -> Array:
    """h_t = a_t·h_{t-1} + b_t from zero, or h_t = a_t·h_{t+1} + b_t backwards from zero."""
    import jax

    def after(first: Pair, second: Pair) -> Pair:
        return second[0] * first[0], second[0] * first[1] + second[1]

    return jax.lax.associative_scan(after, (a, b), reverse=reverse)[1]


ASSOCIATIVE_SCAN = Implementation(
    name="associative_scan",
    backend="jax",
    supports=supports_linear,
    build=build,
    doc="parallel prefix scan of h -> a·h + b, for cells that are linear in their state",
)
