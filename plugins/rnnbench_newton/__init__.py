"""`newton`: all states of a sequence at once, by Newton's iterations. Importing this imports no framework."""

from __future__ import annotations

from rnnbench import Implementation, Probe, hookimpl
from rnnbench_newton import jax_binding, torch_binding
from rnnbench_newton.predictability import PREDICTABILITY


@hookimpl
def rnnbench_implementations() -> tuple[Implementation, ...]:
    """The same method for both frameworks."""
    return (*torch_binding.IMPLEMENTATIONS, *jax_binding.IMPLEMENTATIONS)


@hookimpl
def rnnbench_probes() -> tuple[Probe, ...]:
    """How many iterations it takes, and what that depends on."""
    return (PREDICTABILITY,)
