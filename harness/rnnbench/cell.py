"""A recurrent cell: the mathematics of one unit, written once, for every framework."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from types import FunctionType
from typing import Any, Literal, TypeGuard

from rnnbench import carried, scans
from rnnbench.equal import Equal
from rnnbench.reduction import Reduction

Array = Any
"""An array of whichever framework runs the cell: numpy.ndarray, torch.Tensor or jax.Array."""
Params = Mapping[str, Array]
State = Array | tuple[Any, ...]
"""One array, or a tuple of arrays and tuples."""
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

    scan, elements(ops, params, zs) -> tuple
        Instead of `step` and `linear`, for a state that is a matrix per head, (heads, dk, dv), or any associative
        operator. `scan` names the recurrence, `elements` gives its coefficients, leading axes (T, B):

        outer      (log_a, k, v, q): S_t = exp(log_a_t) ∘ S_{t−1} + k_t v_tᵀ, o_t = S_tᵀ q_t. k, q (..., heads, dk),
                   v (..., heads, dv), log_a (..., heads, dk), or (..., heads, 1) where all rows decay alike.
        delta      (log_a, b, c, k, v, q): S_t = exp(log_a_t) ∘ S_{t−1} + b_t (c_tᵀ S_{t−1}) + k_t v_tᵀ.
        semigroup  elements like the leaves of the state; h_t = combine(ops, h_{t−1}, e_t) with a `combine` that is
                   associative, which is checked.

        `output` is then given os (T, B, heads, dv), or for a semigroup the tuple of all h_t. Implementations that work
        chunk by chunk or by a parallel scan can run such a cell in memory that grows as T·(dk + dv).
    chunk(ops, params, state, zs) -> (state, ys)
        Beside `step`: the same over all of zs at once, leading axes (C, B), without the states in between. `step` stays
        what the cell is, and the chunk is compared with it. At most `chunk_steps` steps are given to it.
    derive(ops, params) -> params
        What is computed of the parameters alone, by name: a matrix exponential, W − Wᵀ, a discretisation. It runs once
        per sequence, its gradient reaches the parameters, and the functions above find it in their `params`.

    Options that `init` accepts reach the other functions too: whichever takes a keyword-only argument of an option's
    name is given its value, `def step(ops, params, state, z, *, heads)`. `project` may take two more by keyword:

    past: a tuple of `lookback` arrays like xs_TBD; past[0] holds x_{t−1}, past[1] holds x_{t−2}, zeros before the
        first step. For causal convolutions and token shifts: the harness carries the last inputs from one call to the
        next beside the state, so that a sequence may still be cut anywhere.
    steps: int32 (T, B), how many steps each sequence has behind it: 0 at the first.

    chunk_steps: how many steps `chunk` takes at most; or a function of options (by keyword) that says so.
    lookback: how many earlier inputs `project` looks at; or a function of options (by keyword) that says so.
    frozen: names of parameters that are drawn by `init` and never trained.
    output_size(D, H): features of y where they are not H.
    recurrence: `elementwise` promises that unit j of the next state depends on unit j of the state alone (of every
        array of it, which then have one shape); it is checked when the plugin is loaded.

    y has H features unless `output_size` says otherwise. A cell with neither `step` nor `linear` has no portable
    mathematics: only an implementation made for it can run it. It is then checked against itself, and its rows say
    `verified: self`.

    reductions: identities with other cells at special weights, which `rnnbench verify` checks: see `Reduction`.

    framework: name of the one backend whose arrays `step` and `unroll` take; None for portable mathematics. For classes
        of a library: their gradients, states and outputs are that library's own.
    unroll(params, state, xs_TBD) -> (state, ys_TBH)
        For a cell of one framework that runs over a whole sequence at once.
    equal: the portable cell that a class of a library computes, see `Equal`: it is then verified against that one.

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
    step: Callable[..., tuple[State, Array]] | None = None
    project: Callable[..., Array] | None = None
    linear: Callable[..., tuple[Array, Array]] | None = None
    output: Callable[..., Array] | None = None
    source: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    recurrent: tuple[str, ...] = ()
    framework: str | None = None
    unroll: Callable[[Params, State, Array], tuple[State, Array]] | None = None
    derive: Callable[..., Params] | None = None
    lookback: int | Callable[..., int] = 0
    frozen: tuple[str, ...] = ()
    output_size: Callable[..., int] | None = None
    recurrence: Literal["elementwise"] | None = None
    scan: scans.Kind | None = None
    elements: Callable[..., tuple[Array, ...]] | None = None
    combine: Callable[..., tuple[Array, ...]] | None = None
    chunk: Callable[..., tuple[State, Array]] | None = None
    chunk_steps: int | Callable[..., int] = 64
    reductions: tuple[Reduction, ...] = ()
    equal: Equal | None = None

    @property
    def portable(self) -> bool:
        """Whether the mathematics is known to the harness, so that the cell can be verified."""
        mathematics = (self.step, self.linear, self.elements)
        return self.framework is None and any(one is not None for one in mathematics)

    @property
    def counts_steps(self) -> bool:
        """Whether `project` asks how many steps have gone before."""
        return "steps" in self._asks

    @cached_property
    def _asks(self) -> tuple[str, ...]:
        """What `project` takes by keyword; looked up once, for `open` stands in the loop of decoding."""
        return keywords(self.project)

    @property
    def _lookback(self) -> int:
        """Of a cell that is `bound`; others may not know it yet."""
        if callable(self.lookback):
            raise TypeError(f"the lookback of cell {self.name!r} depends on its options: use `cell.bound(options)`")
        return self.lookback

    @property
    def longest_chunk(self) -> int:
        """Steps that `chunk` takes at most; of a cell that is `bound`, others may not know it yet."""
        if callable(self.chunk_steps):
            raise TypeError(f"the chunks of cell {self.name!r} depend on its options: use `cell.bound(options)`")
        return self.chunk_steps

    @property
    def carries(self) -> bool:
        """Whether the harness carries something beside the state: the last inputs, or the number of steps."""
        return bool(self.lookback) or self.counts_steps

    def bound(self, options: Mapping[str, Option] | None = None) -> Cell:
        """The cell with its options in the functions that ask for them; itself where none does.

        Args:
            options: In place of the defaults, by name.
        """
        known = {**self.options, **(options or {})}
        changes: dict[str, Any] = {}
        for name in BOUND:
            function = getattr(self, name)
            asked = {key: known[key] for key in keywords(function) if key in known}
            if asked:
                changes[name] = partial(function, **asked)
        for name in COUNTED:
            count = getattr(self, name)
            if callable(count):
                changes[name] = count(**{key: known[key] for key in keywords(count)})
        return replace(self, **changes, options=known) if changes else self

    def features(self, D: int, H: int) -> int:
        """How many features y has for inputs of D features and the hidden size H; of a cell that is `bound`."""
        return H if self.output_size is None else self.output_size(D, H)

    def initial(self, state: State, D: int) -> State:
        """The state that a sequence starts from: the cell's own, and beside it what the harness carries.

        Args:
            state: As `init` returns it, without a batch axis.
            D: Features of the inputs.
        """
        return carried.initial(self._lookback, self.counts_steps, state, D) if self.carries else state

    def example(self) -> tuple[Params, State, int]:
        """(parameters, state, D) at a small size that `init` takes, for those who ask what kind of arrays they are.

        Raises UsageError, or whatever `init` raises, where it takes none of the sizes tried.
        """
        import numpy as np

        for D, H in EXAMPLES[:-1]:
            try:
                return (*self.init(np.random.default_rng(0), D, H), D)
            except Exception:  # a size it is not made for
                continue
        D, H = EXAMPLES[-1]
        return (*self.init(np.random.default_rng(0), D, H), D)

    def derived(self, ops: Any, params: Params) -> Params:
        """The parameters with what `derive` makes of them."""
        return params if self.derive is None else {**params, **self.derive(ops, params)}

    def asked(self, ops: Any, state: State, xs: Array) -> dict[str, Any]:
        """What `project` takes by keyword for xs_TBD that follow `state`, as `initial` or `close` made it."""
        if not self.carries:
            return {"past": ()} if "past" in self._asks else {}
        return carried.opened(self._lookback, self.counts_steps, ops, state, xs)[1]

    def open(self, ops: Any, params: Params, state: State, xs: Array) -> Opened:
        """All that can be done before the first of the steps over xs_TBD.

        Every implementation begins with it: loop over `opened.zs` with `opened.params` from `opened.state`, and return
        `opened.close(state)` as the state reached.

        Args:
            ops: Array namespace of the arrays (see `rnnbench.ops`).
            params: The cell's parameters.
            state: As `initial` makes it, or as `close` returned it, with a batch axis.
            xs: Inputs, (T, B, D).
        """
        params = self.derived(ops, params)
        if not self.carries:
            none = {"past": ()} if "past" in self._asks else {}
            return Opened(params, state, xs if self.project is None else self.project(ops, params, xs, **none))
        own, asked, after = carried.opened(self._lookback, self.counts_steps, ops, state, xs)
        assert self.project is not None
        return Opened(params, own, self.project(ops, params, xs, **asked), after)

    def projected(self, ops: Any, params: Params, xs: Array) -> Array:
        """All that does not depend on the state: `project`, or the inputs themselves where the cell has none.

        Args:
            ops: Array namespace of the arrays (see `rnnbench.ops`).
            params: The cell's parameters, and what `derived` makes of them.
            xs: Inputs, (T, B, D).

        Returns:
            zs, an array or a tuple of arrays with leading axes (T, B).

        Raises:
            TypeError: The cell looks at what went before, which only `open` knows.
        """
        if self.carries:
            raise TypeError(f"cell {self.name!r} looks at earlier steps: use `cell.open(ops, params, state, xs)`")
        return xs if self.project is None else self.project(ops, params, xs)

    def advance(self, ops: Any, params: Params, state: State, z: Array) -> tuple[State, Array]:
        """One time step, whichever way the cell is written.

        Args:
            ops: Array namespace of the arrays.
            params: The cell's parameters, and what `derived` makes of them.
            state: One array or a tuple of arrays, (B, ...).
            z: `projected` at one time step, (B, ...).

        Returns:
            (state after the step, y of shape (B, H)).

        Raises:
            TypeError: The cell has no portable mathematics.
        """
        if self.step is not None:
            return self.step(ops, params, state, z)
        if self.scan is not None:
            return self._scanned(ops, params, state, z)
        if self.linear is None:
            raise TypeError(f"cell {self.name!r} has no portable mathematics: give it `step` or `linear`")
        zs = tree_map(lambda part: part[None], z)
        a, b = self.linear(ops, params, zs)
        h = a[0] * state + b[0]
        return h, self.shown(ops, params, h[None], zs)[0]

    def _scanned(self, ops: Any, params: Params, state: State, z: Array) -> tuple[State, Array]:
        assert self.scan is not None
        assert self.elements is not None
        zs = tree_map(lambda part: part[None], z)
        elements = tuple(one[0] for one in self.elements(ops, params, zs))
        if self.scan == "semigroup":
            assert self.combine is not None
            after = tuple(self.combine(ops, state if isinstance(state, tuple) else (state,), elements))
            new = after if isinstance(state, tuple) else after[0]
            return new, self.shown(ops, params, tree_map(lambda leaf: leaf[None], new), zs)[0]
        new, o = scans.step(ops, self.scan, state, elements)
        return new, self.shown(ops, params, o[None], zs)[0]

    def shown(self, ops: Any, params: Params, hs: Array, zs: Array) -> Array:
        """What a cell with `linear` or `scan` shows: `output`, or what it is given where it has none.

        Args:
            ops: Array namespace of the arrays.
            params: The cell's parameters.
            hs: States h_1 ... h_T, (T, B, ...); what is read of them, (T, B, heads, dv), for `outer` and `delta`.
            zs: As `projected` gives them, leading axes (T, B).

        Returns:
            ys, (T, B, H).
        """
        return hs if self.output is None else self.output(ops, params, hs, zs)


@dataclass(frozen=True)
class Opened:
    """A sequence before its first step: what the steps need.

    params: with what `derive` made of them. state: the cell's own, (B, ...). zs: leading axes (T, B). carried: what the
    harness hands to the next sequence beside the state.

    Example:
        >>> import numpy as np
        >>> from rnnbench import Cell, numpy_ops
        >>> cell = Cell("sum", lambda rng, D, H: ({}, np.zeros(H)), step=lambda ops, p, h, x: (h + x, h + x))
        >>> opened = cell.open(numpy_ops(), {}, np.zeros((1, 2)), np.ones((5, 1, 2)))  # T=5, B=1, D=H=2
        >>> opened.zs.shape, opened.carried
        ((5, 1, 2), ())
    """

    params: Params
    state: Any
    zs: Array
    carried: tuple[Array, ...] = ()

    def close(self, state: State) -> State:
        """The state that the next sequence starts from, given the cell's own."""
        return (state, *self.carried) if self.carried else state


