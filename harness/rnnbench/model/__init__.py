"""Stacked layers of one cell with dropout between them, an optional embedding below and a linear head above.

The composition is written once for every framework: backends hand in their own unroll and dropout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

from rnnbench.cell import Array, Cell, Option, Params, State, leaves, tree_map
from rnnbench.model.seeds import rng_for

if TYPE_CHECKING:
    from rnnbench.implementation import Unroll

States = tuple[State, ...]
"""One state per layer, bottom first."""

Pass = Literal["forward", "backward", "train"]
"""What a program is asked to do with a batch: inference, the way back alone, or forward, backward and optimiser."""


@dataclass(frozen=True)
class Model:
    """The shape of a model.

    output_size: None means no head: the outputs are the top layer's ys (T, B, H). dropout: between layers.
    recurrent_dropout: share of the entries of the recurrent matrices (`Cell.recurrent`) that are zero in a training
    step (see `rnnbench.backend.ProgramSpec`). embedding: E features that a learnt table makes of the inputs, which the
    first layer sees instead of them; None for no table.

    Example:
        >>> import numpy as np
        >>> from rnnbench import Cell, Model
        >>> cell = Cell("mine", lambda rng, D, H: ({"W": rng.normal(size=(H, D))}, np.zeros(H)))
        >>> Model(cell, input_size=3, hidden_size=4).outputs, Model(cell, 3, 4, output_size=2).outputs
        (4, 2)
    """

    cell: Cell
    input_size: int
    hidden_size: int
    layers: int = 1
    output_size: int | None = None
    dropout: float = 0.0
    cell_options: Mapping[str, Option] = field(default_factory=dict)
    recurrent_dropout: float = 0.0
    embedding: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "cell", self.cell.bound(self.cell_options))

    @property
    def features(self) -> int:
        """Features of the top layer's ys."""
        features = self.embedding or self.input_size
        for _ in range(self.layers):
            features = self.cell.features(features, self.hidden_size)
        return features

    @property
    def outputs(self) -> int:
        """Features of the outputs: of the head, or of the top layer where there is none."""
        return self.output_size or self.features

    @property
    def frozen(self) -> frozenset[str]:
        """The parameters of all layers that are not trained, under the names of `Weights.params`."""
        return frozenset(f"layers.{layer}.{name}" for layer in range(self.layers) for name in self.cell.frozen)

    @property
    def recurrent(self) -> tuple[str, ...]:
        """The recurrent matrices of all layers, under the names of `Weights.params`."""
        return tuple(f"layers.{layer}.{name}" for layer in range(self.layers) for name in self.cell.recurrent)


@dataclass(frozen=True)
class Weights:
    """NumPy float64 parameters, flat and named (`layers.0.weight_hh`, `head.weight`); an unbatched state per layer.

    Example:
        >>> import numpy as np
        >>> from rnnbench import Weights
        >>> Weights({"layers.0.W": np.zeros((4, 3))}, states=(np.zeros(4),)).count
        12
    """

    params: Mapping[str, Array]
    states: States
    frozen: frozenset[str] = frozenset()

    @property
    def count(self) -> int:
        """Number of scalar parameters that are trained."""
        return sum(array.size for name, array in self.params.items() if name not in self.frozen)

    @property
    def digest(self) -> str:
        """The same for the same numbers under the same names, in whatever process they were drawn."""
        found = blake2b(digest_size=8)
        states = [leaf for state in self.states for leaf in leaves(state)]
        for name, array in (*sorted(self.params.items()), *enumerate(states)):
            found.update(f"{name} {array.shape} {array.dtype} ".encode())
            found.update(array.tobytes())
        return found.hexdigest()


def initialise(model: Model, *seed_names: object) -> Weights:
    """Draw the weights of `model`. They depend on the names alone, never on backend, implementation or device.

    Args:
        model: What they are for.
        *seed_names: Seed the streams: the same names give the same numbers.

    Returns:
        float64 NumPy parameters, and a state without batch axis per layer.

    Example:
        >>> import numpy as np
        >>> from rnnbench import Cell, Model, initialise
        >>> cell = Cell("mine", lambda rng, D, H: ({"W": rng.normal(size=(H, D))}, np.zeros(H)))
        >>> model = Model(cell, input_size=3, hidden_size=4, layers=2)
        >>> {name: array.shape for name, array in initialise(model, 0).params.items()}
        {'layers.0.W': (4, 3), 'layers.1.W': (4, 4)}
    """
    params: dict[str, Array] = {}
    states: list[State] = []
    if model.embedding is not None:
        params.update(_embedding(rng_for(*seed_names, "embedding"), model.input_size, model.embedding))
    features = model.embedding or model.input_size
    for layer in range(model.layers):
        rng = rng_for(*seed_names, "weights", model.cell.name, layer)
        layer_params, state = model.cell.init(rng, features, model.hidden_size, **model.cell_options)
        params.update({f"layers.{layer}.{name}": array for name, array in layer_params.items()})
        states.append(model.cell.initial(state, features))
        features = model.cell.features(features, model.hidden_size)
    if model.output_size is not None:
        params.update(_head(rng_for(*seed_names, "head"), features, model.output_size))
    return Weights(params, tuple(states), model.frozen)


def _embedding(rng: Any, D: int, E: int) -> dict[str, Array]:
    """A table weight_DE of standard normal rows, as torch.nn.Embedding draws it: features of variance 1."""
    return {"embedding.weight": rng.standard_normal((D, E))}


