"""How much of a cell's gates and squashing functions is saturated, whatever the cell.

The portable mathematics is run by NumPy with activations that note their outputs, so a cell needs to declare nothing.
Thresholds as in Karpathy, Johnson & Fei-Fei 2015 (arXiv:1506.02078, section 4.2): a sigmoid gate is left-saturated
below 0.1 and right-saturated above 0.9. A tanh is the same function stretched, tanh x = 2σ(2x) − 1, so its limits are
∓0.8; there its slope is 0.36 of the largest, as the sigmoid's is. A ReLU at zero passes no gradient at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rnnbench.cell import leaves
from rnnbench.model import Model, Weights, advance_model, batched
from rnnbench.ops import ACTIVATIONS, Ops

if TYPE_CHECKING:
    import numpy as np

LIMITS = {"sigmoid": (0.1, 0.9), "tanh": (-0.8, 0.8), "relu": (0.0, float("inf"))}
"""At or below the first an output is left-saturated, at or above the second right-saturated."""
SEQUENCES = 3
"""Sequences looked at: every entry of every step of each counts, so three are plenty."""


@dataclass
class Saturation:
    """left, right, total: entries seen per call site, `sigmoid 2` being the third sigmoid that a time step calls,
    through all layers. sizes: largest |entry| of the state after each step. one_orbit: whether all sequences looked at
    had the same states at all times, which inputs then do not reach.
    """

    left: dict[str, int] = field(default_factory=dict)
    right: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    sizes: list[float] = field(default_factory=list)
    one_orbit: bool = False

    @property
    def share(self) -> float | None:
        """Saturated share of all entries of all sites, None for a cell without such activations."""
        total = sum(self.total.values())
        return (sum(self.left.values()) + sum(self.right.values())) / total if total else None

    @property
    def sites(self) -> dict[str, dict[str, float]]:
        """Shares per call site."""
        return {
            site: {"left": self.left[site] / total, "right": self.right[site] / total}
            for site, total in self.total.items()
        }

    def note(self, site: str, name: str, outputs: np.ndarray) -> None:
        """Count the outputs of one call."""
        low, high = LIMITS[name]
        for counts, found in ((self.left, outputs <= low), (self.right, outputs >= high)):
            counts[site] = counts.get(site, 0) + int(found.sum())
        self.total[site] = self.total.get(site, 0) + outputs.size


def observe(model: Model, weights: Weights, xs: np.ndarray) -> Saturation:
    """Run xs_TBD (its first SEQUENCES sequences) through the model step by step; nothing is seen of a foreign class."""
    import numpy as np

    seen = Saturation()
    if not model.cell.portable:
        return seen
    xs = xs[:, :SEQUENCES]
    states = batched(weights.states, xs.shape[1], np.broadcast_to)
    seen.one_orbit = xs.shape[1] > 1
    with np.errstate(over="ignore", invalid="ignore"):
        for x in xs:
            states, _ = advance_model(model, _noting(seen), weights.params, states, x)
            seen.sizes.append(_largest(states))
            seen.one_orbit = seen.one_orbit and _equal_rows(states)
    return seen


def _noting(seen: Saturation) -> Any:
    """The NumPy namespace for one time step, with activations that are numbered in the order they are called."""
    import numpy as np

    from rnnbench.model.oracle import OPS

    calls: dict[str, int] = {}

    def noting(name: str) -> Callable[..., Any]:
        plain = getattr(OPS, name)

        def call(x: Any) -> Any:
            number = calls[name] = calls.get(name, -1) + 1
            outputs = plain(x)
            seen.note(f"{name} {number}", name, outputs)
            return outputs

        return call

    activations = {name: noting(name) if name in LIMITS else getattr(OPS, name) for name in ACTIVATIONS}
    return Ops(np, **activations, tanh=noting("tanh"))


def _largest(states: Any) -> float:
    import numpy as np

    return max(float(np.max(np.abs(leaf), initial=0.0)) for state in states for leaf in leaves(state))


def _equal_rows(states: Any) -> bool:
    import numpy as np

    return all(np.array_equal(leaf[1:], leaf[:-1]) for state in states for leaf in leaves(state))
