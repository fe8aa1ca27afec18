"""`scan`: the plain loop over the portable step, by jax.lax.scan."""

from __future__ import annotations

from functools import partial

from rnnbench import Array, Cell, Implementation, Params, State, Unroll, supports_step
from rnnbench_jax.ops import jax_ops


def supports(cell: Cell, device: str, dtype: str) -> str | None:
    """Any portable cell, or class of jax."""
    del device, dtype
    return supports_step(cell, "jax")


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """The input projection for all steps at once, then one step after the other.

    The gradient is JAX's own for scan. A hand-written one, which propagates the state's cotangent alone and takes all
    parameter gradients in one product after the loop, was slower on a CPU: by a fifth for lstm, twofold for rnn and gru
    (T=512, B=16, H=128, jax 0.10.2). So was working out `linear` and `output` of linear cells outside the loop.
    """
    import jax

    del device, dtype
    ops = jax_ops()

    def unroll(params: Params, state: State, xs: Array) -> tuple[State, Array]:
        opened = cell.open(ops, params, state, xs)
        final, ys = jax.lax.scan(partial(cell.advance, ops, opened.params), opened.state, opened.zs)
        return opened.close(final), ys

    return unroll


SCAN = Implementation(
    name="scan",
    backend="jax",
    supports=supports,
    build=build,
    stepwise=True,
    doc="jax.lax.scan over the portable step, one step after the other",
)
