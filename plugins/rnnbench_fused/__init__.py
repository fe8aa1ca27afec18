"""`fused` and `triton`: kernels generated from the portable step of any cell. Importing this imports no framework."""

from __future__ import annotations

from rnnbench import Implementation, hookimpl
from rnnbench_fused import jax_binding, torch_binding, triton_binding


@hookimpl
def rnnbench_implementations() -> tuple[Implementation, ...]:
    """The same kernels for both frameworks on a CPU, and those for a GPU under torch."""
    return (torch_binding.implementation, jax_binding.implementation, triton_binding.implementation)
