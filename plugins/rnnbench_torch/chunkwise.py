"""`chunkwise` and `prefix_scan`: recurrences of matrix states by chunks, of any associative operator at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rnnbench import (
    Cell,
    Params,
    State,
    Unroll,
    chunk_implementations,
    prefix_unroll,
    scans,
    tree_map,
)
from rnnbench_torch.ops import torch_ops

if TYPE_CHECKING:
    import torch


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """One chunk after the other; what a chunk computes inside is computed again on the way back."""
    del device, dtype
    return _of_scan(cell) if cell.chunk is None else _of_chunk(cell)


def _of_chunk(cell: Cell) -> Unroll:
    """The cell's own function, over pieces of the sequence, the last of them shorter."""
    import torch
    from torch.utils.checkpoint import checkpoint

    ops, chunk, size = torch_ops(), cell.chunk, cell.longest_chunk
    assert chunk is not None

    def unroll(params: Params, state: State, xs: torch.Tensor) -> tuple[State, torch.Tensor]:
        opened = cell.open(ops, params, state, xs)
        S, parts = opened.state, []
        for t in range(0, len(xs), size):
            piece = tree_map(lambda z, t=t: z[t : t + size], opened.zs)
            S, ys = checkpoint(chunk, ops, opened.params, S, piece, use_reentrant=False, preserve_rng_state=False)  # type: ignore[misc]
            parts.append(ys)
        return opened.close(S), torch.cat(parts)

    return unroll


def _of_scan(cell: Cell) -> Unroll:
    """Elements of the whole sequence, then the chunks of `rnnbench.scans`."""
    import torch
    from torch.utils.checkpoint import checkpoint

    ops, kind, elements_of = torch_ops(), cell.scan, cell.elements
    assert kind is not None
    assert elements_of is not None

    def one(S: torch.Tensor, *elements: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return scans.chunk(ops, kind, S, elements)

    def unroll(params: Params, state: State, xs: torch.Tensor) -> tuple[State, torch.Tensor]:
        opened = cell.open(ops, params, state, xs)
        elements = elements_of(ops, opened.params, opened.zs)
        size = min(scans.length(elements), len(xs))
        S, parts = opened.state, []
        cut = zip(*(each.split(size) for each in scans.padded(ops, elements, size)), strict=True)
        for piece in cut:
            S, os = checkpoint(one, S, *piece, use_reentrant=False, preserve_rng_state=False)  # type: ignore[misc]
            parts.append(os)
        ys = cell.shown(ops, opened.params, torch.cat(parts)[: len(xs)], opened.zs)
        return opened.close(S), ys

    return unroll


def build_prefix(cell: Cell, device: str, dtype: str) -> Unroll:
    """All prefixes h_0·e_1, h_0·e_1·e_2, ... at once."""
    del device, dtype
    ops = torch_ops()
    return prefix_unroll(cell, ops, partial(scans.prefixes, ops))


IMPLEMENTATIONS = chunk_implementations("torch", build, build_prefix)
