"""What the solves of this process came to, for the record."""

from __future__ import annotations

from dataclasses import dataclass

from rnnbench import Measurement, Quantity, Value
from rnnbench_newton.method import ITERATIONS


@dataclass(frozen=True)
class Solve:
    """One sequence of steps solved at once. residual, tolerance: relative to the largest state.

    memory: bytes of the Jacobians of all its steps.
    """

    iterations: int
    residual: float
    tolerance: float
    memory: int

    @property
    def converged(self) -> bool:
        """Whether the states are the iterations' own; else the sequential loop made them."""
        return self.residual <= self.tolerance


SOLVES: list[Solve] = []
"""Of this process, in the order they ended."""

QUANTITIES = (
    Quantity("newton.iterations", "1", "lower", "Newton iterations of a solve, at most."),
    Quantity("newton.residual", "1", "lower", "Residual that the iterations ended with, over the largest state."),
    Quantity("newton.jacobian_memory", "B", "lower", "Bytes of the Jacobians of one solve, as they are stored."),
    Quantity(
        "newton.fallback_share",
        "1",
        "lower",
        "Share of the solves that did not converge, whose states the sequential loop made.",
        alarm=True,
        title="solves that fell back to the sequential loop",
    ),
)


def taken() -> list[Solve]:
    """The solves since this was last asked."""
    found = list(SOLVES)
    SOLVES.clear()
    return found


def measured(solves: list[Solve]) -> Measurement:
    """Values of `QUANTITIES`, and a sentence where solves did not converge."""
    if not solves:
        return Measurement()
    lost = [solve for solve in solves if not solve.converged]
    known = [solve.residual for solve in solves if solve.residual < float("inf")]
    values = {
        "newton.iterations": Value(max(solve.iterations for solve in solves), bound="lower" if lost else None),
        "newton.jacobian_memory": Value(max(solve.memory for solve in solves), origin="counted"),
        "newton.fallback_share": Value(len(lost) / len(solves)),
    }
    if known:
        values["newton.residual"] = Value(max(known))
    return Measurement(values, notes=[sentence(lost, len(solves))] if lost else [])


def sentence(lost: list[Solve], count: int) -> str:
    """Of solves that did not converge."""
    worst = max(lost, key=lambda solve: solve.residual)
    return (
        f"not converged: {len(lost)} of {count} solves had a residual above {worst.tolerance:.1e} after {ITERATIONS} "
        f"iterations ({worst.residual:.1e} at worst), and the sequential loop made their states and outputs"
    )
