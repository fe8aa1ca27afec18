"""The array namespace of cells and losses over jax.numpy."""

from __future__ import annotations

from functools import cache

from rnnbench import Ops


@cache
def jax_ops() -> Ops:
    """`rnnbench.ops` over jax.numpy, which speaks the array API itself."""
    import jax
    import jax.numpy as jnp

    return Ops(
        jnp,
        sigmoid=jax.nn.sigmoid,
        logsigmoid=jax.nn.log_sigmoid,
        softplus=jax.nn.softplus,
        silu=jax.nn.silu,
        relu=jax.nn.relu,
        logsumexp=jax.nn.logsumexp,
    )
