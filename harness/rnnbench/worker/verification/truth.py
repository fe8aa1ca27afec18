"""What a program should give, and how far rounding alone may lead it away from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from rnnbench.cell import leaves
from rnnbench.model import Model, States, Weights, adjoint, batched, oracle
from rnnbench.model.adjoint import Noise, Pass
from rnnbench.model.bptt import spans
from rnnbench.ops import EPS

LIMITS = {"float64": 1.8e308, "float32": 3.4e38, "bfloat16": 3.4e38, "float16": 65504.0}
"""The largest numbers."""

TINY = {"float64": 2.3e-308, "float32": 1.2e-38, "bfloat16": 1.2e-38, "float16": 6.2e-5}
"""Below the smallest normal numbers, precision is lost."""

CALM = 0.01
"""Share of the largest output that rounding may move one by, for a sequence to count as predictable."""

LINEAR = 1e-3
"""Deviations below this share grow in proportion to the noise, so that one run serves every smaller rounding."""


@dataclass(frozen=True)
class Truth:
    """The oracle on one set of weights, xs_TBD and cotangent_TBO, computed when first asked for.

    segment: see `rnnbench.model.bptt`; None where gradients are not truncated.
    """

    model: Model
    weights: Weights
    xs: np.ndarray
    cotangent: np.ndarray
    segment: int | None = None
    _noisy: dict[str, Pass] = field(default_factory=dict)
    _runs: dict[str, tuple[np.ndarray, tuple[np.ndarray, ...]]] = field(default_factory=dict)

    @cached_property
    def run(self) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """(outputs, leaves of the final states)."""
        return _told(oracle.forward(self.model, self.weights, self.xs))

    @cached_property
    def starts(self) -> list[States]:
        """The states at the start of each segment."""
        found = [batched(self.weights.states, self.xs.shape[1], np.broadcast_to)]
        for span in spans(len(self.xs), self.segment or len(self.xs))[:-1]:
            found.append(oracle.forward(self.model, self.weights, self.xs[span], found[-1])[0])
        return found

    @cached_property
    def back(self) -> Pass:
        """Gradients of Σ cotangent ∘ outputs."""
        return adjoint.gradients(self.model, self.weights, self.xs, self.cotangent, self.segment)

    def noisy(self, dtype: str) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Outputs and final states with the roundings of a dtype."""
        if dtype not in self._runs:
            noise = Noise(EPS[dtype], 1)
            self._runs[dtype] = _told(adjoint.forward(self.model, self.weights, self.xs, noise))
        return self._runs[dtype]

    def natural(self, dtype: str) -> np.ndarray:
        """By how much roundings move the outputs, per step (T,): the most so far, for errors are carried on."""
        return np.maximum.accumulate(np.abs(self.noisy(dtype)[0] - self.run[0]).max(axis=(1, 2)))

    def predictable(self, dtype: str) -> int:
        """The number of steps over which rounding does not decide what the outputs are."""
        natural, size = self.natural(dtype), max(np.abs(self.run[0]).max(), 1e-3)
        calm = natural <= CALM * size
        return len(calm) if calm.all() else int(np.argmin(calm))

    def moved(self, dtype: str) -> Mapping[str, np.ndarray]:
        """By how much roundings move each gradient, element by element.

        One run with the noise of float32 serves float64 too, as long as what it does is small.
        """
        wide = "float32" if dtype == "float64" else dtype
        found = self._moved(wide)
        if wide == dtype:
            return found
        small = all(
            np.linalg.norm(moved) <= LINEAR * np.linalg.norm(self.back.gradients[name]) for name, moved in found.items()
        )
        scale = EPS[dtype] / EPS[wide]
        return {name: moved * scale for name, moved in found.items()} if small else self._moved(dtype)

    def _moved(self, dtype: str) -> Mapping[str, np.ndarray]:
        if dtype not in self._noisy:
            noise = Noise(EPS[dtype], 2)
            self._noisy[dtype] = adjoint.gradients(
                self.model, self.weights, self.xs, self.cotangent, self.segment, noise
            )
        return {name: self._noisy[dtype].gradients[name] - true for name, true in self.back.gradients.items()}

    def first(self, steps: int) -> Truth:
        """The same over the first steps alone."""
        return Truth(self.model, self.weights, self.xs[:steps], self.cotangent[:steps], self.segment)


def calmed(model: Model, weights: Weights, xs: np.ndarray, dtype: str) -> Weights | None:
    """The weights of the cell scaled down until its outputs are predictable over all of xs; None where none is."""
    for factor in (0.5, 0.25, 0.1, 0.03):
        params = {
            name: array * factor if name.startswith("layers.") else array for name, array in weights.params.items()
        }
        scaled = Weights(params, weights.states)
        truth = Truth(model, scaled, xs, np.empty(0))
        with np.errstate(all="ignore"):
            if np.isfinite(truth.run[0]).all() and truth.predictable(dtype) == len(xs):
                return scaled
    return None


def _told(found: tuple[States, np.ndarray]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    states, outputs = found
    return outputs, tuple(np.asarray(leaf) for state in states for leaf in leaves(state))


def largest(arrays: Any) -> float:
    """The largest modulus of any array; inf where one is not finite."""
    found = max((float(np.abs(array).max(initial=0.0)) for array in arrays), default=0.0)
    return found if np.isfinite(found) else float("inf")
