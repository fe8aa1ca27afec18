"""Do gradients survive the way back through time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnbench.context import Context
from rnnbench.probe import Probe
from rnnbench.quantity import Curve, Measurement, Quantity, Value
from rnnbench.statistics import student_t_quantile

if TYPE_CHECKING:
    import numpy as np

POINTS = 200
"""Lags kept of a curve: enough to draw, few enough to store."""


@dataclass(frozen=True)
class GradientSettings:
    """No settings: lags run to the case's seq_len."""


def measure(context: Context) -> Measurement:
    """‖dL/ds_t‖ for every t, where L = ⟨v, y_T⟩ with a random v, at initialisation, on standard normal inputs.

    Computed in float64 by the backend's automatic differentiation of the portable step, with the norm kept as a
    logarithm.
    """
    program = context.program(dtype="float64")
    xs = program.put({"xs": context.inputs()})["xs"]
    case = context.case
    cotangent = context.rng("cotangent").standard_normal((case.batch_size, case.hidden_size))
    cotangent = program.put({"v": cotangent})["v"]
    return summarise(program.log_gradient_norms(xs, cotangent))


def summarise(log_norms: np.ndarray) -> Measurement:
    """What the natural logarithms of norms (T, B), row k−1 at lag k, say in numbers.

    decay_rate: slope of the batch mean of ln‖dL/ds‖ per step of lag, by least squares over the second half of the lags
    up to the last one where the gradient is not exactly zero (the first half holds the transient). half_life: ln 2 /
    −decay_rate, left out where the gradient does not decay. nonfinite_share: share of (t, b) where it is infinite or
    not a number.
    """
    import numpy as np

    alive = np.isfinite(log_norms)
    dead = np.isneginf(log_norms)
    values = {"gradient.nonfinite_share": Value(float(np.mean(~alive & ~dead)))}
    notes = []
    counts = alive.sum(axis=1)
    mean = np.where(alive, log_norms, 0.0).sum(axis=1) / np.maximum(counts, 1)
    lags = np.flatnonzero(counts == log_norms.shape[1]) + 1
    if dead.any():
        values["gradient.zero_from_lag"] = Value(float(np.flatnonzero(dead.any(axis=1))[0] + 1))
        notes.append(f"the gradient is exactly zero in {np.mean(dead):.0%} of steps and sequences")
    late = lags[lags > (lags[-1] // 2 if len(lags) else 0)]
    if len(late) >= 3:
        values |= _decay(late, log_norms[late - 1])
    values |= {"gradient.log_norm_at_full_lag": Value(float(mean[-1]))} if counts[-1] else {}
    return Measurement(values, {"gradient.log_norm": _curve(mean, counts)}, notes)


def _decay(lags: np.ndarray, log_norms: np.ndarray) -> dict[str, Value]:
    """Slope per sequence: their mean, and a 95 % interval over the sequences (Student's t)."""
    centred = lags - lags.mean()
    slopes = centred @ log_norms / (centred @ centred)
    rate = float(slopes.mean())
    half_width = 0.0
    if len(slopes) > 1:
        half_width = float(student_t_quantile(0.975, len(slopes) - 1) * slopes.std(ddof=1) / math.sqrt(len(slopes)))
    low, high = rate - half_width, rate + half_width
    values = {"gradient.decay_rate": Value(rate, low, high, tuple(map(float, slopes)))}
    if rate < -1e-12:
        bounds = (math.log(2) / -low, math.log(2) / -high if high < 0 else None)
        values["gradient.half_life"] = Value(math.log(2) / -rate, *bounds)
    return values


def _curve(mean: np.ndarray, counts: np.ndarray) -> Curve:
    """The batch mean at up to POINTS lags spaced evenly on a logarithmic axis; None where every sequence is zero."""
    import numpy as np

    lags = np.unique(np.geomspace(1, len(mean), min(POINTS, len(mean))).round().astype(int))
    y = [float(mean[lag - 1]) if counts[lag - 1] else None for lag in lags]
    return Curve("lag", "ln ‖dL/ds‖", [int(lag) for lag in lags], y)


GRADIENT = Probe(
    name="gradient",
    version=1,
    settings=GradientSettings,
    quantities=(
        Quantity(
            "gradient.decay_rate", "1/step", "none", "Growth of ln‖dL/ds‖ per step of lag; negative: it vanishes."
        ),
        Quantity("gradient.half_life", "step", "higher", "Steps of lag after which the gradient has halved."),
        Quantity(
            "gradient.log_norm_at_full_lag", "1", "none", "ln‖dL/ds‖ at the initial state, averaged over the batch."
        ),
        Quantity(
            "gradient.nonfinite_share", "1", "lower", "Share of steps and sequences with an infinite or NaN gradient."
        ),
        Quantity(
            "gradient.zero_from_lag", "step", "higher", "First lag at which a sequence's gradient is exactly zero."
        ),
    ),
    measure=measure,
    ignores=("implementation", "dtype", "dropout", "threads"),
    doc="norm of dL/dh_t against lag at initialisation: does the gradient vanish or explode, and how fast",
)
