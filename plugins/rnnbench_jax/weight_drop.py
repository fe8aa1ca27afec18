"""DropConnect on recurrent matrices (see `rnnbench.ProgramSpec`), to be traced."""

from __future__ import annotations

from rnnbench import Array, Model, Params


def masks(model: Model, params: Params, seed: int, step: Array) -> dict[str, Array]:
    """A mask of 0 and 1/(1 − rate) per recurrent matrix; none where nothing is dropped.

    They depend on the seed, the training step and the place of the matrix among the others.
    """
    import jax
    import jax.numpy as jnp

    rate = model.recurrent_dropout
    if not rate:
        return {}
    key = jax.random.fold_in(jax.random.key(seed), step)
    found = {}
    for place, name in enumerate(model.recurrent):
        kept = jax.random.bernoulli(jax.random.fold_in(key, place), jnp.float32(1 - rate), params[name].shape)
        found[name] = kept.astype(params[name].dtype) / (1 - rate)
    return found


def masked(arrays: Params, by: Params) -> dict[str, Array]:
    """The arrays, multiplied by the mask of their name where there is one: weights, or their gradients."""
    return {name: array * by[name] if name in by else array for name, array in arrays.items()}
