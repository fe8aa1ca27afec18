"""`chunkwise` and `prefix_scan`: recurrences of matrix states by chunks, of any associative operator at once."""

from __future__ import annotations

from functools import partial

from rnnbench import Array, Cell, Implementation, Params, State, Unroll, prefix_unroll, scans, supports_scan
from rnnbench_jax.ops import jax_ops


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """A scan over chunks; what a chunk computes inside is computed again on the way back."""
    import jax

    del device, dtype
    ops, kind, elements_of = jax_ops(), cell.scan, cell.elements
    assert kind is not None
    assert elements_of is not None
    one = jax.checkpoint(partial(scans.chunk, ops, kind))

    def unroll(params: Params, state: State, xs: Array) -> tuple[State, Array]:
        opened = cell.open(ops, params, state, xs)
        elements = elements_of(ops, opened.params, opened.zs)
        size = min(scans.length(elements), len(xs))
        cut = tuple(each.reshape(-1, size, *each.shape[1:]) for each in scans.padded(ops, elements, size))
        S, os = jax.lax.scan(one, opened.state, cut)
        ys = cell.shown(ops, opened.params, os.reshape(-1, *os.shape[2:])[: len(xs)], opened.zs)
        return opened.close(S), ys

    return unroll


def build_prefix(cell: Cell, device: str, dtype: str) -> Unroll:
    """jax.lax.associative_scan over h_0, e_1, e_2, ..."""
    import jax

    del device, dtype
    return prefix_unroll(cell, jax_ops(), jax.lax.associative_scan)


CHUNKWISE = Implementation(
    name="chunkwise",
    backend="jax",
    supports=supports_scan("outer", "delta"),
    build=build,
    doc=f"up to {scans.SCALAR} steps at once as matrix products, for cells with a matrix state that decays",
)
PREFIX_SCAN = Implementation(
    name="prefix_scan",
    backend="jax",
    supports=supports_scan("semigroup"),
    build=build_prefix,
    doc="a parallel prefix scan of the cell's own associative operator",
)
