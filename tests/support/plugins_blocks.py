"""A plugin with two faulty Pallas kernels: one forgets the state between blocks and says how long they are, one does
not say it.
"""

from dataclasses import replace
from functools import partial

from rnnbench import hookimpl


def build(cell, device, dtype):
    from rnnbench_jax.linear_recurrence import linear_unroll

    return linear_unroll(cell, partial(forgetful, device))


def forgetful(device, a, b, *, reverse):
    """Every block by itself, from a state of zeros."""
    import jax.numpy as jnp

    from rnnbench_jax.pallas import BLOCK, prefixes

    order = slice(None, None, -1) if reverse else slice(None)
    a, b = a[order], b[order]
    parts = [prefixes(device, a[t : t + BLOCK], b[t : t + BLOCK], reverse=False) for t in range(0, len(a), BLOCK)]
    return jnp.concatenate(parts)[order]


@hookimpl
def rnnbench_implementations():
    from rnnbench_jax.pallas import PALLAS

    return [replace(PALLAS, name="forgetful", build=build), replace(PALLAS, name="silent", build=build, block=0)]
