"""The truth: the portable mathematics run by NumPy in float64, one plain loop, nothing clever.

Implementations are checked against it before anything is timed. Gradients of the truth come from central differences
along a direction, so they need no automatic differentiation and no trust in any framework.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnnbench.cell import Cell, Params, State, tree_map
from rnnbench.model import Model, States, Weights, batched, run_model
from rnnbench.ops import numpy_ops

if TYPE_CHECKING:
    from rnnbench.implementation import Unroll

OPS = numpy_ops()


def unroll(cell: Cell) -> Unroll:
    """The cell over xs_TBD by a loop over its step."""

    def loop(params: Params, state: State, xs: np.ndarray) -> tuple[State, np.ndarray]:
        opened = cell.open(OPS, params, state, xs)
        own, ys = opened.state, []
        for t in range(xs.shape[0]):
            own, y = cell.advance(OPS, opened.params, own, tree_map(lambda part, t=t: part[t], opened.zs))
            ys.append(y)
        return opened.close(own), np.stack(ys)

    return loop


def forward(model: Model, weights: Weights, xs: np.ndarray, states: States | None = None) -> tuple[States, np.ndarray]:
    """(final states, outputs) of the model on xs_TBD, from the initial states unless others are given."""
    if states is None:
        states = batched(weights.states, xs.shape[1], np.broadcast_to)
    return run_model(model, unroll(model.cell), weights.params, states, xs)


def pieces(
    model: Model, weights: Weights, xs: np.ndarray, cuts: Sequence[slice], starts: Sequence[States]
) -> np.ndarray:
    """Outputs of the pieces of xs_TBD, each from a given state, one after the other."""
    parts = zip(cuts, starts, strict=True)
    return np.concatenate([forward(model, weights, xs[span], states)[1] for span, states in parts])


Function = Callable[[Mapping[str, np.ndarray]], float]


def central_difference(
    function: Function, point: Mapping[str, np.ndarray], direction: Mapping[str, np.ndarray], step: float
) -> float:
    """(f(point + step·direction) − f(point − step·direction)) / 2 step; arrays absent from `direction` stay put."""
    ahead = {k: v + step * direction[k] if k in direction else v for k, v in point.items()}
    behind = {k: v - step * direction[k] if k in direction else v for k, v in point.items()}
    return (function(ahead) - function(behind)) / (2 * step)


def directional_derivative(
    function: Function, point: Mapping[str, np.ndarray], direction: Mapping[str, np.ndarray], step: float = 1e-5
) -> float:
    """d/dε function(point + ε·direction) at ε = 0 for a smooth function: a central difference, extrapolated once.

    The error is O(step^4) (Richardson 1911) plus rounding of order 1e-16/step.
    """
    once = central_difference(function, point, direction, step)
    twice = central_difference(function, point, direction, 2 * step)
    return (4 * once - twice) / 3
