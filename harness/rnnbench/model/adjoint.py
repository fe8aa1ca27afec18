"""Gradients of the oracle, exact to rounding: back through time one step after the other, in NumPy float64.

    λ_{t−1} = (∂s_t/∂s_{t−1})ᵀ λ_t + (∂y_t/∂s_{t−1})ᵀ ∂L/∂y_t

Each step is differentiated from the state that the forward pass reached there (`rnnbench.model.reverse`), so memory
is that of the states, and no step's derivative depends on how far a difference quotient would have to reach. The
whole is backpropagation through time (Werbos 1990, doi:10.1109/5.58337). Only λ has to be found step after step: the
gradients of parameters and inputs follow from it for many steps at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench.cell import Cell, Params, State, leaves, tree_map
from rnnbench.model import Model, States, Weights, batched, reverse, run_model
from rnnbench.model.oracle import OPS
from rnnbench.model.reverse import Tape, Traced

if TYPE_CHECKING:
    from rnnbench.implementation import Unroll


ROWS = 256
"""Sequences times steps whose gradients of parameters are found at once: their arrays stay in the caches."""

SAME = 1e-9
"""Relative difference of outputs between steps that were run one by one and together."""


class Noise:
    """Relative rounding noise: each number is multiplied by 1 + eps·u with u uniform in ±1. eps 0 leaves all alone."""

    def __init__(self, eps: float = 0.0, seed: int = 0) -> None:
        self.eps = eps
        self._rng = np.random.Generator(np.random.SFC64(seed))

    def __call__(self, array: Any) -> Any:
        """The array with its numbers rounded, so to speak."""
        if not self.eps:
            return array
        u = 2 * self._rng.random(np.shape(array), dtype=np.float32) - 1  # half the price of twice the digits
        return array + array * (self.eps * u)


@dataclass(frozen=True)
class Gradients:
    """gradients: by name of the parameter, and `xs`. kinked: whether the mathematics has derivatives that jump."""

    gradients: Mapping[str, np.ndarray]
    kinked: bool


class ForwardPass:
    """The model run forward once over xs_TBD, with what it takes to go back from there.

    outputs_TBO; finals: leaves of the final states (B, ...).
    """

    def __init__(
        self, model: Model, weights: Weights, xs: np.ndarray, noise: Noise | None = None, states: States | None = None
    ) -> None:
        """noise: of roundings, in weights, inputs, projections, states, outputs and on the way back. states: to start
        from, instead of the initial ones.
        """
        self._model, self._tape = model, Tape()
        self._noise = noise or Noise()
        self._layers: list[_Steps] = []
        self._unknown: reverse.Untraceable | None = None
        states = batched(weights.states, xs.shape[1], np.broadcast_to) if states is None else states
        params = {name: self._noise(array) for name, array in weights.params.items()}
        xs = self._noise(xs)
        self._wanted = {name: self._tape.variable(array) for name, array in (*params.items(), ("xs", xs))}
        try:
            self._outputs = self._followed(model, states)
        except reverse.Untraceable as unknown:  # nothing is known of the way back; the way forward is plain NumPy
            self._unknown, self._layers = unknown, []
            states, self._outputs = run_model(model, self._plain(model.cell), params, states, xs)
            self.finals = leaves_of(states)

    @property
    def outputs(self) -> np.ndarray:
        """Outputs of every step."""
        return _value(self._outputs)

    def back(self, cotangent: np.ndarray, segment: int | None = None) -> Gradients:
        """Gradients of L = Σ cotangent ∘ outputs with respect to every parameter that is trained and xs.

        segment: every so many steps the gradient of the state is cut (`rnnbench.model.bptt`); None for never. Raises
        `rnnbench.model.reverse.Untraceable` for mathematics whose derivative is not known.
        """
        if self._unknown is not None:
            raise self._unknown
        if segment is not None and self._model.cell.lookback:
            raise reverse.Untraceable("a projection that looks back across the cut of a segment")
        for layer in self._layers:
            layer.segment = segment
        found = self._tape.pull([(self._outputs, cotangent)], list(self._wanted.values()))
        trained = {name: one for name, one in zip(self._wanted, found, strict=True) if name not in self._model.frozen}
        return Gradients(trained, self._tape.kinked)

    def _followed(self, model: Model, states: States) -> Any:
        def unroll(params: Mapping[str, Traced], state: State, xs: Traced) -> tuple[State, Traced]:
            opened = model.cell.open(reverse.OPS, params, state, xs)
            layer = _Steps(model.cell, _traced(opened.params, self._tape), opened.zs, self._noise, self._tape)
            self._layers.append(layer)
            final, ys = layer.forward(opened.state)
            return tree_map(_value, opened.close(final)), self._tape.record(ys, layer.parts())

        *params, inputs = self._wanted.items()
        states, outputs = run_model(model, unroll, dict(params), states, inputs[1])
        self.finals = leaves_of(states)
        return outputs

    def _plain(self, cell: Cell) -> Unroll:
        def unroll(params: Params, state: State, xs: np.ndarray) -> tuple[State, np.ndarray]:
            opened = cell.open(OPS, params, state, xs)
            final, ys = _Steps(cell, opened.params, opened.zs, self._noise, self._tape).forward(opened.state)
            return opened.close(final), ys

        return unroll


def gradients(
    model: Model,
    weights: Weights,
    xs: np.ndarray,
    cotangent: np.ndarray,
    segment: int | None = None,
    noise: Noise | None = None,
    states: States | None = None,
) -> Gradients:
    """`Run.back` of one run."""
    return ForwardPass(model, weights, xs, noise, states).back(cotangent, segment)


def forward(
    model: Model, weights: Weights, xs: np.ndarray, noise: Noise, states: States | None = None
) -> tuple[States, np.ndarray]:
    """(final states, outputs) with rounding noise in weights, inputs, projections, states and outputs."""

    def unroll(params: Params, state: State, xs: np.ndarray) -> tuple[State, np.ndarray]:
        opened = model.cell.open(OPS, params, state, xs)
        zs, own, ys = tree_map(noise, opened.zs), opened.state, []
        for t in range(len(xs)):
            own, y = model.cell.advance(OPS, opened.params, own, tree_map(lambda part, t=t: part[t], zs))
            own = tree_map(noise, own)
            ys.append(noise(y))
        return opened.close(own), np.stack(ys)

    params = {name: noise(array) for name, array in weights.params.items()}
    states = batched(weights.states, xs.shape[1], np.broadcast_to) if states is None else states
    return run_model(model, unroll, params, states, noise(xs))


class _Steps:
    """The steps of one layer: run once, each remembered by the state it started from.

    segment: see `Run.back`.
    """

    def __init__(self, cell: Cell, params: Mapping[str, Any], zs: Any, noise: Noise, tape: Tape) -> None:
        self.segment: int | None = None
        self._cell, self._noise, self._tape = cell, noise, tape
        self._params = params
        self._values = {name: _value(param) for name, param in params.items()}
        self._zs = zs
        self._z_values = tree_map(lambda part: noise(_value(part)), zs)
        self._starts: list[State] = []
        self._ys: list[np.ndarray] = []
        self._found: tuple[Any, list[Any]] = (None, [])

    def forward(self, state: State) -> tuple[State, np.ndarray]:
        """(final state, ys)."""
        for t in range(len(leaves(self._z_values)[0])):
            self._starts.append(state)
            state, y = self._cell.advance(OPS, self._values, state, self._z(t))
            state = tree_map(self._noise, state)
            self._ys.append(y)
        return state, self._noise(np.stack(self._ys))

    def parts(self) -> list[reverse.Part]:
        """For the tape: each argument, and the share of it in one run back through time, which all of them share."""
        arguments = [*self._params.values(), *(part for part in leaves(self._zs) if isinstance(part, Traced))]

        def share(number: int) -> Callable[[Any], Any]:
            def rule(gradient: Any) -> Any:
                if self._found[0] is not gradient:
                    self._found = (gradient, self._back(gradient))
                return self._found[1][number]

            return rule

        return [(argument, share(number)) for number, argument in enumerate(arguments)]

    def _back(self, of_ys: np.ndarray) -> list[Any]:
        """Gradients of the parameters, then of the projected inputs that are traced, for ∂L/∂ys."""
        of_states = self._of_states(of_ys)
        of_params = [np.zeros_like(value) for value in self._values.values()]
        pieces = []
        length = max(1, ROWS // of_ys.shape[1])
        for start in range(0, len(of_ys), length):
            span = slice(start, min(start + length, len(of_ys)))
            for found in self._spans_back(span, of_ys, of_states):
                for total, one in zip(of_params, found[: len(of_params)], strict=True):
                    total += one
                pieces.append(found[len(of_params) :])
        of_zs = [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
        traced = [number for number, part in enumerate(leaves(self._zs)) if isinstance(part, Traced)]
        return [*of_params, *(self._noise(of_zs[number]) for number in traced)]

    def _spans_back(self, span: slice, of_ys: np.ndarray, of_states: Sequence[Any]) -> Iterator[list[Any]]:
        """The share of a span of steps, together or one by one; that of z with a leading axis of steps."""
        found = self._together_back(span, of_ys[span], of_states[span])
        if found is not None:
            yield found
            return
        count = len(self._values)
        for t in range(span.start, span.stop):
            _, found = self._step_back(self._starts[t], self._z(t), of_ys[t], of_states[t])
            yield [*found[:count], *(one[None] for one in found[count:])]

    def _of_states(self, of_ys: np.ndarray) -> list[list[Any] | None]:
        """By step, the gradients of the leaves of the state after it; None for none."""
        found: list[list[Any] | None] = [None] * len(of_ys)
        for t in range(len(of_ys) - 1, 0, -1):
            if self.segment is None or t % self.segment:
                found[t - 1] = [self._noise(one) for one in self._state_back(t, of_ys[t], found[t])]
        return found

    def _state_back(self, t: int, of_y: np.ndarray, of_after: list[Any] | None) -> list[Any]:
        """The gradients of the leaves of the state before step t."""
        tape = Tape()
        state = tree_map(tape.variable, self._starts[t])
        after, y = self._cell.advance(reverse.OPS, self._values, state, self._z(t))
        self._tape.kinked |= tape.kinked
        return tape.pull([(y, of_y), *_pairs(after, of_after)], leaves(state))

    def _together_back(self, span: slice, of_ys: np.ndarray, of_states: Sequence[Any]) -> list[Any] | None:
        """`_step_back` of all steps of the span, taken for sequences of one batch; None for a cell that looks at more
        than one sequence, or at how many there are.
        """
        steps, size = of_ys.shape[:2]
        starts = tree_map(_flat, _stacked(self._starts[span]))
        zs = tree_map(lambda part: _flat(part[span]), self._z_values)
        blank = [np.zeros_like(leaf) for leaf in leaves(self._starts[0])]
        of_after = [_flat(np.stack(leaf)) for leaf in zip(*(one or blank for one in of_states), strict=True)]
        try:
            y, found = self._step_back(starts, zs, _flat(of_ys), of_after)
        except reverse.Untraceable:
            raise
        except Exception:  # a cell made for one batch size may raise anything
            return None
        true = _flat(np.stack(self._ys[span]))
        if np.shape(y) != true.shape or not np.allclose(y, true, rtol=SAME, atol=SAME * _size(true), equal_nan=True):
            return None
        count = len(self._values)
        return [*found[:count], *(one.reshape(steps, size, *one.shape[1:]) for one in found[count:])]

    def _step_back(self, state: State, z: Any, of_y: np.ndarray, of_after: list[Any] | None) -> tuple[Any, list[Any]]:
        """(y, gradients of the parameters and of the leaves of z) of a step from `state`."""
        tape = Tape()
        params = {name: tape.variable(value) for name, value in self._values.items()}
        z = tree_map(tape.variable, z)
        after, y = self._cell.advance(reverse.OPS, params, state, z)
        self._tape.kinked |= tape.kinked
        return _value(y), tape.pull([(y, of_y), *_pairs(after, of_after)], [*params.values(), *leaves(z)])

    def _z(self, t: int) -> Any:
        return tree_map(lambda part: part[t], self._z_values)


def _traced(params: Mapping[str, Any], tape: Tape) -> dict[str, Traced]:
    """What `derive` made of no parameter is a constant; on the tape it is one whose gradient nobody asks for."""
    return {name: param if isinstance(param, Traced) else tape.variable(param) for name, param in params.items()}


def _pairs(after: State, of_after: list[Any] | None) -> list[tuple[Any, Any]]:
    return [] if of_after is None else list(zip(leaves(after), of_after, strict=True))


def _stacked(states: Sequence[State]) -> State:
    """States of several steps as one, with a leading axis of steps."""
    columns = iter([np.stack(parts) for parts in zip(*map(leaves, states), strict=True)])
    return tree_map(lambda _: next(columns), states[0])


def _flat(array: np.ndarray) -> np.ndarray:
    """Steps and sequences as one axis."""
    return array.reshape(-1, *array.shape[2:])


def _size(array: np.ndarray) -> float:
    found = float(np.abs(array).max(initial=0.0))
    return found if np.isfinite(found) else 0.0


def leaves_of(states: States) -> tuple[np.ndarray, ...]:
    """The arrays of the states of all layers."""
    return tuple(np.asarray(leaf) for state in states for leaf in leaves(state))


def _value(array: Any) -> Any:
    return array.value if isinstance(array, Traced) else array
