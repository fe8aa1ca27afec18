"""A recurrent cell: the mathematics of one unit, written once, for every framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Array = Any
"""An array of whichever framework runs the cell: numpy.ndarray, torch.Tensor or jax.Array."""
Params = Mapping[str, Array]
State = Array | tuple[Array, ...]
Option = bool | int | float | str


@dataclass(frozen=True)
class Cell:
    """One recurrent unit as pure functions over an array namespace `ops` (see `rnnbench.ops`).

    init(rng, D, H, **options) -> (params, state)
        NumPy float64 arrays, real valued. `params` is a dict of named arrays; `state` is one array or a tuple of
        arrays with **no batch axis** (the harness broadcasts it to (B, ...)). `rng` is a numpy.random.Generator. The
        same weights are handed to every backend. State arrays may be complex, parameters may not.
    project(ops, params, xs_TBD) -> zs
        All that does not depend on the state, for the whole sequence at once; an array or tuple of arrays with leading
        axes (T, B). Without it, z_t is x_t. It must act on each time step separately.
    step(ops, params, state, z) -> (state, y_BH)
        One time step; `z` is `zs` at one t (leading axis B).
    linear(ops, params, zs) -> (a, b)
        Only for cells with h_t = a_t * h_{t-1} + b_t (elementwise); `step` is then derived from it, so leave `step`
        out. Leading axes (T, B); broadcastable to the state's shape. The state must be a single array.
    output(ops, params, hs, zs) -> ys_TBH
        For linear cells: what the cell shows of its states. Without it, y_t is h_t.

    y has H features. A cell with neither `step` nor `linear` has no portable mathematics: only an implementation made
    for it can run it. It is then checked against itself, and its rows say `verified: self`.

    framework: name of the one backend whose arrays `step` and `unroll` take; None for portable mathematics. For classes
        of a library: their gradients, states and outputs are that library's own.
    unroll(params, state, xs_TBD) -> (state, ys_TBH)
        For a cell of one framework that runs over a whole sequence at once.

    options: names and defaults of what `init` accepts beyond D and H; users write `lstm(forget_bias=5)`.
    source: where the equations come from (paper, year, equation).
    recurrent: names of the parameters that multiply the state, hidden to hidden, which recurrent dropout thins out;
        empty where there are none.

    Example: h_t = tanh(W x_t + U h_{t−1}) (Elman 1990, doi:10.1207/s15516709cog1402_1, with tanh).

        >>> import numpy as np
        >>> from rnnbench import Cell, numpy_ops
        >>> def init(rng, D, H):
        ...     return {"W": rng.normal(size=(H, D)), "U": rng.normal(size=(H, H))}, np.zeros(H)
        >>> def step(ops, p, h, x):
        ...     h = ops.tanh(x @ p["W"].T + h @ p["U"].T)
        ...     return h, h
        >>> cell = Cell("mine", init, step, source="Elman 1990, with tanh", recurrent=("U",))
        >>> params, state = cell.init(np.random.default_rng(0), 3, 5)
        >>> state, y = cell.advance(numpy_ops(), params, np.zeros((2, 5)), np.ones((2, 3)))
        >>> y.shape
        (2, 5)
    """

    name: str
    init: Callable[..., tuple[Params, State]]
    step: Callable[[Any, Params, State, Array], tuple[State, Array]] | None = None
    project: Callable[[Any, Params, Array], Array] | None = None
    linear: Callable[[Any, Params, Array], tuple[Array, Array]] | None = None
    output: Callable[[Any, Params, Array, Array], Array] | None = None
    source: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    recurrent: tuple[str, ...] = ()
    framework: str | None = None
    unroll: Callable[[Params, State, Array], tuple[State, Array]] | None = None

    @property
    def portable(self) -> bool:
        """Whether the mathematics is known to the harness, so that the cell can be verified."""
        return self.framework is None and (self.step is not None or self.linear is not None)

    def projected(self, ops: Any, params: Params, xs: Array) -> Array:
        """All that does not depend on the state: `project`, or the inputs themselves where the cell has none.

        Args:
            ops: Array namespace of the arrays (see `rnnbench.ops`).
            params: The cell's parameters.
            xs: Inputs, (T, B, D).

        Returns:
            zs, an array or a tuple of arrays with leading axes (T, B).
        """
        return xs if self.project is None else self.project(ops, params, xs)

    def advance(self, ops: Any, params: Params, state: State, z: Array) -> tuple[State, Array]:
        """One time step, whichever way the cell is written.

        Args:
            ops: Array namespace of the arrays.
            params: The cell's parameters.
            state: One array or a tuple of arrays, (B, ...).
            z: `projected` at one time step, (B, ...).

        Returns:
            (state after the step, y of shape (B, H)).

        Raises:
            TypeError: The cell has no portable mathematics.
        """
        if self.step is not None:
            return self.step(ops, params, state, z)
        if self.linear is None:
            raise TypeError(f"cell {self.name!r} has no portable mathematics: give it `step` or `linear`")
        zs = tree_map(lambda part: part[None], z)
        a, b = self.linear(ops, params, zs)
        h = a[0] * state + b[0]
        return h, self.shown(ops, params, h[None], zs)[0]

    def shown(self, ops: Any, params: Params, hs: Array, zs: Array) -> Array:
        """What a linear cell shows of its states: `output`, or the states themselves where it has none.

        Args:
            ops: Array namespace of the arrays.
            params: The cell's parameters.
            hs: States h_1 ... h_T, (T, B, ...).
            zs: As `projected` gives them, leading axes (T, B).

        Returns:
            ys, (T, B, H).
        """
        return hs if self.output is None else self.output(ops, params, hs, zs)


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply `function` to an array or to each array of a tuple; a NamedTuple stays one.

    Example:
        >>> from rnnbench import tree_map
        >>> tree_map(lambda x: 2 * x, (1, 2))
        (2, 4)
    """
    if not isinstance(tree, tuple):
        return function(tree)
    mapped = [function(leaf) for leaf in tree]
    return type(tree)(*mapped) if hasattr(tree, "_fields") else tuple(mapped)


def leaves(tree: Any) -> tuple[Any, ...]:
    """An array, or a tuple of arrays, as a tuple.

    Example:
        >>> from rnnbench import leaves
        >>> leaves(1), leaves((1, 2))
        ((1,), (1, 2))
    """
    return tree if isinstance(tree, tuple) else (tree,)