EXAMPLES = ((4, 8), (8, 8), (16, 16), (64, 64))
"""(D, H) tried in turn: a cell may ask that H be divisible, or that D = H."""

BOUND = ("derive", "project", "step", "linear", "elements", "combine", "chunk", "output", "output_size")
"""The functions that options reach by keyword."""

COUNTED = ("lookback", "chunk_steps")
"""Numbers that may be functions of options."""


def keywords(function: Callable[..., Any] | None) -> tuple[str, ...]:
    """Names of the keyword-only parameters of a function; none of no function, or of one that does not tell."""
    if function is None:
        return ()
    if is_plain(function):
        code = function.__code__
        return code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)


def is_plain(function: Callable[..., Any] | None) -> TypeGuard[FunctionType]:
    """Whether the code of a function says what it takes: its signature takes much longer, and cells have hundreds.

    What a decorator changes of it stands in an attribute.
    """
    return type(function) is FunctionType and not vars(function)


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply `function` to an array or to each array of a tuple, and of tuples in it; a NamedTuple stays one.

    Args:
        function: Of one array.
        tree: A state, say.

    Returns:
        A tree of the same shape.

    Example:
        >>> from rnnbench import tree_map
        >>> tree_map(lambda x: 2 * x, (1, (2, 3)))
        (2, (4, 6))
    """
    if not isinstance(tree, tuple):
        return function(tree)
    mapped = [tree_map(function, leaf) for leaf in tree]
    return type(tree)(*mapped) if hasattr(tree, "_fields") else tuple(mapped)


def leaves(tree: Any) -> tuple[Any, ...]:
    """An array, or the arrays of a tuple and of tuples in it, as a tuple.

    Args:
        tree: A state, say.

    Returns:
        Its arrays, from left to right.

    Example:
        >>> from rnnbench import leaves
        >>> leaves(1), leaves((1, (2, 3)))
        ((1,), (1, 2, 3))
    """
    if not isinstance(tree, tuple):
        return (tree,)
    return tuple(leaf for part in tree for leaf in leaves(part))
