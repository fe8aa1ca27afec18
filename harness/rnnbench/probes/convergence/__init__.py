"""Does the cell learn a task, and at what cost."""

from __future__ import annotations

from rnnbench.probe import Probe
from rnnbench.probes.convergence.measuring import measure
from rnnbench.probes.convergence.quantities import QUANTITIES
from rnnbench.probes.convergence.settings import ConvergenceSettings, check

__all__ = ["CONVERGENCE", "ConvergenceSettings"]

CONVERGENCE = Probe(
    name="convergence",
    version=2,
    settings=ConvergenceSettings,
    quantities=QUANTITIES,
    measure=measure,
    uses_task=True,
    check=check,
    quiet=False,
    doc="training on a task: steps, tokens and seconds to target, validation and test loss, gap, learning curves",
)
