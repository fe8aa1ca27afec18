"""`associative_scan`: cells that are linear in their state, in O(log T) parallel steps."""

from __future__ import annotations

from rnnbench import Array, Cell, Implementation, Unroll, supports_linear
from rnnbench_jax.linear_recurrence import linear_unroll

Pair = tuple[Array, Array]


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """The recurrence as a prefix scan over the maps h -> a·h + b (Blelloch 1990, CMU-CS-90-190, section 1.4)."""
    del device, dtype
    return linear_unroll(cell, prefixes)


def prefixes(a: Array, b: Array, *, reverse: bool) -> Array:
    """All states of the recurrence from zero: see `rnnbench_jax.linear_recurrence.Prefixes`."""
    import jax

    def after(first: Pair, second: Pair) -> Pair:
        return second[0] * first[0], second[0] * first[1] + second[1]

    return jax.lax.associative_scan(after, (a, b), reverse=reverse)[1]


ASSOCIATIVE_SCAN = Implementation(
    name="associative_scan",
    backend="jax",
    supports=supports_linear,
    build=build,
    parallel=True,
    doc="parallel prefix scan of h -> a·h + b, for cells that are linear in their state",
)
