"""`associative_scan`: h_t = a_t h_{t-1} + b_t in O(log T) dependent steps and O(T) work, for linear cells."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from rnnbench import Cell, Implementation, Params, State, Unroll, supports_linear
from rnnbench_torch.arrays import supports_state
from rnnbench_torch.ops import torch_ops

if TYPE_CHECKING:
    import torch

SEQUENTIAL = 16
"""At or below this length a plain loop is quicker than halving once more."""


def supports(cell: Cell, device: str, dtype: str) -> str | None:
    """Cells that are linear in a state torch can hold."""
    return supports_linear(cell, device, dtype) or supports_state(cell, dtype)


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """Coefficients and outputs for the whole sequence at once, the states by the scan."""
    del device, dtype
    ops, linear = torch_ops(), cell.linear
    assert linear is not None

    def unroll(params: Params, state: Any, xs: torch.Tensor) -> tuple[State, torch.Tensor]:
        opened = cell.open(ops, params, state, xs)
        h, a_b = opened.state, linear(ops, opened.params, opened.zs)
        hs, final = linear_recurrence(a_b[0], a_b[1].expand(xs.shape[0], *h.shape), h)
        return opened.close(final), cell.shown(ops, opened.params, hs, opened.zs)

    return unroll


def linear_recurrence(a: torch.Tensor, b: torch.Tensor, h0: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(all h_t, h_T) of h_t = a_t h_{t-1} + b_t; b (T, ...), h0 (...), a broadcasts to b. Differentiable once.

    Real or complex. Memory: a, b and h, none of them twice. Backward is the same scan from the end:
    g_t = dh_t + conj(a_{t+1}) g_{t+1}, da_t = g_t conj(h_{t-1}), db_t = g_t (Martin & Cundy 2018, arXiv:1709.04057).
    """
    return _function().apply(narrowed(a), b, h0)


def narrowed(a: torch.Tensor) -> torch.Tensor:
    """`a` with size 1 wherever it only repeats itself (a constant decay, broadcast): less to multiply and to store."""
    for axis in range(a.ndim):
        if a.stride(axis) == 0:
            a = a.narrow(axis, 0, 1)
    return a


def scan(a: torch.Tensor, b: torch.Tensor, carry: torch.Tensor, out: torch.Tensor, reverse: bool = False) -> None:
    """Fill out_t = a_t out_{t-1} + b_t, with `carry` before the first; from the end to the start if `reverse`.

    Odd-even reduction (Blelloch 1990, section 1.4): join neighbours into a sequence of half the length, scan that one,
    and fill in the others from it. `a` may have size 1 in any axis.
    """
    import torch

    T = b.shape[0]
    if T <= SEQUENTIAL:
        _loop(a, b, carry, out, reverse)
        return
    # In the order of the scan: evens are its elements 0, 2, 4, ..., odds its elements 1, 3, 5, ...
    first = (T - 1) % 2 if reverse else 0
    a_even, b_even, out_even = _every_other(a, first), b[first::2], out[first::2]
    a_odd, b_odd, out_odd = _every_other(a, 1 - first), b[1 - first :: 2], out[1 - first :: 2]

    joined = T // 2
    a_joined = a_odd * _leading(a_even, joined, reverse)
    b_joined = torch.addcmul(b_odd, a_odd, _leading(b_even, joined, reverse))
    scan(a_joined, b_joined, carry, out_odd, reverse)

    rest = b_even.shape[0] - 1
    known = _leading(out_odd, rest, reverse)
    torch.addcmul(
        _trailing(b_even, rest, reverse),
        _trailing(a_even, rest, reverse),
        known,
        out=_trailing(out_even, rest, reverse),
    )
    start = -1 if reverse else 0
    torch.addcmul(b_even[start], a_even[start], carry, out=out_even[start])


def _loop(a: torch.Tensor, b: torch.Tensor, carry: torch.Tensor, out: torch.Tensor, reverse: bool) -> None:
    import torch

    steps = list(zip(a.expand(b.shape[0], *a.shape[1:]), b, out, strict=True))
    for a_t, b_t, out_t in reversed(steps) if reverse else steps:
        carry = torch.addcmul(b_t, a_t, carry, out=out_t)


def _every_other(a: torch.Tensor, first: int) -> torch.Tensor:
    return a if a.shape[0] == 1 else a[first::2]


def _leading(x: torch.Tensor, count: int, reverse: bool) -> torch.Tensor:
    """The first `count` in the order of the scan; all of what is constant in time."""
    if x.shape[0] == 1:
        return x
    return x[x.shape[0] - count :] if reverse else x[:count]


def _trailing(x: torch.Tensor, count: int, reverse: bool) -> torch.Tensor:
    """The last `count` in the order of the scan."""
    return _leading(x, count, not reverse)


@cache
def _function() -> Any:
    """The autograd function, made on first use because its base class is torch's."""
    import torch
    from torch.autograd.function import once_differentiable

    class LinearRecurrence(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor, h0: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), h0.dtype)
            hs = torch.empty(b.shape, dtype=dtype, device=b.device)
            scan(a, b, h0, hs)
            ctx.save_for_backward(a, hs, h0)
            ctx.real_b = not b.is_complex()
            return hs, hs[-1].clone()

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, dhs: torch.Tensor, dfinal: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
            a, hs, h0 = ctx.saved_tensors
            decay = a.conj().resolve_conj()
            g = torch.empty_like(hs)
            torch.add(dhs[-1], dfinal, out=g[-1])
            if len(hs) > 1:
                scan(decay if len(a) == 1 else decay[1:], dhs[:-1], g[-1], g[:-1], reverse=True)
            dh0 = _match(decay[0] * g[0], h0) if ctx.needs_input_grad[2] else None
            da = _decay_gradient(a, g, hs, h0) if ctx.needs_input_grad[0] else None
            return da, g.real if ctx.real_b and g.is_complex() else g, dh0

    return LinearRecurrence


def _decay_gradient(a: torch.Tensor, g: torch.Tensor, hs: torch.Tensor, h0: torch.Tensor) -> torch.Tensor:
    """da_t = g_t conj(h_{t-1}), summed over the axes along which `a` repeats itself."""
    import torch

    da = torch.empty_like(g)
    torch.mul(g[0], h0.conj(), out=da[0])
    torch.mul(g[1:], hs[:-1].conj(), out=da[1:])
    return _match(da, a)


def _match(gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """A gradient in the shape and realness of what it belongs to."""
    gradient = gradient.sum_to_size(x.shape)
    return gradient.real if gradient.is_complex() and not x.is_complex() else gradient


implementation = Implementation(
    name="associative_scan",
    backend="torch",
    supports=supports,
    build=build,
    parallel=True,
    doc="A parallel scan with O(log T) dependent steps and a hand-written backward, for cells linear in their state.",
)
