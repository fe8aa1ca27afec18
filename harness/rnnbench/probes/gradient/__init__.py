"""Do gradients survive the way back through time, at initialisation and during training.

Four views of one recurrence, all in float64 and on closed forms to rounding: norms of dL/ds_t and dL/dx_t against lag,
the Lyapunov spectrum and singular values of the state's Jacobians, norms of the parameters' gradient, and saturation.
"""

from __future__ import annotations

from rnnbench.probe import Probe
from rnnbench.probes.gradient.measuring import measure
from rnnbench.probes.gradient.quantities import QUANTITIES
from rnnbench.probes.gradient.settings import GradientSettings

__all__ = ["GRADIENT", "GradientSettings"]

GRADIENT = Probe(
    name="gradient",
    version=3,
    settings=GradientSettings,
    quantities=QUANTITIES,
    measure=measure,
    ignores=("implementation", "dtype", "dropout", "threads"),
    uses_task=True,
    quiet=False,
    doc="norm of dL/dh_t against lag, Lyapunov exponents, saturation: does the gradient vanish or explode, how fast",
)
