"""Work that shows what a device can do at best under torch."""

from __future__ import annotations

from collections.abc import Mapping

from rnnbench import Workload
from rnnbench_torch import devices

STREAM = {"cpu": 2**29, "cuda": 2**31}
"""Bytes of the array that is streamed: many times the caches, and on a GPU long beside the launch of a kernel. It is
float32 whatever the dtype, which memory does not see: narrow numbers may take longer to add than to fetch."""


ACTIVATED = {"cpu": 2**16, "cuda": 2**26}
"""Numbers whose sigmoid is taken: what a cache of the second level holds, and on a GPU long beside the launch."""

ENOUGH = {"cpu": 2**26, "cuda": 2**33}
"""FLOP of a call of small products, long beside its dispatch."""

CACHED = {"cpu": 2**19, "cuda": 2**25}
"""Bytes of their operands and results at the most, so that they stay near."""


def workloads(device: str, dtype: str, threads: int | None) -> Mapping[str, Workload]:
    """A product of two square matrices, x += 1 in place (each number read and written once), and sigmoid."""
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

    some = torch.randn(ACTIVATED[device], device=device).to(kind)
    activated = torch.empty_like(some)

    def activate() -> None:
        torch.sigmoid(some, out=activated)
        wait()

    return {
        "flops_per_second": Workload(multiply, 2.0 * n**3),
        "bytes_per_second": Workload(stream, 2.0 * STREAM[device]),
        "activations_per_second": Workload(activate, ACTIVATED[device]),
    }


def products(device: str, dtype: str, threads: int | None, batch: int, hidden: int) -> Mapping[str, Workload]:
    """Many products (batch, hidden) by one (hidden, k·hidden) in a call each."""
    devices.configure(threads)
    return {
        f"products_per_second.{width}": _products(device, dtype, batch, hidden, width * hidden)
        for width in (1, 2, 3, 4)
    }


def _products(device: str, dtype: str, m: int, k: int, n: int) -> Workload:
    import torch

    wait = devices.synchronizer(device)
    kind = getattr(torch, dtype)
    flops = 2 * m * k * n
    room = CACHED[device] // (kind.itemsize * m * (k + n))
    count = max(1, min(ENOUGH[device] // flops, room))
    repeats = max(1, ENOUGH[device] // (flops * count))
    a, b = torch.randn(count, m, k, device=device).to(kind), torch.randn(k, n, device=device).to(kind)
    results = torch.empty(count, m, n, device=device, dtype=kind)
    matrix = b.expand(count, k, n)  # one matrix, never copied: each product reads it anew, as each step does

    def multiply() -> None:
        for _ in range(repeats):
            torch.bmm(a, matrix, out=results)
        wait()

    return Workload(multiply, float(flops * count * repeats))


def matrix_size(device: str, dtype: str) -> int:
    """Rows of the matrices: enough to fill the device, few enough for CPUs that only emulate a half precision."""
    if device == "cpu":
        return 2048 if dtype in ("float32", "float64") else 1024
    return 8192
