"""Work that shows what a device can do at best under XLA."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rnnbench import Array, Workload
from rnnbench_jax.devices import Device

STREAM = {"cpu": 2**29, "gpu": 2**31, "tpu": 2**31}
"""Platform -> bytes of the array that is streamed: many times the caches, and elsewhere long beside the launch of a
kernel. It is float32 whatever the dtype, which memory does not see: narrow numbers may take longer to add than to
fetch."""


def workloads(device: Device, dtype: str, precision: str) -> Mapping[str, Workload]:
    """A product of two square matrices, and x += 1 in place: each number read once and written once."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    def asked(function: Callable[..., Array], *arguments: Array) -> Array:
        with jax.enable_x64(dtype == "float64"), jax.default_matmul_precision(precision):
            return jax.block_until_ready(function(*arguments))

    def placed(array: np.ndarray) -> Array:
        return asked(lambda: jax.device_put(array, device))

    n = matrix_size(device.platform, dtype)
    rng = np.random.default_rng(0)
    a, b = (placed(rng.standard_normal((n, n), np.float32).astype(jnp.dtype(dtype))) for _ in range(2))
    multiply = jax.jit(jnp.matmul)

    size = STREAM[device.platform]
    x = placed(np.zeros(size // 4, np.float32))
    increment = jax.jit(lambda x: x + 1, donate_argnums=0)

    def stream() -> None:
        nonlocal x
        x = asked(increment, x)

    return {
        "flops_per_second": Workload(lambda: asked(multiply, a, b), 2.0 * n**3),
        "bytes_per_second": Workload(stream, 2.0 * size),
    }


def matrix_size(platform: str, dtype: str) -> int:
    """Rows of the matrices: enough to fill the device, few enough for CPUs that only emulate a half precision."""
    if platform == "cpu":
        return 2048 if dtype in ("float32", "float64") else 1024
    return 8192
