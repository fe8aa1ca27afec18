"""How the gradient of the last output shrinks or grows on its way back through the states."""

from __future__ import annotations

from functools import partial

import numpy as np

from rnnbench import Array, Model, Params, States, advance_model
from rnnbench_jax.ops import jax_ops


def growth_factors(model: Model, params: Params, states: States, xs: Array, cotangent: Array) -> Array:
    """How much longer dL/ds becomes with each step back, (T, B): row k−1 is ‖dL/ds_{T−k}‖ / ‖dL/ds_{T−k+1}‖.

    Row 0 is the norm of dL/ds_{T−1} itself, for L = Σ cotangent_BH · y_T. The cotangent is made a unit vector after
    every step, so that only the factor of one step has to fit the dtype; one that is exactly zero stays zero.
    """
    import jax
    import jax.numpy as jnp

    step = partial(advance_model, model, jax_ops(), params)

    def forth(states: States, x: Array) -> tuple[States, States]:
        return step(states, x)[0], states

    def back(carry: tuple[States, Array], at: tuple[States, Array]) -> tuple[tuple[States, Array], Array]:
        _, pullback = jax.vjp(lambda states: step(states, at[1]), at[0])
        (cotangents,) = pullback(carry)
        unit, length = _normalised(cotangents)
        return (unit, jnp.zeros_like(carry[1])), length

    last, before = jax.lax.scan(forth, states, xs)
    start = (jax.tree.map(jnp.zeros_like, last), cotangent)
    return jax.lax.scan(back, start, (before, xs), reverse=True)[1][::-1]


def _normalised(cotangents: States) -> tuple[States, Array]:
    """Each row b of the batch at unit length over all leaves, and the length (B,) it had."""
    import jax
    import jax.numpy as jnp

    def per_row(leaf: Array) -> Array:
        return jnp.abs(leaf).reshape(leaf.shape[0], -1)

    flat = jnp.concatenate([per_row(leaf) for leaf in jax.tree.leaves(cotangents)], axis=1)
    largest = jnp.max(flat, axis=1)
    scale = jnp.where(largest > 0, largest, 1)  # squares of small entries would underflow
    length = scale * jnp.sqrt(jnp.sum((flat / scale[:, None]) ** 2, axis=1))
    divisor = jnp.where(length > 0, length, 1)
    return jax.tree.map(lambda leaf: leaf / divisor.reshape(-1, *[1] * (leaf.ndim - 1)), cotangents), length


def accumulated(factors: np.ndarray) -> np.ndarray:
    """ln of the running product of factors_TB in float64: −inf from an exact zero on, NaN after an infinity."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.cumsum(np.log(factors.astype(np.float64)), axis=0)
