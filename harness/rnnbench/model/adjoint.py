"""Gradients of the oracle, exact to rounding: back through time one step after the other, in NumPy float64.

    λ_{t−1} = (∂s_t/∂s_{t−1})ᵀ λ_t + (∂y_t/∂s_{t−1})ᵀ ∂L/∂y_t

Each step is differentiated from the state that the forward pass reached there (`rnnbench.model.reverse`), so memory
is that of the states, and no step's derivative depends on how far a difference quotient would have to reach. The
whole is backpropagation through time (Werbos 1990, doi:10.1109/5.58337).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench.cell import Cell, Params, State, leaves, tree_map
from rnnbench.model import Model, States, Weights, batched, reverse, run_model
from rnnbench.model.oracle import OPS
from rnnbench.model.reverse import Tape, Traced, Untraceable

if TYPE_CHECKING:
    from rnnbench.implementation import Unroll


class Noise:
    """Relative rounding noise: each number is multiplied by 1 + eps·u with u uniform in ±1. eps 0 leaves all alone."""

    def __init__(self, eps: float = 0.0, seed: int = 0) -> None:
        self.eps = eps
        self._rng = np.random.default_rng(seed)

    def __call__(self, array: Any) -> Any:
        """The array with its numbers rounded, so to speak."""
        if not self.eps:
            return array
        return array * (1 + self.eps * self._rng.uniform(-1, 1, np.shape(array)))


@dataclass(frozen=True)
class Pass:
    """One run forward and back. outputs_TBO; finals: leaves of the final states (B, ...); gradients: by name of the
    parameter, and `xs`; kinked: whether the mathematics has derivatives that jump (a ReLU).
    """

    outputs: np.ndarray
    finals: tuple[np.ndarray, ...]
    gradients: Mapping[str, np.ndarray]
    kinked: bool


def gradients(
    model: Model,
    weights: Weights,
    xs: np.ndarray,
    cotangent: np.ndarray,
    segment: int | None = None,
    noise: Noise | None = None,
    states: States | None = None,
) -> Pass:
    """Gradients of L = Σ cotangent ∘ outputs over xs_TBD with respect to every parameter that is trained and xs.

    segment: every so many steps the gradient of the state is cut (`rnnbench.model.bptt`); None for never. states: to
    start from, instead of the initial ones. Raises `rnnbench.model.reverse.Untraceable` for mathematics whose
    derivative is not known.
    """
    noise = noise or Noise()
    tape = Tape()
    params = {name: tape.variable(noise(array)) for name, array in weights.params.items()}
    inputs = tape.variable(noise(xs))
    states = batched(weights.states, xs.shape[1], np.broadcast_to) if states is None else states
    finals, outputs = run_model(model, _unroll(model.cell, segment, noise, tape), params, states, inputs)
    found = tape.pull([(outputs, cotangent)], [*params.values(), inputs])
    named = dict(zip((*params, "xs"), found, strict=True))
    return Pass(
        outputs=_value(outputs),
        finals=tuple(np.asarray(leaf) for state in finals for leaf in leaves(state)),
        gradients={name: one for name, one in named.items() if name not in model.frozen},
        kinked=tape.kinked,
    )


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


def _unroll(cell: Cell, segment: int | None, noise: Noise, tape: Tape) -> Unroll:
    """The cell over a sequence as one operation on the tape."""

    def unroll(params: Mapping[str, Traced], state: State, xs: Traced) -> tuple[State, Traced]:
        if segment is not None and cell.lookback:
            raise Untraceable("a projection that looks back across the cut of a segment")
        opened = cell.open(reverse.OPS, params, state, xs)
        way = _Steps(cell, _traced(opened.params, tape), opened.zs, noise, tape)
        final, ys = way.forward(opened.state)
        return tree_map(_value, opened.close(final)), tape.record(ys, way.parts(segment))

    return unroll


class _Steps:
    """The steps of one layer: run once, each remembered by the state it started from."""

    def __init__(self, cell: Cell, params: Mapping[str, Traced], zs: Any, noise: Noise, tape: Tape) -> None:
        self._cell, self._noise, self._tape = cell, noise, tape
        self._params = params
        self._values = {name: param.value for name, param in params.items()}
        self._zs = zs
        self._z_values = tree_map(lambda part: noise(_value(part)), zs)
        self._starts: list[State] = []
        self._found: tuple[Any, list[Any]] = (None, [])

    def forward(self, state: State) -> tuple[State, np.ndarray]:
        """(final state, ys)."""
        ys = []
        for t in range(len(leaves(self._z_values)[0])):
            self._starts.append(state)
            state, y = self._cell.advance(OPS, self._values, state, self._z(t))
            state = tree_map(self._noise, state)
            ys.append(self._noise(y))
        return state, np.stack(ys)

    def parts(self, segment: int | None) -> list[reverse.Part]:
        """For the tape: each argument, and the share of it in one run back through time, which all of them share."""
        arguments = [*self._params.values(), *(part for part in leaves(self._zs) if isinstance(part, Traced))]

        def share(number: int) -> Callable[[Any], Any]:
            def rule(gradient: Any) -> Any:
                if self._found[0] is not gradient:
                    self._found = (gradient, self._back(gradient, segment))
                return self._found[1][number]

            return rule

        return [(argument, share(number)) for number, argument in enumerate(arguments)]

    def _back(self, of_ys: np.ndarray, segment: int | None) -> list[Any]:
        """Gradients of the parameters, then of the projected inputs that are traced, for ∂L/∂ys."""
        of_params = [np.zeros_like(value) for value in self._values.values()]
        traced = [number for number, part in enumerate(leaves(self._zs)) if isinstance(part, Traced)]
        of_zs = [np.zeros_like(leaves(self._z_values)[number]) for number in traced]
        of_state: Sequence[Any] | None = None
        for t in range(len(of_ys) - 1, -1, -1):
            found, count = self._step_back(t, of_ys[t], of_state), len(of_params)
            for total, one in zip(of_params, found[:count], strict=True):
                total += one
            pieces = found[count : len(found) - len(leaves(self._starts[t]))]
            for total, number in zip(of_zs, traced, strict=True):
                total[t] = self._noise(pieces[number])
            of_state = [self._noise(one) for one in found[count + len(pieces) :]]
            if segment is not None and t % segment == 0:
                of_state = None
        return [*of_params, *of_zs]

    def _step_back(self, t: int, of_y: Any, of_state: Sequence[Any] | None) -> list[Any]:
        """Gradients of the parameters, the leaves of z_t and those of the state before step t."""
        tape = Tape()
        params = {name: tape.variable(value) for name, value in self._values.items()}
        z = tree_map(tape.variable, self._z(t))
        state = tree_map(tape.variable, self._starts[t])
        after, y = self._cell.advance(reverse.OPS, params, state, z)
        pairs = [(y, of_y)]
        if of_state is not None:
            pairs += zip(leaves(after), of_state, strict=True)
        found = tape.pull(pairs, [*params.values(), *leaves(z), *leaves(state)])
        self._tape.kinked |= tape.kinked
        return found

    def _z(self, t: int) -> Any:
        return tree_map(lambda part: part[t], self._z_values)


def _traced(params: Mapping[str, Any], tape: Tape) -> dict[str, Traced]:
    """What `derive` made of no parameter is a constant; on the tape it is one whose gradient nobody asks for."""
    return {name: param if isinstance(param, Traced) else tape.variable(param) for name, param in params.items()}


def _value(array: Any) -> Any:
    return array.value if isinstance(array, Traced) else array
