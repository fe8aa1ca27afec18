"""The kernels as a differentiable function of torch."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from rnnbench import Cell, Implementation, Params, State, Unroll, leaves
from rnnbench_fused.kernel import Kernel, KernelCache, supports
from rnnbench_fused.uniform import DTYPE

if TYPE_CHECKING:
    import torch


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """The kernel is compiled at the first call of each set of sizes."""
    del device
    from rnnbench_torch.ops import torch_ops

    ops, kernels = torch_ops(), KernelCache(cell, dtype)

    def unroll(params: Params, state: State, xs: torch.Tensor) -> tuple[State, torch.Tensor]:
        states = leaves(state)
        found = kernels.at(params, states, not isinstance(state, tuple), xs.shape[-1])
        named = {**params, DTYPE: xs.dtype}
        made = [e.run(ops, named) for e in (*found.trace.constants, *found.trace.matrices)]
        ys, *final = _function().apply(found, _recording(xs, states, made), len(states), xs, *states, *made)
        return (tuple(final) if isinstance(state, tuple) else final[0]), ys

    return unroll


def _recording(xs: torch.Tensor, states: tuple[torch.Tensor, ...], made: list[torch.Tensor]) -> bool:
    """Whether a backward pass may follow."""
    import torch

    return torch.is_grad_enabled() and any(each.requires_grad for each in (xs, *states, *made))


@cache
def _function() -> Any:
    """The autograd function, made on first use because its base class is torch's."""
    import torch
    from torch.autograd.function import once_differentiable

    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, kernel: Kernel, recording: bool, states: int, xs: torch.Tensor, *arrays: torch.Tensor
        ) -> tuple[torch.Tensor, ...]:
            T, B, _ = xs.shape
            inputs = [each.to(xs.dtype).contiguous() for each in (xs, *arrays)]
            ys = xs.new_empty((T, B, *kernel.trace.y_shape))
            final = [torch.empty_like(each) for each in inputs[1 : 1 + states]]
            kept = xs.new_empty(max(1, T * B * kernel.kept) if recording else 0)
            outputs = [ys.data_ptr(), *_addresses(final), kept.data_ptr() if recording else 0]
            kernel.forward(T, B, torch.get_num_threads(), _addresses(inputs), outputs)
            if recording:
                ctx.save_for_backward(*inputs, ys, kept)
                ctx.kernel, ctx.states = kernel, states
            return ys, *final

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, *cotangents: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
            *inputs, ys, kept = ctx.saved_tensors
            xs, *arrays = inputs
            T, B, _ = xs.shape
            given = [each.to(xs.dtype).contiguous() for each in cotangents]
            of_xs = torch.empty_like(xs) if ctx.needs_input_grad[3] else None
            of_arrays = [torch.empty_like(each) for each in arrays]
            ctx.kernel.backward(
                T,
                B,
                torch.get_num_threads(),
                _addresses([*inputs, ys, kept, *given]),
                [0 if of_xs is None else of_xs.data_ptr(), *_addresses(of_arrays)],
            )
            return None, None, None, of_xs, *of_arrays

    return Fused


def _addresses(arrays: list[torch.Tensor]) -> list[int]:
    return [each.data_ptr() for each in arrays]


implementation = Implementation(
    name="fused",
    backend="torch",
    supports=supports,
    build=build,
    doc="One C kernel for forward and one for backward, generated from the cell's step and compiled when first used.",
)
