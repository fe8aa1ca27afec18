"""How the gradient of the last output shrinks or grows on its way back through the states."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rnnbench import States, leaves, tree_map

if TYPE_CHECKING:
    import torch

Advance = Callable[[States, "torch.Tensor"], tuple[States, "torch.Tensor"]]
"""advance(states, x_BD) -> (states, y_BH): one time step of all layers."""


def log_norms(advance: Advance, states: States, xs: torch.Tensor, cotangent: torch.Tensor) -> torch.Tensor:
    """ln ‖dL/ds_{T−k}‖ for L = Σ cotangent ∘ y_T in row k − 1: float64 (T, B), on the device.

    One vector-Jacobian product per step, each on a vector of unit length, so that nothing underflows; the logarithms of
    the lengths add up in float64. Rows of the batch do not depend on each other. Memory: all states, one step's graph.
    """
    import torch

    visited = _trajectory(advance, states, xs)
    gradient = _pulled_back(lambda s: advance(s, xs[-1])[1], visited.pop(), cotangent)
    gradient, norm = _normalised(gradient)
    norms = [norm]
    for x in reversed(xs[:-1].unbind(0)):
        gradient = _pulled_back(lambda s, x=x: advance(s, x)[0], visited.pop(), gradient)
        gradient, norm = _normalised(gradient)
        norms.append(norm)
    return torch.stack(norms).log().cumsum(0)


def _pulled_back(function: Callable[[States], Any], states: States, cotangent: Any) -> States:
    """The gradient of ⟨cotangent, function(states)⟩."""
    import torch

    pull = torch.func.vjp(function, states)[1]
    return pull(cotangent)[0]


def _trajectory(advance: Advance, states: States, xs: torch.Tensor) -> list[States]:
    """s_0 ... s_{T−1}."""
    import torch

    visited = [states]
    with torch.no_grad():
        for x in xs[:-1].unbind(0):
            states, _ = advance(states, x)
            visited.append(states)
    return visited


def _normalised(gradient: States) -> tuple[States, torch.Tensor]:
    """The gradient with every row of the batch at length 1, and the lengths as float64 (B,).

    A row that is exactly zero stays zero (its length's logarithm is −inf, from there on); one that is not finite turns
    NaN.
    """
    import torch

    flat = [leaf for state in gradient for leaf in leaves(state)]
    norm = torch.linalg.vector_norm(torch.stack([_row_norms(leaf) for leaf in flat]), dim=0)
    divisor = torch.where(norm == 0, 1.0, norm)

    def scaled(leaf: Any) -> Any:
        return leaf / divisor.to(leaf.real.dtype).reshape(-1, *(1,) * (leaf.ndim - 1))

    return tuple(tree_map(scaled, state) for state in gradient), norm


def _row_norms(leaf: torch.Tensor) -> torch.Tensor:
    """Euclidean length of each row in float64; a complex number counts by its modulus."""
    import torch

    real = torch.view_as_real(leaf) if leaf.is_complex() else leaf
    return torch.linalg.vector_norm(real.reshape(len(leaf), -1), dim=1, dtype=torch.float64)
