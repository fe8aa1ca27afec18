"""Is what is about to be timed the function it claims to be?

An implementation is compared with the NumPy float64 oracle on the case's own sizes: outputs, final state, and
gradients with respect to parameters and inputs. How far apart the two may be is not guessed but measured: the oracle
is run again with rounding noise of the program's dtype injected into weights, inputs and every time step, and the
implementation may deviate by at most `SLACK` times what that noise does. A chaotic cell is thus allowed its chaos, a
contracting one nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench import oracle
from rnnbench.cell import Cell, Params, State, leaves, tree_map
from rnnbench.model import Model, States, Weights, batched, run

if TYPE_CHECKING:
    from rnnbench.backend import Program
    from rnnbench.implementation import Unroll

EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}
"""Spacing of numbers above 1."""

SLACK = 12.0
"""An honest float32 kernel stays under 3 times the injected noise (measured over the shipped cells and lengths up to
2048); a planted fault is at 10^3 and more."""

NOISE_DRAWS = 3
"""Draws of the noise behind one tolerance for a gradient: a single draw can by chance do next to nothing."""

LONGEST_GRADIENT = 2048
"""Gradients are checked over at most this many steps, outputs over all of them: the oracle pays for each step."""


@dataclass(frozen=True)
class Check:
    """One comparison: the largest deviation and the largest that would have been accepted."""

    name: str
    deviation: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """False also where the deviation is not a number."""
        return self.deviation <= self.tolerance

    def sentence(self) -> str:
        """What a user reads of a failed check."""
        return f"{self.name} are off by {self.deviation:.2g}, at most {self.tolerance:.2g} is accepted"


def projection_loss(ops: Any, outputs: Any, batch: Mapping[str, Any]) -> Any:
    """L = Σ cotangent ∘ outputs: its gradient is the vector-Jacobian product with any cotangent one likes."""
    return ops.sum(outputs * batch["cotangent"])


def against_oracle(program: Program, model: Model, weights: Weights, xs: np.ndarray, dtype: str) -> list[Check]:
    """Outputs, final state and gradients of `program` (built with `projection_loss`) against the oracle on xs_TBD.

    Rows of a batch do not depend on each other (the full kit tests that), so three of them are compared: first, middle,
    last.
    """
    rng = np.random.default_rng(0)
    rows = sorted({0, xs.shape[1] // 2, xs.shape[1] - 1})
    checks = _forward_checks(program, model, weights, xs, rows, dtype, rng)
    return checks + _gradient_checks(program, model, weights, xs[:LONGEST_GRADIENT], rows, dtype, rng)


def _forward_checks(
    program: Program,
    model: Model,
    weights: Weights,
    xs: np.ndarray,
    rows: Sequence[int],
    dtype: str,
    rng: np.random.Generator,
) -> list[Check]:
    states, outputs = program.forward(program.put({"xs": xs})["xs"])
    got_states = [program.get(leaf)[rows] for state in states for leaf in leaves(state)]
    got = program.get(outputs)[:, rows]
    true_states, true = oracle.forward(model, weights, xs[:, rows])
    noisy_states, noisy = _noisy_forward(model, weights, xs[:, rows], EPS[dtype], rng)
    checks = [_outputs_check(got, true, noisy, EPS[dtype])]
    pairs = zip(got_states, _flat(true_states), _flat(noisy_states), strict=True)
    checks += [_state_check(*pair, EPS[dtype]) for pair in pairs]
    return checks


def _outputs_check(got: np.ndarray, true: np.ndarray, noisy: np.ndarray, eps: float) -> Check:
    """Time step by time step: early steps, which noise has had no time to disturb, are held to more than late ones."""
    if got.shape != true.shape:
        return Check(f"outputs of shape {got.shape} instead of {true.shape}", float("inf"), 0.0)
    natural = np.maximum.accumulate(np.abs(noisy - true).max(axis=(1, 2)))
    tolerance = SLACK * (natural + eps * np.abs(true).max(initial=1e-3))
    deviation = np.abs(got - true).max(axis=(1, 2))
    worst = int(np.argmax(np.where(np.isfinite(deviation), deviation / tolerance, np.inf)))
    return Check("outputs", float(deviation[worst]), float(tolerance[worst]))


def _state_check(got: np.ndarray, true: np.ndarray, noisy: np.ndarray, eps: float) -> Check:
    if got.shape != true.shape:
        return Check(f"final states of shape {got.shape} instead of {true.shape}", float("inf"), 0.0)
    tolerance = SLACK * (np.abs(noisy - true).max() + eps * np.abs(true).max(initial=1e-3))
    return Check("final states", float(np.abs(got - true).max()), float(tolerance))


def _gradient_checks(
    program: Program,
    model: Model,
    weights: Weights,
    xs: np.ndarray,
    rows: Sequence[int],
    dtype: str,
    rng: np.random.Generator,
) -> list[Check]:
    """Directional derivatives along random directions: one over all parameters, one over the inputs.

    If the parameters disagree, each is looked at alone, so that the message names the culprit.
    """
    features = model.output_size or model.hidden_size
    cotangent = np.zeros((xs.shape[0], xs.shape[1], features))
    cotangent[:, rows] = rng.standard_normal((xs.shape[0], len(rows), features))
    _, gradients, xs_gradient = program.loss_and_gradients(program.put({"xs": xs, "cotangent": cotangent}))
    found = {name: program.get(gradient) for name, gradient in gradients.items()}
    found["xs"] = program.get(xs_gradient)[:, rows]
    point = {**weights.params, "xs": xs[:, rows]}
    compare = _Directional(model, weights, point, cotangent[:, rows], EPS[dtype], rng)
    names = list(weights.params)
    checks = [compare("gradients of the parameters", found, names), compare("gradients of the inputs", found, ["xs"])]
    if not checks[0].passed:
        alone = [compare(f"gradients of {name}", found, [name]) for name in names]
        checks[:1] = [check for check in alone if not check.passed] or checks[:1]
    return checks


@dataclass(frozen=True)
class _Directional:
    """Compares ⟨g, u⟩ with the oracle's derivative along a random u."""

    model: Model
    weights: Weights
    point: Mapping[str, np.ndarray]
    cotangent: np.ndarray
    eps: float
    rng: np.random.Generator

    def __call__(self, what: str, found: Mapping[str, np.ndarray], names: Sequence[str]) -> Check:
        for name in names:
            if found[name].shape != self.point[name].shape:
                return Check(f"{what}: shape {found[name].shape} of {name}", float("inf"), 0.0)
        direction = {name: self.rng.standard_normal(self.point[name].shape) for name in names}
        terms = [float(np.sum(found[name] * direction[name])) for name in names]
        true = oracle.directional_derivative(self._loss(0.0, 0), self.point, direction)
        noisy = [
            oracle.directional_derivative(self._loss(self.eps, 1 + draw), self.point, direction)
            for draw in range(NOISE_DRAWS)
        ]
        natural = float(np.sqrt(np.mean((np.array(noisy) - true) ** 2)))
        size = float(np.sqrt(sum(np.sum((found[name] * direction[name]) ** 2) for name in names)))
        # The oracle's own difference quotient is exact to about 1e-9 of the gradient's size.
        tolerance = SLACK * (natural + (self.eps + 1e-9) * size)
        return Check(what, abs(sum(terms) - true), tolerance)

    def _loss(self, eps: float, seed: int) -> Callable[[Mapping[str, np.ndarray]], float]:
        """L at a point under one fixed draw of noise, so that differences see only the point."""

        def loss(point: Mapping[str, np.ndarray]) -> float:
            weights = Weights({k: v for k, v in point.items() if k != "xs"}, self.weights.states)
            rng = np.random.default_rng(seed)
            _, outputs = _noisy_forward(self.model, weights, point["xs"], eps, rng)
            return float(np.sum(outputs * self.cotangent))

        return loss


