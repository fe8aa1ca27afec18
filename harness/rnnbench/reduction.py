"""At special weights one cell computes what another does: an identity that holds on every framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Weights = Mapping[str, Any]


def _as_they_are(params: Weights) -> Weights:
    return params


@dataclass(frozen=True)
class Reduction:
    """An identity between a cell and another one, from initial states, on the same inputs.

    to: the other cell, spelled as in suites: `lstm`, `retnet(heads=1)`.
    weights(params) -> params
        From the parameters of the other cell (NumPy float64, one layer) those of this cell that make it the same.
    options: of this cell.
    special(params) -> params
        What the other cell's parameters must be; without it, whatever they are.
    why: the identity in one line.

    Example: minimal gates that are open.

        >>> import numpy as np
        >>> from rnnbench import Reduction
        >>> always = Reduction("rnn", lambda p: {"weight": p["weight_hh"], "gate": np.full(4, 800.0)}, why="f = 1")
        >>> always.to
        'rnn'
    """

    to: str
    weights: Callable[[Weights], Weights]
    options: Mapping[str, Any] = field(default_factory=dict)
    special: Callable[[Weights], Weights] = _as_they_are
    why: str = ""
