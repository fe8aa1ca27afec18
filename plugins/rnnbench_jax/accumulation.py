"""The gradient of a batch as a sum over micro-batches (see `rnnbench.model.micro_batches`), to be traced."""

from __future__ import annotations

from collections.abc import Callable

from rnnbench import Array, Batch, Params, micro_batches
from rnnbench_jax.ops import jax_ops

Gradient = Callable[[Batch, Array], tuple[Array, Params]]
"""gradient(part, number of the part) -> (loss, gradient of each parameter)"""


def accumulated(gradient: Gradient, batch: Batch, count: int, weighing: micro_batches.Weighing) -> tuple[Array, Params]:
    """(loss, gradient) of the whole batch, in `count` equal parts.

    One after the other, by a scan: parts written out side by side XLA might well run at once, in the memory of all.
    Parts of half precision are summed in float32: a small one would be lost in the rounding of the sum.
    """
    import jax
    import jax.numpy as jnp

    T, B = batch["xs"].shape[:2]
    parts = micro_batches.split(batch, B // count)
    weights = jnp.stack([jnp.asarray(share) for share in micro_batches.shares(jax_ops(), parts, weighing)])
    stacked = {name: _stacked(array, micro_batches.batch_axis(array, T, B), count) for name, array in batch.items()}

    def body(total: tuple[Array, Params], at: tuple[Array, Array, Batch]) -> tuple[tuple[Array, Params], None]:
        number, weight, part = at
        return jax.tree.map(
            lambda sum, more: sum + more.astype(sum.dtype) * weight.astype(sum.dtype), total, gradient(part, number)
        ), None

    first = {name: array[0] for name, array in stacked.items()}
    shapes = jax.eval_shape(gradient, first, jnp.asarray(0))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.promote_types(leaf.dtype, jnp.float32)), shapes)
    found, _ = jax.lax.scan(body, zeros, (jnp.arange(count), weights, stacked))
    return found


def _stacked(array: Array, axis: int, count: int) -> Array:
    """(count, ...) parts of neighbouring sequences."""
    import jax.numpy as jnp

    size = array.shape[axis] // count
    shape = (*array.shape[:axis], count, size, *array.shape[axis + 1 :])
    return jnp.moveaxis(array.reshape(shape), axis, 0)
