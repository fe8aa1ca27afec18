"""The shipped probes, a plugin like any other."""

from __future__ import annotations

from rnnbench.hooks import hookimpl
from rnnbench.probe import Probe
from rnnbench.probes.capacity import CAPACITY
from rnnbench.probes.convergence import CONVERGENCE
from rnnbench.probes.decode import DECODE
from rnnbench.probes.gradient import GRADIENT
from rnnbench.probes.longest import LONGEST
from rnnbench.probes.memory import MEMORY
from rnnbench.probes.parallelism import PARALLELISM
from rnnbench.probes.throughput import THROUGHPUT


@hookimpl
def rnnbench_probes() -> list[Probe]:
    """Throughput, decode, parallelism, memory, longest, gradient, capacity, convergence."""
    return [THROUGHPUT, DECODE, PARALLELISM, MEMORY, LONGEST, GRADIENT, CAPACITY, CONVERGENCE]