def _noisy_forward(
    model: Model, weights: Weights, xs: np.ndarray, eps: float, rng: np.random.Generator
) -> tuple[States, np.ndarray]:
    """The oracle with relative rounding noise of size `eps` in weights, inputs, projections, states and outputs."""

    def rounded(array: np.ndarray) -> np.ndarray:
        return array * (1 + eps * rng.uniform(-1, 1, array.shape)) if eps else array

    params = {name: rounded(array) for name, array in weights.params.items()}
    states = batched(weights.states, xs.shape[1], np.broadcast_to)
    return run(model, _noisy_unroll(model.cell, rounded), params, states, rounded(xs))


def _noisy_unroll(cell: Cell, rounded: Callable[[np.ndarray], np.ndarray]) -> Unroll:
    def loop(params: Params, state: State, xs: np.ndarray) -> tuple[State, np.ndarray]:
        zs = tree_map(rounded, cell.projected(oracle.OPS, params, xs))
        ys = []
        for t in range(xs.shape[0]):
            state, y = cell.advance(oracle.OPS, params, state, tree_map(lambda part, t=t: part[t], zs))
            state = tree_map(rounded, state)
            ys.append(rounded(y))
        return state, np.stack(ys)

    return loop


def _flat(states: States) -> list[np.ndarray]:
    return [np.asarray(leaf) for state in states for leaf in leaves(state)]
