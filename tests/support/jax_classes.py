"""Classes of flax and equinox that cannot be brought."""

from __future__ import annotations

import equinox as eqx  # pyright: ignore[reportMissingImports]
import flax.linen as nn
import jax
import jax.numpy as jnp


class Drops(nn.Module):
    features: int

    @nn.compact
    def __call__(self, h, x):
        h = jnp.tanh(nn.Dense(self.features)(jnp.concatenate([x, h], -1)))
        h = nn.Dropout(0.5, deterministic=False)(h)
        return h, h


class AddsItsInput(eqx.Module):
    U: jax.Array

    def __init__(self, inputs, units, *, key):
        self.U = jax.random.normal(key, (units, units))

    def __call__(self, x, h):
        return jnp.tanh(x + self.U @ h)


class OtherState(eqx.Module):
    W: jax.Array

    def __init__(self, inputs, units, *, key):
        self.W = jax.random.normal(key, (units, inputs + units))

    def __call__(self, x, h):
        y = jnp.tanh(self.W @ jnp.concatenate([x, h]))
        return jnp.concatenate([y, y]), y


class Stopped(eqx.Module):
    W: jax.Array

    def __init__(self, inputs, units, *, key):
        self.W = jax.random.normal(key, (units, inputs + units))

    def __call__(self, x, h):
        return jax.lax.stop_gradient(jnp.tanh(self.W @ jnp.concatenate([x, h])))
