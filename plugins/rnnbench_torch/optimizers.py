"""`rnnbench.Optimizer` in torch: torch.optim with every constant spelled out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rnnbench import OPTIMIZERS, Optimizer

if TYPE_CHECKING:
    import torch

Update = Callable[[Sequence["torch.Tensor"]], None]
"""update(gradients): change the parameters in place."""


def build(optimizer: Optimizer, params: Sequence[torch.Tensor]) -> Update:
    """The update of `params`. Raises ValueError for a name that is not in `rnnbench.backend.OPTIMIZERS`.

    The fused kernels of torch 2.13 read a gradient in the order it lies in memory: one that lies transposed, as that of
    a matrix used in slices may, moves the wrong entries. So gradients are laid out as the parameters are.

    Parameters of half precision are updated in float32, and so is what the optimiser remembers: squares of gradients
    and eps = 1e-8 are zero in float16, and torch 2.13's fused SGD moves no such parameter on a CPU.
    """
    if not params:  # all of them are frozen
        return lambda _: None
    if params[0].dtype.itemsize < 4:
        return _wide(optimizer, params)
    optim = _torch_optimizer(optimizer, params)
    rates = iter(optimizer.rates())

    def update(gradients: Sequence[torch.Tensor]) -> None:
        for group in optim.param_groups:
            group["lr"] = next(rates, group["lr"])
        if optimizer.clip is not None:
            gradients = clipped(gradients, optimizer.clip)
        for param, gradient in zip(params, gradients, strict=True):
            param.grad = gradient.contiguous()
        optim.step()
        optim.zero_grad(set_to_none=True)

    return update


def _wide(optimizer: Optimizer, params: Sequence[torch.Tensor]) -> Update:
    """The update by float32 copies, which are filled before each step and rounded back after it."""
    import torch

    copies = [param.detach().float() for param in params]
    update = build(optimizer, copies)

    def updated(gradients: Sequence[torch.Tensor]) -> None:
        with torch.no_grad():
            for copy, param in zip(copies, params, strict=True):
                copy.copy_(param)
            update([gradient.float() for gradient in gradients])
            for copy, param in zip(copies, params, strict=True):
                param.copy_(copy)

    return updated


def _torch_optimizer(optimizer: Optimizer, params: Sequence[torch.Tensor]) -> torch.optim.Optimizer:
    """fused: one kernel for all parameters, with the same formula."""
    from torch import optim

    lr, decay = optimizer.lr, optimizer.weight_decay
    match optimizer.name:
        case "sgd":
            return optim.SGD(params, lr=lr, weight_decay=decay, fused=True)
        case "momentum":
            return optim.SGD(params, lr=lr, momentum=optimizer.momentum, weight_decay=decay, fused=True)
        case "rmsprop":
            return optim.RMSprop(params, lr=lr, alpha=0.99, eps=1e-8, weight_decay=decay)
        case "adam":
            return optim.Adam(params, lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay, fused=True)
        case "adamw":
            return optim.AdamW(params, lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay, fused=True)
    raise ValueError(f"unknown optimizer {optimizer.name!r}; allowed: {', '.join(OPTIMIZERS)}")


def clipped(gradients: Sequence[torch.Tensor], limit: float) -> list[torch.Tensor]:
    """Gradients scaled to a global norm of at most `limit` (Pascanu et al. 2013, arXiv:1211.5063, algorithm 1).

    The norm never leaves the device. New tensors, because autograd may hand out one tensor for two parameters (two
    biases that only occur as a sum), which would be scaled twice in place.
    """
    import torch

    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]))
    scale = (limit / norm).clamp(max=1.0)
    return [gradient * scale for gradient in gradients]
