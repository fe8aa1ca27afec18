"""The probe `predictability`: iterations of a parallel solve against the largest Lyapunov exponent.

Where the exponent is negative a trajectory forgets its start, and Newton's iterations over time converge in O((log T)²)
steps of work; where it is positive, their conditioning worsens exponentially with T (Gonzalez et al. 2025,
arXiv:2508.16817).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from rnnbench import (
    Context,
    Curve,
    Measurement,
    Positive,
    Probe,
    Quantity,
    Skipped,
    Value,
    Weights,
    lyapunov,
)
from rnnbench_newton import account
from rnnbench_newton.method import ITERATIONS

EXPONENT = "lyapunov.max"
_RANKS = {"newton.iterations": 1, "newton.jacobian_memory": 3, "newton.fallback_share": 4}

QUANTITIES = (
    Quantity(EXPONENT, "1/step", "none", "Largest Lyapunov exponent, along one sequence.", True, headline=2),
    *(replace(one, deterministic=True, headline=_RANKS.get(one.name)) for one in account.QUANTITIES),
)


@dataclass(frozen=True)
class PredictabilitySettings:
    """gains: factors of the recurrent matrices at which iterations and exponent are measured, for the curve of one
    against the other; the numbers of the table are those of the cell as it is.
    """

    gains: tuple[Positive, ...] = (0.5, 1.0, 2.0)


def measure(context: Context) -> Measurement:
    """One forward pass over standard normal inputs at each gain, in the case's dtype; exponents in float64."""
    if context.implementation.account is None:
        raise Skipped(
            f"{context.case.implementation} does not iterate: write `implementation: newton`, or newton_diag or "
            "newton_block2"
        )
    notes, points = [], []
    gains = context.settings.gains
    if not context.model.recurrent:
        gains, notes = (), ["no parameter multiplies the state, so there is nothing to scale"]
    own, exponent = _at(context, 1.0)
    for gain in sorted({1.0, *gains}):
        found, at = (own, exponent) if gain == 1.0 else _at(context, gain)
        if not math.isfinite(at):  # of a net whose units are all shut, say
            notes.append(f"recurrent matrices times {gain:g}: no exponent, since a perturbation vanishes altogether")
            continue
        lost = found.value("newton.fallback_share").value > 0
        points.append((at, ITERATIONS if lost else found.value("newton.iterations").value))
        notes += [f"recurrent matrices times {gain:g}, exponent {at:.3g} per step: {note}" for note in found.notes]
    points.sort()
    curve = Curve(
        "largest Lyapunov exponent (1/step)",
        f"iterations ({ITERATIONS}: not converged)",
        [x for x, _ in points],
        [y for _, y in points],
    )
    values = {**own.values, EXPONENT: Value(exponent)} if math.isfinite(exponent) else own.values
    return Measurement(values, {"iterations": curve} if points else {}, notes)


def _at(context: Context, gain: float) -> tuple[Measurement, float]:
    """(what the solve came to, the exponent) with the recurrent matrices times a gain."""
    drawn = context.weights()
    scaled = {name: array * gain if name in context.model.recurrent else array for name, array in drawn.params.items()}
    weights, xs = replace(drawn, params=scaled), context.inputs()
    program, implementation = context.program(weights), context.implementation
    assert implementation.account is not None
    implementation.account()  # of what came before
    program.forward(program.put({"xs": xs})["xs"])
    return implementation.account(), _exponent(context, weights, xs)


def _exponent(context: Context, weights: Weights, xs: object) -> float:
    """By the growth of one tangent along the first sequence, the first fifth of its steps left out."""
    program = context.program(weights, dtype="float64")
    _, found = program.state_jacobians(program.put({"xs": xs})["xs"][:, :1])  # type: ignore[dict-item]
    spectrum = lyapunov.follow(found[:, 0], 1, context.rng("tangents"))
    return lyapunov.late_mean([spectrum], 0)


PREDICTABILITY = Probe(
    name="predictability",
    version=1,
    settings=PredictabilitySettings,
    quantities=QUANTITIES,
    measure=measure,
    ignores=("dropout",),
    doc="Newton iterations of a parallel solve over time against the largest Lyapunov exponent",
)