def _head(rng: Any, H: int, O: int) -> dict[str, Array]:
    """The linear read-out: weight_OH uniform in ±1/sqrt(H) (LeCun et al. 1998, section 4.6), bias zero."""
    bound = H**-0.5
    weight = rng.uniform(-bound, bound, (O, H))
    return {"head.weight": weight, "head.bias": weight[:, 0] * 0.0}


def layer_params(params: Params, layer: int) -> dict[str, Array]:
    """The parameters of one layer under the names the cell gave them.

    Args:
        params: Of the model, `layers.0.W`.
        layer: From 0, the bottom one.

    Returns:
        name -> array, `W`.

    Example:
        >>> from rnnbench import layer_params
        >>> layer_params({"layers.0.W": 1, "layers.1.W": 2, "head.bias": 3}, 1)
        {'W': 2}
    """
    prefix = f"layers.{layer}."
    return {name.removeprefix(prefix): array for name, array in params.items() if name.startswith(prefix)}


def batched(states: States, batch_size: int, broadcast: Callable[[Any, tuple[int, ...]], Any]) -> States:
    """Give every state leaf a leading batch axis with the framework's `broadcast_to`.

    Args:
        states: One per layer, leaves (...).
        batch_size: B.
        broadcast: (array, shape) -> array.

    Returns:
        The same states, leaves (B, ...).

    Example:
        >>> import numpy as np
        >>> from rnnbench import batched
        >>> batched((np.zeros(4),), 2, np.broadcast_to)[0].shape
        (2, 4)
    """
    return tuple(tree_map(lambda leaf: broadcast(leaf, (batch_size, *leaf.shape)), state) for state in states)


def run_model(
    model: Model,
    unroll: Unroll,
    params: Params,
    states: States,
    xs: Array,
    dropout: Callable[[Array], Array] | None = None,
) -> tuple[States, Array]:
    """The whole model over xs_TBD: (final states, outputs_TBO, or ys_TBH without a head).

    `dropout` acts between layers only, never after the last one (Zaremba et al. 2014, arXiv:1409.2329); None for
    inference.

    Args:
        model: The stack.
        unroll: (params of a layer, state, xs) -> (final state, ys).
        params: Of the model, under the names of `Weights.params`.
        states: One per layer, leaves (B, ...).
        xs: (T, B, D).
        dropout: Array -> array, of one layer's outputs.

    Returns:
        The final states, and outputs (T, B, O), or (T, B, H) without a head.

    Example:
        >>> import numpy as np
        >>> from rnnbench import Cell, Model, batched, initialise, run_model
        >>> cell = Cell("mine", lambda rng, D, H: ({"W": rng.normal(size=(H, D))}, np.zeros(H)))
        >>> model, unroll = Model(cell, 3, 4), lambda params, state, xs: (state, xs @ params["W"].T)
        >>> weights = initialise(model, 0)
        >>> states = batched(weights.states, 2, np.broadcast_to)
        >>> run_model(model, unroll, weights.params, states, np.ones((5, 2, 3)))[1].shape
        (5, 2, 4)
    """
    finals: list[State] = []
    xs = embedded(params, xs)
    for layer in range(model.layers):
        final, xs = unroll(layer_params(params, layer), states[layer], xs)
        finals.append(final)
        if dropout is not None and layer < model.layers - 1:
            xs = dropout(xs)
    return tuple(finals), head(params, xs)


def embedded(params: Params, xs: Array) -> Array:
    """xs_..D @ weight_DE, or `xs` itself for a model without a table.

    For one-hot xs the product is the row of the table: exactly the lookup. For other inputs it is a linear layer.
    """
    return xs @ params["embedding.weight"] if "embedding.weight" in params else xs


def head(params: Params, ys: Array) -> Array:
    """Outputs of the linear head for ys_..H, or `ys` itself for a model without one."""
    if "head.weight" not in params:
        return ys
    return ys @ params["head.weight"].T + params["head.bias"]


def advance_model(model: Model, ops: Any, params: Params, states: States, x: Array) -> tuple[States, Array]:
    """One time step of all layers, no dropout, no head: (states, x_BD) -> (states, top y_BH).

    Args:
        model: The stack, of cells with a `step`.
        ops: Of the framework.
        params: Of the model, under the names of `Weights.params`.
        states: One per layer, leaves (B, ...).
        x: (B, D).

    Returns:
        The next states, and the outputs of the top layer, (B, H).

    Example:
        >>> import numpy as np
        >>> from rnnbench import Cell, Model, advance_model, numpy_ops
        >>> cell = Cell("sum", lambda rng, D, H: ({}, np.zeros(H)), step=lambda ops, p, h, x: (h + x, h + x))
        >>> states, y = advance_model(Model(cell, 2, 2), numpy_ops(), {}, (np.ones((1, 2)),), np.ones((1, 2)))
        >>> y.tolist()
        [[2.0, 2.0]]
    """
    finals: list[State] = []
    x = embedded(params, x)
    for layer in range(model.layers):
        opened = model.cell.open(ops, layer_params(params, layer), states[layer], x[None])
        z = tree_map(lambda part: part[0], opened.zs)
        final, x = model.cell.advance(ops, opened.params, opened.state, z)
        finals.append(opened.close(final))
    return tuple(finals), x
