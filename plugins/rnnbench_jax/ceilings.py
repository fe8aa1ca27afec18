"""Work that shows what a device can do at best under XLA."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from rnnbench import Array, Workload
from rnnbench_jax.devices import Device

STREAM = {"cpu": 2**29, "gpu": 2**31, "tpu": 2**31}
"""Platform -> bytes of the array that is streamed: many times the caches, and elsewhere long beside the launch of a
kernel. It is float32 whatever the dtype, which memory does not see: narrow numbers may take longer to add than to
fetch."""


ACTIVATED = {"cpu": 2**17, "gpu": 2**26, "tpu": 2**26}
"""Platform -> numbers whose sigmoid is taken: what a cache of the second level holds, and elsewhere long beside the
launch."""

ENOUGH = {"cpu": 2**26, "gpu": 2**30, "tpu": 2**30}
"""Platform -> FLOP of a call of small products, long beside its dispatch."""

MOST = 1024
"""Small products in a call, at the most."""


def workloads(device: Device, dtype: str, precision: str) -> Mapping[str, Workload]:
    """A product of two square matrices, x += 1 in place (each number read and written once), and sigmoid."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    asked = partial(_asked, dtype, precision)

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

    activated = ACTIVATED[device.platform]
    some = placed(rng.standard_normal(activated, np.float32).astype(jnp.dtype(dtype)))
    activate = jax.jit(jax.nn.sigmoid)

    return {
        "flops_per_second": Workload(lambda: asked(multiply, a, b), 2.0 * n**3),
        "bytes_per_second": Workload(stream, 2.0 * size),
        "activations_per_second": Workload(lambda: asked(activate, some), activated),
    }


def products(device: Device, dtype: str, precision: str, batch: int, hidden: int) -> Mapping[str, Workload]:
    """Many products (batch, hidden) by one (hidden, k·hidden) in a loop that XLA runs."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    asked = partial(_asked, dtype, precision)
    rng = np.random.default_rng(0)

    def workload(width: int) -> Workload:
        flops = 2 * width * batch * hidden**2
        count = max(1, min(ENOUGH[device.platform] // flops, MOST))
        shapes = (count, batch, hidden), (hidden, width * hidden)
        a, b = (
            asked(lambda shape=shape: jax.device_put(rng.standard_normal(shape).astype(jnp.dtype(dtype)), device))
            for shape in shapes
        )
        multiply = jax.jit(lambda a, b: jax.lax.map(lambda one: one @ b, a))
        return Workload(lambda: asked(multiply, a, b), float(flops * count))

    return {f"products_per_second.{width}": workload(width) for width in (1, 2, 3, 4)}


def _asked(dtype: str, precision: str, function: Callable[..., Array], *arguments: Array) -> Array:
    """What the function gives, once it is there, under the settings of a program."""
    import jax

    with jax.enable_x64(dtype == "float64"), jax.default_matmul_precision(precision):
        return jax.block_until_ready(function(*arguments))


def matrix_size(platform: str, dtype: str) -> int:
    """Rows of the matrices: enough to fill the device, few enough for CPUs that only emulate a half precision."""
    if platform == "cpu":
        return 2048 if dtype in ("float32", "float64") else 1024
    return 8192
