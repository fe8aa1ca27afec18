"""PyTorch as a backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from rnnbench import Backend, ProgramSpec, Skipped, Workload
from rnnbench_torch import ceilings, devices
from rnnbench_torch.program import TorchProgram


class TorchBackend(Backend):
    """PyTorch on cpu and cuda."""

    name = "torch"
    preload = ("torch", "array_api_compat.torch", "torch._dynamo")
    """torch._dynamo because the first optimiser imports it, for over a second. None of them starts a thread."""

    def missing(self) -> str | None:
        """None if torch and its array namespace are installed."""
        return devices.missing()

    def devices(self) -> Mapping[str, str | None]:
        """cpu and cuda."""
        return devices.available()

    def versions(self) -> dict[str, str]:
        """torch and what it computes with."""
        found = {}
        for package in ("torch", "array-api-compat", "triton", "nvidia-cudnn-cu12", "nvidia-cudnn-cu13", "onnxruntime"):
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
        return found

    def preferred(self, device: str) -> Sequence[str]:
        """`compiled` is not among them: it compiles for tens of seconds before its first number."""
        del device
        return ("native", "module", "chunkwise", "prefix_scan", "associative_scan", "eager")

    def ceilings(self, device: str, dtype: str, threads: int | None) -> Mapping[str, Workload]:
        """A large product, a large stream and a sigmoid, under the settings of a program."""
        _require(device)
        return ceilings.workloads(device, dtype, threads)

    def products(self, device: str, dtype: str, threads: int | None, batch: int, hidden: int) -> Mapping[str, Workload]:
        """Batched products by one matrix, under the settings of a program."""
        _require(device)
        return ceilings.products(device, dtype, threads, batch, hidden)

    def build(self, spec: ProgramSpec) -> TorchProgram:
        """Set threads and precision for the process and put the model on its device."""
        _require(spec.device)
        devices.configure(spec.threads)
        return TorchProgram(spec)


def _require(device: str) -> None:
    """Raises Skipped where the device is not there."""
    reason = devices.available().get(device, _unknown(device))
    if reason is not None:
        raise Skipped(reason)
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise Skipped("no CUDA device: torch.cuda.is_available() is false here")


def _unknown(device: str) -> str:
    return f"torch runs here on {' and '.join(devices.DEVICES)}, not on {device!r}"
