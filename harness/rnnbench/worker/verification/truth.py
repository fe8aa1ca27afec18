"""What a program should give, and how far rounding alone may lead it away from that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from rnnbench.model import Model, States, Weights, adjoint, batched, oracle
from rnnbench.model.adjoint import ForwardPass, Gradients, Noise
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

Outputs = tuple[np.ndarray, tuple[np.ndarray, ...]]
"""Outputs, and the leaves of the final states."""

Rounded = tuple[str, int] | None
"""Which roundings a run has: those of a dtype, in which draw; None for the clean run."""


@dataclass(frozen=True)
class Truth:
    """The oracle on one set of weights, xs_TBD and cotangent_TBO, computed when first asked for.

    cotangent: empty where no gradients will be asked for. segment: see `rnnbench.model.bptt`; None where gradients are
    not truncated. draws: of the noise; of more than one, what they move is the root mean square.

    It is run twice, once clean and once with the roundings of float32; what is known of the way forward serves the way
    back. As long as what these do is small it is in proportion to them, and so they serve float64 too.
    """

    model: Model
    weights: Weights
    xs: np.ndarray
    cotangent: np.ndarray
    segment: int | None = None
    draws: int = 1
    _runs: dict[Rounded, ForwardPass] = field(default_factory=dict)
    _run_at: dict[Rounded, Outputs] = field(default_factory=dict)
    _differences: dict[tuple[str, int], Outputs] = field(default_factory=dict)
    _passes: dict[Rounded, Gradients] = field(default_factory=dict)

    @cached_property
    def run(self) -> Outputs:
        """(outputs, leaves of the final states)."""
        return self._forward(None)

    @cached_property
    def starts(self) -> list[States]:
        """The states at the start of each segment."""
        found = [batched(self.weights.states, self.xs.shape[1], np.broadcast_to)]
        for span in spans(len(self.xs), self.segment or len(self.xs))[:-1]:
            found.append(oracle.forward(self.model, self.weights, self.xs[span], found[-1])[0])
        return found

    @property
    def back(self) -> Gradients:
        """Gradients of Σ cotangent ∘ outputs."""
        return self._back(None)

    def disturbed(self, dtype: str) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """By how much the roundings of a dtype move outputs and final states."""
        wide = "float32" if dtype == "float64" else dtype
        found = self._disturbed(wide)
        if wide == dtype:
            return found
        small = np.abs(found[0]).max(initial=0.0) <= LINEAR * _size(self.run[0])
        scale = EPS[dtype] / EPS[wide]
        return (found[0] * scale, tuple(leaf * scale for leaf in found[1])) if small else self._disturbed(dtype)

    def natural(self, dtype: str) -> np.ndarray:
        """By how much roundings move the outputs, per step (T,): the most so far, for errors are carried on."""
        return np.maximum.accumulate(np.abs(self.disturbed(dtype)[0]).max(axis=(1, 2)))

    def predictable(self, dtype: str) -> int:
        """The number of steps over which rounding does not decide what the outputs are."""
        calm = self.natural(dtype) <= CALM * _size(self.run[0])
        return len(calm) if calm.all() else int(np.argmin(calm))

    def moved(self, dtype: str) -> Mapping[str, np.ndarray]:
        """By how much roundings move each gradient, element by element."""
        wide = "float32" if dtype == "float64" else dtype
        found = self._moved(wide)
        if wide == dtype:
            return found
        small = all(
            np.linalg.norm(moved) <= LINEAR * np.linalg.norm(self.back.gradients[name]) for name, moved in found.items()
        )
        scale = EPS[dtype] / EPS[wide]
        return {name: moved * scale for name, moved in found.items()} if small else self._moved(dtype)

    def drawn(self, draws: int) -> Truth:
        """The same with so many draws of the noise; what was run already serves it too."""
        return self if draws == self.draws else replace(self, draws=draws)

    def _disturbed(self, dtype: str) -> Outputs:
        if (dtype, self.draws) not in self._differences:
            runs = [self._forward((dtype, draw)) for draw in range(1, self.draws + 1)]
            outputs, finals = self.run
            leaves = zip(finals, zip(*(run[1] for run in runs), strict=True), strict=True)
            moved = tuple(_typical(*leaf) for leaf in leaves)
            self._differences[dtype, self.draws] = _typical(outputs, [run[0] for run in runs]), moved
        return self._differences[dtype, self.draws]

    def _moved(self, dtype: str) -> Mapping[str, np.ndarray]:
        runs = [self._back((dtype, draw)).gradients for draw in range(1, self.draws + 1)]
        return {name: _typical(true, [run[name] for run in runs]) for name, true in self.back.gradients.items()}

    def _forward(self, rounded: Rounded) -> Outputs:
        """With the roundings of a dtype, or without any. A first run is kept where a way back may be asked for."""
        if rounded not in self._run_at:
            if self.cotangent.size and (rounded is None or rounded[1] == 1):
                run = self._runs[rounded] = self._pass(rounded)
                self._run_at[rounded] = run.outputs, run.finals
            else:
                states, outputs = adjoint.forward(self.model, self.weights, self.xs, _noise(rounded))
                self._run_at[rounded] = outputs, adjoint.leaves_of(states)
        return self._run_at[rounded]

    def _back(self, rounded: Rounded) -> Gradients:
        if rounded not in self._passes:
            run = self._runs.pop(rounded, None) or self._pass(rounded)  # it holds the states of every step
            self._passes[rounded] = run.back(self.cotangent, self.segment)
        return self._passes[rounded]

    def _pass(self, rounded: Rounded) -> ForwardPass:
        return ForwardPass(self.model, self.weights, self.xs, _noise(rounded))

    @property
    def given(self) -> Weights:
        """The weights that the program has."""
        return self.weights

    def at(self, weights: Weights) -> Truth:
        """The same at other weights, without a cotangent."""
        return Truth(self.model, weights, self.xs, np.empty(0))

    def first(self, steps: int) -> Truth:
        """The same over the first steps alone."""
        return Truth(self.model, self.weights, self.xs[:steps], self.cotangent[:steps], self.segment)


def calmed(truth: Truth, dtype: str) -> Weights | None:
    """The weights of the cell scaled down until its outputs are predictable over all of xs; None where none is."""
    weights = truth.given
    for factor in (0.5, 0.25, 0.1, 0.03):
        params = {
            name: array * factor if name.startswith("layers.") else array for name, array in weights.params.items()
        }
        scaled = Weights(params, weights.states)
        calm = truth.at(scaled)
        with np.errstate(all="ignore"):
            if np.isfinite(calm.run[0]).all() and calm.predictable(dtype) == len(calm.xs):
                return scaled
    return None


def _noise(rounded: Rounded) -> Noise:
    return Noise(EPS[rounded[0]], rounded[1]) if rounded else Noise()


def _typical(true: np.ndarray, runs: Sequence[np.ndarray]) -> np.ndarray:
    """By how much the runs lie beside the truth: of one the difference, of several the root mean square."""
    if len(runs) == 1:
        return runs[0] - true
    return np.sqrt(sum(np.abs(run - true) ** 2 for run in runs) / len(runs))


def _size(outputs: np.ndarray) -> float:
    """The largest output, or what stands for one where there is none."""
    return float(max(np.abs(outputs).max(initial=0.0), 1e-3))


def largest(arrays: Any) -> float:
    """The largest modulus of any array; inf where one is not finite."""
    found = max((float(np.abs(array).max(initial=0.0)) for array in arrays), default=0.0)
    return found if np.isfinite(found) else float("inf")
