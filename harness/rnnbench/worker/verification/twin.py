"""A class of another library beside the portable cell that it is: the oracle of the cell, in the names of the class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench.cell import leaves
from rnnbench.equal import Equal
from rnnbench.model import Model, Weights, initialise, layer_params
from rnnbench.model.adjoint import Gradients
from rnnbench.worker.verification.truth import Outputs, Rounded, Truth

if TYPE_CHECKING:
    from rnnbench.context import Context


@dataclass(frozen=True)
class Twin:
    """model: of the portable cell; drawn: weights of it, for their shapes and its first states."""

    equal: Equal
    model: Model
    drawn: Weights

    def weights(self, own: Weights) -> Weights:
        """The class's weights as those of the cell."""
        params = {name: array for name, array in own.params.items() if not name.startswith("layers.")}
        for layer in range(self.model.layers):
            laid = self.equal.weights(layer_params(own.params, layer), layer_params(self.drawn.params, layer))
            params |= _named(layer, laid)
        return Weights(params, self.drawn.states, self.drawn.frozen)

    def gradients(self, true: Mapping[str, np.ndarray], own: Weights) -> dict[str, np.ndarray]:
        """Gradients of the cell's parameters, and of all else, as those of the class's."""
        found = {name: array for name, array in true.items() if not name.startswith("layers.")}
        for layer in range(self.model.layers):
            given = {
                name: true.get(f"layers.{layer}.{name}", np.zeros(np.shape(array)))  # what is frozen has none
                for name, array in layer_params(self.drawn.params, layer).items()
            }
            found = _named(layer, self.equal.gradients(given, layer_params(own.params, layer))) | found
        return found

    def leaves(self, finals: tuple[np.ndarray, ...], own: Weights) -> tuple[np.ndarray, ...]:
        """Arrays of the cell's states as those of the class's."""
        found, start = [], 0
        for state, mine in zip(self.drawn.states, own.states, strict=True):
            theirs = finals[start : start + len(leaves(state))]
            start += len(theirs)
            pairs = zip(leaves(mine), self.equal.states, strict=True)
            found += [theirs[index].reshape(len(theirs[index]), *np.shape(leaf)) for leaf, index in pairs]
        return tuple(found)

    def starts_alike(self, own: Weights) -> bool:
        """Whether both begin from the same state."""
        first = tuple(np.asarray(leaf)[None] for state in self.drawn.states for leaf in leaves(state))
        mine = [np.asarray(leaf) for state in own.states for leaf in leaves(state)]
        return all(np.array_equal(one[0], other) for one, other in zip(self.leaves(first, own), mine, strict=True))


def twin_of(context: Context) -> Twin | None:
    """The portable cell beside the context's class; None where it is not known to be one, or options say otherwise."""
    equal = context.cell.equal
    if equal is None or context.twin is None:
        return None
    if any(value != context.cell.options[name] for name, value in context.cell_options.items()):
        return None
    cell, options = context.twin
    model = replace(context.model, cell=cell, cell_options=options)
    twin = Twin(equal, model, initialise(model, context.case.seed))
    return twin if twin.starts_alike(context.weights()) else None


@dataclass(frozen=True)
class TwinTruth(Truth):
    """The cell's oracle, told in the class's names and states. own: the class's weights."""

    own: Weights | None = None
    twin: Twin | None = None

    @classmethod
    def of_class(
        cls, twin: Twin, own: Weights, xs: np.ndarray, cotangent: np.ndarray, segment: int | None = None
    ) -> TwinTruth:
        """The truth of a class with these weights."""
        return cls(twin.model, twin.weights(own), xs, cotangent, segment, own=own, twin=twin)

    @property
    def given(self) -> Weights:
        """The weights of the program."""
        assert self.own is not None
        return self.own

    def at(self, weights: Weights) -> TwinTruth:
        """The same at other weights of the class, without a cotangent."""
        assert self.twin is not None
        return TwinTruth.of_class(self.twin, weights, self.xs, np.empty(0))

    def first(self, steps: int) -> TwinTruth:
        """The same over the first steps alone."""
        assert self.twin is not None
        return TwinTruth.of_class(self.twin, self.given, self.xs[:steps], self.cotangent[:steps], self.segment)

    def _forward(self, rounded: Rounded) -> Outputs:
        assert self.twin is not None
        outputs, finals = super()._forward(rounded)
        return outputs, self.twin.leaves(finals, self.given)

    def _back(self, rounded: Rounded) -> Gradients:
        assert self.twin is not None
        found = super()._back(rounded)
        return Gradients(self.twin.gradients(found.gradients, self.given), found.kinked)


def _named(layer: int, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {f"layers.{layer}.{name}": array for name, array in arrays.items()}
