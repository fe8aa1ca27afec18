"""What the gradient probe reports, at each moment it is asked at."""

from __future__ import annotations

from dataclasses import replace

from rnnbench.quantity import Quantity

_AT_START = (
    Quantity(
        "gradient.decay_rate",
        "1/step",
        "none",
        "Growth of ln‖dL/ds‖ per step of lag, at initialisation; negative: it vanishes.",
        headline=11,
        group="gradients",
        fallback="gradient.half_life",
        title="decay rate of the gradient at initialisation",
    ),
    Quantity(
        "gradient.half_life",
        "step",
        "higher",
        "At initialisation the gradient halves every so many steps of lag.",
        headline=1,
        group="gradients",
        title="half-life of the gradient at initialisation",
    ),
    Quantity(
        "gradient.reach",
        "step",
        "higher",
        "Largest lag at which, at initialisation, more than 1e-3 of the gradient at lag 1 is left.",
        headline=2,
        group="short memory",
        title="reach of the gradient at initialisation",
    ),
    Quantity(
        "gradient.input_reach",
        "step",
        "higher",
        "Largest lag with more than 1e-3 of dL/dx at the last input, at initialisation.",
        group="short memory",
        title="reach of the gradient to inputs at initialisation",
    ),
    Quantity("gradient.log_norm_at_full_lag", "1", "none", "ln‖dL/ds‖ at the initial state, averaged over the batch."),
    Quantity(
        "gradient.nonfinite_share",
        "1",
        "lower",
        "Share of steps and sequences with an infinite or NaN gradient.",
        group="gradients",
        alarm=True,
    ),
    Quantity("gradient.zero_from_lag", "step", "higher", "First lag at which a sequence's gradient is exactly zero."),
    Quantity("gradient.horizon", "step", "higher", "Steps over which gradients stay within a factor of 1000."),
    Quantity(
        "gradient.lyapunov.max",
        "1/step",
        "none",
        "Largest Lyapunov exponent; positive on a bounded orbit: chaos.",
        headline=12,
        group="gradients",
        title="largest Lyapunov exponent at initialisation",
    ),
    Quantity("gradient.lyapunov.sum", "1/step", "none", "Sum of the exponents: growth of volume in state space."),
    Quantity("gradient.lyapunov.log_det", "1/step", "none", "Mean ln|det J|, which the whole spectrum must sum to."),
    Quantity(
        "gradient.lyapunov.dimension", "1", "none", "Kaplan-Yorke dimension of the attractor, where there is one."
    ),
    Quantity("gradient.lyapunov.lost", "1", "lower", "Directions of the state that are forgotten exactly."),
    Quantity("gradient.singular.max", "1/step", "none", "ln of the largest singular value of J_m···J_1, over m."),
    Quantity(
        "gradient.singular.min", "1/step", "none", "ln of the smallest nonzero singular value of J_m···J_1, over m."
    ),
    Quantity("gradient.parameter_norm", "1", "none", "Norm of the task loss's gradient by all parameters."),
    Quantity("gradient.saturation", "1", "lower", "Share of gate, tanh and ReLU outputs that are saturated."),
)
_TRAINING = Quantity(
    "gradient.clipping_share",
    "1",
    "lower",
    "Share of training steps whose gradient is longer than `clip`.",
    headline=14,
    group="gradients",
)


def prefix(moment: str) -> str:
    """`gradient` at the start of training, `gradient.end` at its end."""
    return "gradient" if moment == "start" else f"gradient.{moment}"


def _at(moment: str, quantity: Quantity) -> Quantity:
    """The same of a later moment; of those the half-life at the end is read first."""
    name = quantity.name.replace("gradient", prefix(moment), 1)
    headline = 13 if name == "gradient.end.half_life" else None
    later = f"at the {moment} of training"
    doc = quantity.doc.replace("at initialisation", later).replace("At initialisation", later.capitalize())
    title = quantity.title.replace("at initialisation", later)
    return replace(quantity, name=name, doc=doc, headline=headline, fallback="", title=title)


QUANTITIES = tuple(
    replace(one, portable=True)
    for one in (
        *_AT_START,
        *(_at(moment, quantity) for moment in ("middle", "end") for quantity in _AT_START),
        _TRAINING,
    )
)
