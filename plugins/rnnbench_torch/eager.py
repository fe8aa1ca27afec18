"""`eager`: a Python loop over the portable step, one kernel launch after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from rnnbench import Array, Cell, Implementation, Params, State, Unroll, leaves, supports_step
from rnnbench_torch.arrays import supports_state
from rnnbench_torch.ops import torch_ops

if TYPE_CHECKING:
    import torch

Loop = Callable[[Params, State, Array], tuple[State, Array]]
"""loop(params, state, zs) -> (final state, ys_TBH): an unroll of what `Cell.open` has made ready."""


def supports(cell: Cell, device: str, dtype: str) -> str | None:
    """Any portable cell, or class of torch, whose state torch can hold."""
    del device
    return supports_step(cell, "torch") or supports_state(cell, dtype)


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """Project the whole sequence at once, then loop."""
    del device, dtype
    ops, loop = torch_ops(), time_loop(cell)

    def unroll(params: Params, state: State, xs: torch.Tensor) -> tuple[State, torch.Tensor]:
        opened = cell.open(ops, params, state, xs)
        final, ys = loop(opened.params, opened.state, opened.zs)
        return opened.close(final), ys

    return unroll


def time_loop(cell: Cell) -> Loop:
    """The loop that fits how the cell is written."""
    return _step_loop(cell) if cell.linear is None else _linear_loop(cell)


def _step_loop(cell: Cell) -> Loop:
    import torch

    ops, step = torch_ops(), cell.advance

    def loop(params: Params, state: State, zs: Array) -> tuple[State, torch.Tensor]:
        ys = []
        for z in time_steps(zs):
            state, y = step(ops, params, state, z)
            ys.append(y)
        return state, torch.stack(ys)

    return loop


def _linear_loop(cell: Cell) -> Loop:
    """h_t = a_t h_{t-1} + b_t step by step; a, b and the output do not depend on the state, so they stay outside."""
    import torch

    ops, linear = torch_ops(), cell.linear
    assert linear is not None

    def loop(params: Params, h: Any, zs: Array) -> tuple[State, torch.Tensor]:
        a, b = linear(ops, params, zs)
        T = leaves(zs)[0].shape[0]
        hs = []
        for a_t, b_t in zip(a.expand(T, *a.shape[1:]).unbind(0), b.expand(T, *b.shape[1:]).unbind(0), strict=True):
            h = torch.addcmul(b_t, a_t, h)
            hs.append(h)
        return h, cell.shown(ops, params, torch.stack(hs), zs)

    return loop


def time_steps(zs: Array) -> Iterator[Array]:
    """z_t for each t.

    One `unbind` has one backward, which stacks. Indexing `zs[t]` has a backward per step, and each fills a gradient of
    the whole length: 16 times slower at T = 4096.
    """
    if isinstance(zs, tuple):
        return zip(*(part.unbind(0) for part in zs), strict=True)
    return iter(zs.unbind(0))


implementation = Implementation(
    name="eager",
    backend="torch",
    supports=supports,
    build=build,
    stepwise=True,
    doc="A Python loop over the portable step; input projections are hoisted out of it.",
)
