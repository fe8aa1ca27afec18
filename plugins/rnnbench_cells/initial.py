"""Initial weights that several families share. All float64, drawn with `rng` alone."""

from __future__ import annotations

import math
from typing import Any

from rnnbench import UsageError

Rng = Any
"""A numpy.random.Generator."""


def torch_uniform(rng: Rng, gates: int, D: int, H: int) -> dict[str, Any]:
    """What torch.nn.RNN, LSTM and GRU start from: every entry uniform in ±1/sqrt(H), biases too.

    weight_ih (gates·H, D), weight_hh (gates·H, H), bias_ih and bias_hh (gates·H,): torch's names without the `_l0`.
    """
    bound = H**-0.5
    shapes = {
        "weight_ih": (gates * H, D),
        "weight_hh": (gates * H, H),
        "bias_ih": (gates * H,),
        "bias_hh": (gates * H,),
    }
    return {name: rng.uniform(-bound, bound, shape) for name, shape in shapes.items()}


def orthogonal(rng: Rng, H: int) -> Any:
    """A rotation or reflection (H, H), uniform over all of them (Mezzadri 2007, arXiv:math-ph/0609050, section 5).

    The signs matter: QR alone leaves a bias that depends on the library's QR.
    """
    import numpy as np

    q, r = np.linalg.qr(rng.standard_normal((H, H)))
    return q * np.sign(np.diagonal(r))


def finite(name: str, value: float) -> float:
    """`value`, or UsageError where a weight drawn with it would be infinite or NaN."""
    if not math.isfinite(value):
        raise UsageError(f"option {name!r} must be a finite number, found {value}.")
    return value
