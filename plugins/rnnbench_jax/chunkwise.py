"""`chunkwise` and `prefix_scan`: recurrences of matrix states by chunks, of any associative operator at once."""

from __future__ import annotations

from functools import partial

from rnnbench import (
    Array,
    Cell,
    Params,
    State,
    Unroll,
    chunk_implementations,
    prefix_unroll,
    scans,
    tree_map,
)
from rnnbench_jax.ops import jax_ops


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """A scan over chunks; what a chunk computes inside is computed again on the way back."""
    del device, dtype
    return _of_scan(cell) if cell.chunk is None else _of_chunk(cell)


def _of_chunk(cell: Cell) -> Unroll:
    """The cell's own function, over pieces of the sequence, and over what is left of it."""
    import jax

    assert cell.chunk is not None
    ops, most = jax_ops(), cell.longest_chunk
    chunk = jax.checkpoint(partial(cell.chunk, ops))

    def unroll(params: Params, state: State, xs: Array) -> tuple[State, Array]:
        opened, T = cell.open(ops, params, state, xs), len(xs)
        size = min(most, T)
        whole = T - T % size
        cut = tree_map(lambda z: z[:whole].reshape(-1, size, *z.shape[1:]), opened.zs)
        S, ys = jax.lax.scan(partial(chunk, opened.params), opened.state, cut)
        ys = ys.reshape(whole, *ys.shape[2:])
        if whole < T:
            S, rest = chunk(opened.params, S, tree_map(lambda z: z[whole:], opened.zs))
            ys = ops.concat([ys, rest], axis=0)
        return opened.close(S), ys

    return unroll


def _of_scan(cell: Cell) -> Unroll:
    """Elements of the whole sequence, then the chunks of `rnnbench.scans`."""
    import jax

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


IMPLEMENTATIONS = chunk_implementations("jax", build, build_prefix)
