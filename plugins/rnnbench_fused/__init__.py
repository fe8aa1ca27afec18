"""`fused`: kernels for the CPU, generated from the portable step of any cell. Importing this imports no framework."""

from __future__ import annotations

from rnnbench import Implementation, hookimpl
from rnnbench_fused import jax_binding, torch_binding


@hookimpl
def rnnbench_implementations() -> tuple[Implementation, ...]:
    """The same kernels for both frameworks."""
    return (torch_binding.implementation, jax_binding.implementation)
