"""The derivative of every entry of the next state by every entry of the state, along a trajectory."""

from __future__ import annotations

import math

from rnnbench import Array, Model, Params, States, advance_model, leaves, tree_map
from rnnbench_jax.ops import jax_ops


def jacobians(model: Model, params: Params, states: States, xs: Array) -> tuple[States, Array]:
    """(states after xs_TBD, ∂s_t/∂s_{t−1} as (T, B, n, n)): a scan for the trajectory, then all steps at once.

    Rows of a batch do not depend on each other, so all steps and sequences are the rows of one batch.
    """
    import jax
    import jax.numpy as jnp

    ops = jax_ops()

    def forth(states: States, x: Array) -> tuple[States, Array]:
        return advance_model(model, ops, params, states, x)[0], flattened(states)

    def moved(flat: Array, x: Array) -> Array:
        return flattened(advance_model(model, ops, params, unflattened(flat[None], states), x[None])[0])[0]

    last, visited = jax.lax.scan(forth, states, xs)
    T, B, n = visited.shape
    rows = visited.reshape(T * B, n), jnp.reshape(xs, (T * B, -1))
    return last, jax.vmap(jax.jacfwd(moved))(*rows).reshape(T, B, n, n)


def flattened(states: States) -> Array:
    """All entries of all layers as real numbers (B, n); a complex one as real part, imaginary part."""
    import jax.numpy as jnp

    def real(leaf: Array) -> Array:
        leaf = jnp.stack([leaf.real, leaf.imag], axis=-1) if jnp.iscomplexobj(leaf) else leaf
        return leaf.reshape(len(leaf), -1)

    return jnp.concatenate([real(leaf) for state in states for leaf in leaves(state)], axis=1)


def unflattened(flat: Array, like: States) -> States:
    """The inverse of `flattened`: flat (B, n) in the structure, shapes and kinds of `like`, whatever its batch size."""
    import jax.numpy as jnp

    at = 0

    def take(leaf: Array) -> Array:
        nonlocal at
        parts = (2,) if jnp.iscomplexobj(leaf) else ()
        shape = (*leaf.shape[1:], *parts)
        size = math.prod(shape)
        taken = flat[:, at : at + size].reshape(-1, *shape)
        at += size
        return taken[..., 0] + 1j * taken[..., 1] if parts else taken

    return tuple(tree_map(take, state) for state in like)
