"""Work that shows what a device can do at best under torch."""

from __future__ import annotations

from collections.abc import Mapping

from rnnbench import Workload
from rnnbench_torch import devices

STREAM = {"cpu": 2**29, "cuda": 2**31}
"""Bytes of the array that is streamed: many times the caches, and on a GPU long beside the launch of a kernel. It is
float32 whatever the dtype, which memory does not see: narrow numbers may take longer to add than to fetch."""


def workloads(device: str, dtype: str, threads: int | None) -> Mapping[str, Workload]:
    """A product of two square matrices, and x += 1 in place: each number read once and written once."""
    import torch

    devices.configure(threads)
    wait = devices.synchronizer(device)
    kind = getattr(torch, dtype)
    n = matrix_size(device, dtype)
    a, b = (torch.randn(n, n, device=device, dtype=torch.float32).to(kind) for _ in range(2))
    product = torch.empty_like(a)
    x = torch.zeros(STREAM[device] // 4, device=device)

    def multiply() -> None:
        torch.mm(a, b, out=product)
        wait()

    def stream() -> None:
        x.add_(1)
        wait()

    return {
        "flops_per_second": Workload(multiply, 2.0 * n**3),
        "bytes_per_second": Workload(stream, 2.0 * STREAM[device]),
    }


def matrix_size(device: str, dtype: str) -> int:
    """Rows of the matrices: enough to fill the device, few enough for CPUs that only emulate a half precision."""
    if device == "cpu":
        return 2048 if dtype in ("float32", "float64") else 1024
    return 8192
