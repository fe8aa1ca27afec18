"""Is what is about to be timed the function it claims to be?

An implementation is compared with the NumPy float64 oracle on the case's own sizes: outputs, final state, and
gradients with respect to parameters and inputs. How far apart the two may be is not guessed but measured: the oracle
is run again with rounding noise of the program's dtype injected into weights, inputs and every time step, and the
implementation may deviate by at most `SLACK` times what that noise does. A chaotic cell is thus allowed its chaos, a
contracting one nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench.cell import Cell, Params, State, leaves, tree_map
from rnnbench.model import Model, States, Weights, batched, oracle, run_model
from rnnbench.model.bptt import spans
from rnnbench.ops import EPS

if TYPE_CHECKING:
    from rnnbench.backend import Program
    from rnnbench.implementation import Unroll

SLACK = 20.0
"""Of the shipped cells at T=300 and T=2048, outputs came to at most 1.3 times the injected noise and gradients, which
are sums of many roundings, to 9 times; planted faults are beyond 100 times."""

NOISE_DRAWS = 3
"""Draws of the noise behind one tolerance for a gradient: a single draw can by chance do next to nothing."""

STEPS = (1e-5, 3e-6, 3e-7, 3e-8)
"""Steps of the difference quotient, relative to the size of what is varied."""

LONGEST_GRADIENT = 1024
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


def mean_projection_loss(ops: Any, outputs: Any, batch: Mapping[str, Any]) -> Any:
    """`projection_loss` over T: a mean over time, whose truncated gradient is computed in one pass."""
    return ops.sum(ops.mean(outputs * batch["cotangent"], axis=0))


def against_oracle(
    program: Program,
    model: Model,
    weights: Weights,
    xs: np.ndarray,
    dtype: str,
    segment: int | None = None,
    one_pass: Program | None = None,
) -> list[Check]:
    """Outputs, final state and gradients of `program` (built with `projection_loss`) against the oracle on xs_TBD.

    Rows of a batch do not depend on each other (the full kit tests that), so three of them are compared: first, middle,
    last.

    segment: time steps per segment where the program's gradients are truncated: the truth is then the derivative with
    the state at the start of each segment held constant. one_pass: the same program with `mean_projection_loss`, which
    has another way to its truncated gradients (`rnnbench.model.bptt`): they are compared too.
    """
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(0)
    rows = sorted({0, xs.shape[1] // 2, xs.shape[1] - 1})
    got = _run_forward(program, xs, rows)
    length = min(len(xs), max(LONGEST_GRADIENT, (segment or 0) + 1))  # a border, where there is one, is among them
    cotangent = np.zeros((length, xs.shape[1], model.output_size or model.hidden_size))
    cotangent[:, rows] = rng.standard_normal(cotangent[:, rows].shape)
    found = [_run_gradients(program, xs[:length], cotangent, rows)]
    if one_pass is not None:
        found.append(_run_gradients(one_pass, xs[:length], cotangent * length, rows))
    with threadpool_limits(1, user_api="blas"):  # matrices this small only lose by being shared out
        checks = _forward_checks(got, model, weights, xs[:, rows], EPS[dtype], rng)
        point = {**weights.params, "xs": xs[:length, rows]}
        truth = _Directional(model, weights, point, cotangent[:, rows], EPS[dtype], rng, segment or length)
        return checks + [check for gradients in found for check in _gradient_checks(gradients, truth)]


def _run_forward(program: Program, xs: np.ndarray, rows: Sequence[int]) -> list[np.ndarray]:
    """Outputs (T, rows, O), then the leaves of the final states."""
    states, outputs = program.forward(program.put({"xs": xs})["xs"])
    return [program.get(outputs)[:, rows], *(program.get(leaf)[rows] for state in states for leaf in leaves(state))]


def _run_gradients(
    program: Program, xs: np.ndarray, cotangent: np.ndarray, rows: Sequence[int]
) -> dict[str, np.ndarray]:
    """Gradients of Σ cotangent ∘ outputs by name; `xs` for the inputs."""
    _, gradients, xs_gradient = program.loss_and_gradients(program.put({"xs": xs, "cotangent": cotangent}))
    found = {name: program.get(gradient).astype(np.float64) for name, gradient in gradients.items()}
    return found | {"xs": program.get(xs_gradient)[:, rows].astype(np.float64)}


def _forward_checks(
    got: list[np.ndarray], model: Model, weights: Weights, xs: np.ndarray, eps: float, rng: np.random.Generator
) -> list[Check]:
    true_states, true = oracle.forward(model, weights, xs)
    noisy_states, noisy = _noisy_forward(model, weights, xs, eps, rng)
    states = zip(got[1:], _flat(true_states), _flat(noisy_states), strict=True)
    return [_outputs_check(got[0], true, noisy, eps), *(_state_check(*triple, eps) for triple in states)]


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


def _gradient_checks(found: Mapping[str, np.ndarray], truth: _Directional) -> list[Check]:
    """One direction over all parameters and inputs together; if that disagrees, each alone, to name the culprits."""
    for name, gradient in found.items():
        if gradient.shape != truth.point[name].shape:
            what = f"gradients of {name}, of shape {gradient.shape} instead of {truth.point[name].shape},"
            return [Check(what, float("inf"), 0.0)]
    together = truth.compare("gradients", found, list(found))
    if together.passed:
        return [together]
    alone = [truth.compare(f"gradients of {name}", found, [name]) for name in found]
    return [check for check in alone if not check.passed] or [together]


@dataclass(frozen=True)
class _Directional:
    """Compares ⟨g, u⟩ of a gradient g with the oracle's derivative along a random direction u.

    segment: every so many steps the state is that of the undisturbed point, whatever the direction; T for never.
    """

    model: Model
    weights: Weights
    point: Mapping[str, np.ndarray]
    cotangent: np.ndarray
    eps: float
    rng: np.random.Generator
    segment: int
    starts: dict[tuple[float, int], list[States]] = field(default_factory=dict)

    def compare(self, what: str, found: Mapping[str, np.ndarray], names: Sequence[str]) -> Check:
        """Along one direction over the named arrays, scaled so that each array has an equal say."""
        direction = {name: self._direction(found[name]) for name in names}
        got = sum(float(np.sum(found[name] * direction[name])) for name in names)
        step, true, unsure = self._derivative(direction)
        noisy = [self._central(direction, step, self.eps, 1 + draw) for draw in range(NOISE_DRAWS)]
        natural = float(np.sqrt(np.mean((np.array(noisy) - true) ** 2)))
        size = float(np.sqrt(sum(np.sum((found[name] * direction[name]) ** 2) for name in names)))
        return Check(what, abs(got - true), SLACK * (natural + self.eps * size + unsure))

    def _direction(self, gradient: np.ndarray) -> np.ndarray:
        length = float(np.linalg.norm(gradient))
        return self.rng.standard_normal(gradient.shape) / (length if 0 < length < np.inf else 1.0)

    def _derivative(self, direction: Mapping[str, np.ndarray]) -> tuple[float, float, float]:
        """(step, derivative, how unsure it is), at the step where halving it matters least.

        A long step crosses kinks (of a ReLU, say) and sees curvature, a short one drowns in rounding.
        """
        scale = min(_rms(self.point[name], 1e-3) / _rms(vector, 1e-30) for name, vector in direction.items())
        steps = [scale * size for size in STEPS]
        slopes = [self._central(direction, step, 0.0, 0) for step in steps]
        changes = [abs(one - other) for one, other in itertools.pairwise(slopes)]
        best = int(np.argmin(changes))
        return steps[best + 1], slopes[best + 1], changes[best]

    def _central(self, direction: Mapping[str, np.ndarray], step: float, eps: float, seed: int) -> float:
        return oracle.central_difference(self._loss(eps, seed), self.point, direction, step)

    def _loss(self, eps: float, seed: int) -> Callable[[Mapping[str, np.ndarray]], float]:
        """L at a point under one fixed draw of noise, so that differences see only the point."""

        def loss(point: Mapping[str, np.ndarray]) -> float:
            rng, cuts = np.random.default_rng(seed), spans(len(point["xs"]), self.segment)
            parts = zip(cuts, self._starts(eps, seed), strict=True)
            outputs = [self._forward(point, span, states, eps, rng)[1] for span, states in parts]
            return float(np.sum(np.concatenate(outputs) * self.cotangent))

        return loss

    def _starts(self, eps: float, seed: int) -> list[States]:
        """The state at the start of each segment, with noise of its own: what counts is that it is constant."""
        if (eps, seed) not in self.starts:
            rng = np.random.default_rng((seed, 1))
            found = [batched(self.weights.states, self.point["xs"].shape[1], np.broadcast_to)]
            for span in spans(len(self.point["xs"]), self.segment)[:-1]:
                found.append(self._forward(self.point, span, found[-1], eps, rng)[0])
            self.starts[eps, seed] = found
        return self.starts[eps, seed]

    def _forward(
        self, point: Mapping[str, np.ndarray], span: slice, states: States, eps: float, rng: np.random.Generator
    ) -> tuple[States, np.ndarray]:
        weights = Weights({k: v for k, v in point.items() if k != "xs"}, self.weights.states)
        return _noisy_forward(self.model, weights, point["xs"][span], eps, rng, states)


def _noisy_forward(
    model: Model,
    weights: Weights,
    xs: np.ndarray,
    eps: float,
    rng: np.random.Generator,
    states: States | None = None,
) -> tuple[States, np.ndarray]:
    """The oracle with relative rounding noise of size `eps` in weights, inputs, projections, states and outputs."""

    def rounded(array: np.ndarray) -> np.ndarray:
        return array * (1 + eps * rng.uniform(-1, 1, array.shape)) if eps else array

    params = {name: rounded(array) for name, array in weights.params.items()}
    states = batched(weights.states, xs.shape[1], np.broadcast_to) if states is None else states
    return run_model(model, _noisy_unroll(model.cell, rounded), params, states, rounded(xs))


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


def _rms(array: np.ndarray, least: float) -> float:
    return max(float(np.sqrt(np.mean(array**2))), least)
