"""The PyTorch backend and its implementations. Importing this package does not import torch."""

from __future__ import annotations

from rnnbench import Backend, Implementation, hookimpl, module_implementation
from rnnbench_torch import associative_scan, chunkwise, compiled, eager, higher_order, native, onnx_runtime
from rnnbench_torch.backend import TorchBackend


@hookimpl
def rnnbench_backends() -> tuple[Backend, ...]:
    """PyTorch on cpu and cuda."""
    return (TorchBackend(),)


@hookimpl
def rnnbench_implementations() -> tuple[Implementation, ...]:
    """The ways PyTorch can run a cell, the plainest first."""
    return (
        eager.implementation,
        compiled.implementation,
        native.implementation,
        module_implementation("torch"),
        associative_scan.implementation,
        *chunkwise.IMPLEMENTATIONS,
        higher_order.SCAN,
        higher_order.ASSOCIATIVE_SCAN,
        onnx_runtime.implementation,
    )
