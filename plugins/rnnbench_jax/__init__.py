"""JAX: the backend and its implementations. Importing this package does not import jax."""

from __future__ import annotations

from rnnbench import Backend, Implementation, hookimpl, module_implementation
from rnnbench_jax import chunkwise
from rnnbench_jax.associative_scan import ASSOCIATIVE_SCAN
from rnnbench_jax.backend import JaxBackend
from rnnbench_jax.cudnn import CUDNN
from rnnbench_jax.pallas import PALLAS
from rnnbench_jax.scan import SCAN


@hookimpl
def rnnbench_backends() -> tuple[Backend, ...]:
    """The one backend of this package."""
    return (JaxBackend(),)


@hookimpl
def rnnbench_implementations() -> tuple[Implementation, ...]:
    """The stepwise reference first."""
    return (SCAN, module_implementation("jax"), ASSOCIATIVE_SCAN, *chunkwise.IMPLEMENTATIONS, PALLAS, CUDNN)
