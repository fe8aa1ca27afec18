"""One run of every function of a cell in NumPy, at sizes that take milliseconds, before any process is started.

What a framework would refuse in its own words, from inside its own files, is told here in one sentence: the function
with its file and line, what it did, and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np

from rnnbench import scans
from rnnbench.cell import Cell, Option, Params, State, leaves, tree_map
from rnnbench.errors import PluginError
from rnnbench.ops import numpy_ops
from rnnbench.registry import place
from rnnbench.registry.declared import a
from rnnbench.worker.watched import LeftNamespace, unwrapped, watched, watched_ops

T, B = 6, 3
SIZES = ((5, 8), (8, 8), (16, 64), (64, 64))
"""(D, H) tried in turn: a cell may ask that H be divisible, or that D = H."""
ODD_SIZES = ((16, 4), (4, 2), (36, 6))
"""Tried after them: a cell may ask that D = H², say."""
SEED = 5
SMALL, SMALLER = 1e-6, 1e-9
"""Changes of a parameter: where the smaller one moves the outputs as far as the other, they jump."""
JUMP = 1e-6
"""Of outputs of order one, a jump is at least this large."""


class _OtherSizes(PluginError):
    """The cell may be right at other sizes."""


class _OtherWidth(_OtherSizes):
    """Its y has not H features. units: of its state, where they are as many as the features."""

    units: int | None = None


class _NoInit(_OtherSizes):
    """`init` refused the sizes, before anything else was seen of the cell."""


def check_cell(cell: Cell, options: Mapping[str, Option] | None = None) -> None:
    """Raises PluginError for the first thing about the functions of a cell that no framework could run.

    Which sizes a cell is made for, it alone knows: it passes if it passes at any that are tried, and if its `init`
    refuses them all, for then nothing was seen of it.
    """
    if not cell.portable and cell.init is None:  # its backend makes something else of it than programs
        return
    problems: list[_OtherSizes] = []
    with np.errstate(all="ignore"):
        for D, H in SIZES:
            if _passes(cell, D, H, options, problems):
                return
        for D, H in _own_sizes(problems):
            if _passes(cell, D, H, options, []):
                return
    seen = [problem for problem in problems if not isinstance(problem, _NoInit)]
    if seen:
        raise seen[0]


def _passes(cell: Cell, D: int, H: int, options: Mapping[str, Option] | None, problems: list[_OtherSizes]) -> bool:
    """Whether the cell passes at these sizes; what may be right at others goes to `problems`."""
    try:
        _Check(cell, D, H, dict(options or {})).run()
    except _OtherSizes as problem:
        problems.append(problem)
        return False
    return True


def _own_sizes(problems: Sequence[_OtherSizes]) -> list[tuple[int, int]]:
    """Further sizes: of its own number of units for a cell that had as many at all sizes, a map of the plane say."""
    units = {problem.units for problem in problems if isinstance(problem, _OtherWidth)}
    if not units:
        return list(ODD_SIZES)
    return [(D, H) for H in units if H is not None and len(units) == 1 for D in (SIZES[0][0], H)]


class _Check:
    """The cell at one pair of sizes, and what its `init` returned."""

    def __init__(self, cell: Cell, D: int, H: int, options: Mapping[str, Option]) -> None:
        self.written, self.cell = cell, cell.bound(options)
        self.D, self.H, self.options = D, H, options
        self.width = H
        self.ops = numpy_ops()

    def run(self) -> None:
        """Every check, the ones that others rely on first."""
        D = self.D
        self.params, self.state = self._initial()
        self._check_params()
        self._check_frozen()
        if self.cell.portable:
            self._check_state()
        self._check_seeded(D)
        if not self.cell.portable:
            return
        self._check_output_size()
        self._check_derived()
        self.xs = np.random.default_rng(0).standard_normal((T, B, D))
        zs = self._projected(self._derived(self.params), self.xs)
        self._check_projection(zs)
        if self.cell.scan is not None:
            self._check_elements(zs)
        if self.cell.chunk is not None:
            self._check_chunk(zs)
        ys = self._outputs(self.params)
        if not _same(ys, self._outputs(self.params)):
            self._refuse(
                self._main,
                "gives other outputs for the same inputs when called again; a cell is a function of its "
                "arguments: draw no random numbers and keep nothing between calls",
            )
        self._check_namespace()
        for name in self.params:
            if name not in self.cell.frozen:
                self._check_smooth(name, ys)
        if self.cell.recurrence == "elementwise":
            self._check_elementwise()

    @property
    def _main(self) -> str:
        return next(name for name in ("step", "linear", "elements") if getattr(self.cell, name) is not None)

    def _refuse(self, function: str, what: str) -> NoReturn:
        where = place.of_function(getattr(self.written, function))
        raise PluginError(f"cell {self.cell.name!r}: `{function}`{where} {what}")

    def _call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Call one function of the cell, and tell an exception as the user's."""
        try:
            return getattr(self.cell, function)(*args, **kwargs)
        except LeftNamespace as error:
            raise PluginError(
                f"cell {self.cell.name!r}: `{function}`{place.of_error(error)} {error}: NumPy's functions take no "
                "arrays of torch or jax"
            ) from None
        except Exception as error:
            demands = _OtherSizes if isinstance(error, AssertionError | ValueError | IndexError) else PluginError
            remedy = self._of_lookback() if function == "project" and isinstance(error, IndexError) else ""
            raise demands(f"cell {self.cell.name!r}: `{function}` raised {place.described(error)}{remedy}") from error

    def _of_lookback(self) -> str:
        """How many earlier inputs there are, for one who reached beyond them."""
        count: Any = self.cell.lookback  # a number, for the cell is bound
        return f"; `past` has {count} earlier inputs, past[0] to past[{count - 1}]: raise `lookback`" if count else ""

    def _initial(self) -> tuple[Params, State]:
        """What `init` returns."""
        try:
            found = self._call("init", np.random.default_rng(SEED), self.D, self.H, **self.options)
        except _OtherSizes as error:
            raise _NoInit(str(error)) from error
        if not isinstance(found, tuple) or len(found) != 2:
            self._refuse("init", f"returned {_shape_of(found)}; return (params, state)")
        return found

    def _check_params(self) -> None:
        params: Any = self.params
        if not isinstance(params, Mapping):
            self._refuse("init", f"returned {a(params)} of parameters; return a dict of named NumPy arrays")
        for name, value in params.items():
            if not isinstance(name, str):
                self._refuse("init", f"names a parameter {name!r}; a name is text")
            if not isinstance(value, np.ndarray | np.floating):
                self._refuse("init", f"returns {a(value)} for parameter {name!r}; {_to_array(value)}")
            if value.dtype.kind == "c":
                self._refuse(
                    "init",
                    f"returns a complex parameter {name!r}; parameters are real: keep two of them, real and "
                    "imaginary part, and join them in `step` or `project`",
                )
            if value.dtype.kind != "f":
                self._refuse(
                    "init",
                    f"returns parameter {name!r} of type {value.dtype}; parameters are trained, so give it as "
                    "float64, or keep a constant out of `params` and compute it in `step`",
                )
            if not np.isfinite(value).all():
                self._refuse("init", f"returns parameter {name!r} with values that are not finite")

    def _check_frozen(self) -> None:
        for name in self.cell.frozen:
            if name not in self.params:
                known = ", ".join(self.params) or "none"
                self._refuse("init", f"returns no parameter {name!r}, which `frozen` names; it returns {known}")

    def _check_output_size(self) -> None:
        if self.cell.output_size is None:
            return
        self.width = self._call("output_size", self.D, self.H)
        if not isinstance(self.width, int) or self.width < 1:
            self._refuse("output_size", f"returned {self.width!r}; return how many features y has")

    def _check_derived(self) -> None:
        if self.cell.derive is None:
            return
        found = self._call("derive", self.ops, self.params)
        if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
            self._refuse("derive", f"returned {a(found)}; return a dict of named arrays")
        for name, value in found.items():
            if name in self.params:
                self._refuse("derive", f"returns {name!r}, which is a parameter already; give it a name of its own")
            if not isinstance(value, np.ndarray | np.generic):
                self._refuse("derive", f"returns {a(value)} for {name!r}; compute it with `ops` from the parameters")

    def _derived(self, params: Params) -> Params:
        return params if self.cell.derive is None else {**params, **self._call("derive", self.ops, params)}

    def _check_state(self) -> None:
        if isinstance(self.state, list):
            self._refuse("init", "returns the state as a list; return one array or a tuple of arrays")
        for leaf in leaves(self.state):
            if not isinstance(leaf, np.ndarray):
                self._refuse("init", f"returns {a(leaf)} as (part of) the state; {_to_array(leaf)}")
            if leaf.dtype.kind not in "fc":
                self._refuse(
                    "init",
                    f"returns a state of type {leaf.dtype}; states are float64 (or complex): write np.zeros(n), "
                    "also for a counter",
                )

    def _check_seeded(self, D: int) -> None:
        """The same generator gives the same weights."""
        params, state = self._call("init", np.random.default_rng(SEED), D, self.H, **self.options)
        same = params.keys() == self.params.keys() and all(_same(params[k], self.params[k]) for k in params)
        if not same or not all(_same(*pair) for pair in zip(leaves(state), leaves(self.state), strict=True)):
            self._refuse(
                "init",
                "gives other weights when it is called again with the same seed; draw from its first argument, "
                "`rng.standard_normal(...)`, not from np.random or another source",
            )

    def _projected(self, params: Params, xs: np.ndarray) -> Any:
        """zs, for parameters with what `derive` makes of them, from the first step on."""
        if self.cell.project is None:
            return xs
        state = tree_map(_in_batch, self.cell.initial(self.state, self.D))
        asked = self.cell.asked(self.ops, state, xs)
        return self._call("project", self.ops, params, xs, **asked)

    def _check_projection(self, zs: Any) -> None:
        """Leading axes (T, B), and nothing of a later step in an earlier one."""
        if self.cell.project is None:
            return
        for part in leaves(zs):
            if not isinstance(part, np.ndarray) or part.shape[:2] != (T, B):
                self._refuse(
                    "project",
                    f"returned {_shape_of(zs)} for xs of shape {self.xs.shape}; return an array, or a tuple "
                    "of arrays, with the leading axes (T, B) of xs",
                )
        start = self._projected(self._derived(self.params), self.xs[: T // 2])
        for part, whole in zip(leaves(start), leaves(zs), strict=True):
            if part.shape != whole[: T // 2].shape or not np.allclose(part, whole[: T // 2], 1e-9, 1e-12, True):
                self._refuse(
                    "project",
                    "gives the first steps other values where later steps follow; it must act on each time "
                    "step by itself",
                )

    def _outputs(self, params: Params) -> np.ndarray:
        """ys of the cell over all of xs, with the form of all that its functions return checked."""
        params = self._derived(params)
        zs = self._projected(params, self.xs.copy())
        state = tree_map(_in_batch, self.state)
        if self.cell.linear is not None:
            return self._linear_outputs(params, state, zs)
        ys = []
        for t in range(T):
            state = self._stepped(params, state, tree_map(lambda part, t=t: part[t], zs), ys)
        return np.stack(ys)

    def _stepped(self, params: Params, state: State, z: Any, ys: list[np.ndarray]) -> State:
        way = "step" if self.cell.step is not None else "advance"
        own = dict(params)
        found = self._call(way, self.ops, own, state, z)
        if own.keys() != params.keys() or any(own[name] is not params[name] for name in params):
            self._refuse(way, "changes the dict of its parameters; keep what it computes in names of its own")
        if not isinstance(found, tuple | list) or len(found) != 2:
            self._refuse("step", f"returned {_shape_of(found)}; return (state, y)")
        new, y = found
        if isinstance(new, list) or len(leaves(new)) != len(leaves(state)):
            self._refuse(
                "step",
                f"returned a state of {_shape_of(new)} where `init` gave {_shape_of(self.state)}; return a state "
                "of the same form, and (state, y) in this order",
            )
        for after, before, initial in zip(leaves(new), leaves(state), leaves(self.state), strict=True):
            if np.shape(after) != before.shape:
                self._refuse_state(np.shape(after), before.shape, initial)
        shows = self._main if self.cell.output is None else "output"
        self._check_width(shows, y, (B, self.width), self.state)
        ys.append(np.asarray(y))
        return new

    def _refuse_state(self, after: tuple[int, ...], before: tuple[int, ...], initial: np.ndarray) -> NoReturn:
        if initial.ndim > 1 and (initial.shape[0] == 1 or initial.shape[0] == B):
            self._refuse(
                "init",
                f"returns a state of shape {initial.shape}, with a batch axis; leave it out, as in "
                f"np.zeros({initial.shape[-1]}): the harness adds it",
            )
        if initial.ndim == 0:
            self._refuse("init", "returns a state without an axis; return np.zeros(H), one number per unit")
        self._refuse("step", f"returned a state of shape {after} where it was given one of {before}")

    def _check_width(self, function: str, y: Any, shape: tuple[int, ...], state: State) -> None:
        if np.shape(y) == shape:
            if np.asarray(y).dtype.kind not in "fc":
                self._refuse(function, f"returned y of type {np.asarray(y).dtype}; write `ops.where(y, 1.0, 0.0)`, say")
            return
        for leaf in leaves(state):
            if leaf.ndim > 1 and leaf.shape[0] == 1:
                self._refuse_state((), (), leaf)
        if np.ndim(y) == len(shape) and np.shape(y)[:-1] == shape[:-1]:
            where = place.of_function(getattr(self.written, function))
            problem = _OtherWidth(
                f"cell {self.cell.name!r}: `{function}`{where} returned y with {np.shape(y)[-1]} features; y must "
                f"have {'H' if self.cell.output_size is None else 'the output_size'} = {self.width}: multiply it by a "
                "parameter of so many columns, show another part of the state, or say its width by `output_size`"
            )
            widths = {leaf.shape[-1] for leaf in leaves(state)}
            problem.units = np.shape(y)[-1] if widths == {np.shape(y)[-1]} else None
            raise problem
        self._refuse(function, f"returned {_shape_of(y)} as y; it must have the shape {shape}")

    def _linear_outputs(self, params: Params, state: State, zs: Any) -> np.ndarray:
        if not isinstance(state, np.ndarray):
            self._refuse("init", f"returns a state of {_shape_of(state)}; the state of a linear cell is one array")
        found = self._call("linear", self.ops, params, zs)
        if not isinstance(found, tuple | list) or len(found) != 2:
            self._refuse("linear", f"returned {_shape_of(found)}; return (a, b) of h_t = a_t * h_(t-1) + b_t")
        wanted = (T, *state.shape)
        for name, part in zip("ab", found, strict=True):
            if not _broadcasts(np.shape(part), wanted):
                self._refuse(
                    "linear", f"returned {name} of shape {np.shape(part)}, which does not broadcast to {wanted}"
                )
        a_, b_ = (np.broadcast_to(part, wanted) for part in found)
        hs = []
        for t in range(T):
            state = a_[t] * state + b_[t]
            hs.append(state)
        if self.cell.output is None:
            self._check_width("linear", hs[-1], (B, self.width), self.state)
            return np.stack(hs)
        ys = self._call("output", self.ops, params, np.stack(hs), zs)
        self._check_width("output", ys, (T, B, self.width), self.state)
        return np.asarray(ys)

    def _check_namespace(self) -> None:
        """Once more with arrays that refuse NumPy's functions; what else goes wrong with them is their own fault."""
        ops, params = watched_ops(), {name: watched(np.asarray(value)) for name, value in self.params.items()}
        state = tree_map(lambda leaf: watched(_in_batch(leaf)), self.state)
        try:
            zs = watched(self.xs.copy())
            if self.cell.derive is not None:
                params |= self._watched_call("derive", ops, params)
            if self.cell.carries:
                zs = tree_map(watched, self._projected(self._derived(self.params), self.xs))
            elif self.cell.project is not None:
                asked = self.cell.asked(ops, state, zs)
                zs = self._watched_call("project", ops, params, zs, **asked)
            if self.cell.linear is None:
                way = "step" if self.cell.step is not None else "advance"
                self._watched_call(way, ops, params, state, tree_map(lambda part: part[0], zs))
            else:
                self._watched_call("linear", ops, params, zs)
                if self.cell.output is not None:
                    hs = watched(np.broadcast_to(unwrapped(state), (T, *unwrapped(state).shape)).copy())
                    self._watched_call("output", ops, params, hs, zs)
        except _NotOurs:
            return

    def _watched_call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return getattr(self.cell, function)(*args, **kwargs)
        except LeftNamespace:
            return self._call(function, *args, **kwargs)
        except Exception as error:
            raise _NotOurs from error

    def _check_smooth(self, name: str, ys: np.ndarray) -> None:
        """A parameter that the outputs jump with has no gradient: it is a constant."""
        value = np.asarray(self.params[name])
        direction = np.random.default_rng(1).uniform(0.5, 1, value.shape) * np.maximum(np.abs(value), 1e-3)

        def moved(size: float) -> float:
            changed = self._outputs({**self.params, name: value + size * direction})
            return float(np.max(np.abs(changed - ys), initial=0.0))

        for sign in (1, -1):
            jump = moved(sign * SMALLER)
            if jump <= JUMP or jump <= 0.3 * moved(sign * SMALL):
                continue
            self._refuse(
                self._main,
                f"makes the outputs jump by {jump:.2g} as parameter {name!r} moves by one part in "
                f"{1 / SMALLER:.0e}; it has no gradient, so name this constant in `frozen`, or compute it in "
                f"`{self._main}`",
            )

    def _check_elements(self, zs: Any) -> None:
        """The coefficients of a scan have the shapes that its kind asks for; a semigroup is associative."""
        assert self.cell.scan is not None
        params = self._derived(self.params)
        found = self._call("elements", self.ops, params, zs)
        if self.cell.scan == "semigroup":
            self._check_associative(found)
            return
        names = scans.ELEMENTS[self.cell.scan]
        if not isinstance(found, tuple) or len(found) != len(names):
            self._refuse("elements", f"returned {_shape_of(found)}; {self.cell.scan} needs ({', '.join(names)})")
        if not isinstance(self.state, np.ndarray) or self.state.ndim != 3:
            self._refuse("init", f"returns {_shape_of(self.state)} as the state; {self.cell.scan} has (heads, dk, dv)")
        heads, dk, dv = self.state.shape
        for name, part in zip(names, found, strict=True):
            allowed = [(heads, dv)] if name == "v" else [(heads, dk), *([(heads, 1)] if name == "log_a" else [])]
            if np.shape(part)[:2] != (T, B) or np.shape(part)[2:] not in allowed:
                wanted = " or ".join(str((T, B, *shape)) for shape in allowed)
                self._refuse("elements", f"returned {name} of shape {np.shape(part)}; it must be {wanted}")

    def _check_associative(self, found: Any) -> None:
        states = leaves(self.state)
        if not isinstance(found, tuple) or [np.shape(one)[2:] for one in found] != [leaf.shape for leaf in states]:
            self._refuse("elements", f"returned {_shape_of(found)}; a semigroup has elements like those of its state")
        x, y, z = (tuple(one[t] for one in found) for t in range(3))
        combine = partial(self._call, "combine", self.ops)
        for one, other in zip(combine(combine(x, y), z), combine(x, combine(y, z)), strict=True):
            if not np.allclose(one, other, 1e-9, 1e-12, True):
                self._refuse(
                    "combine",
                    f"is not associative: (x·y)·z and x·(y·z) differ by {np.abs(one - other).max():.2g} for three of "
                    "the cell's own elements",
                )

    def _check_chunk(self, zs: Any) -> None:
        """Over the first steps, as many as a chunk takes, it comes to what the steps come to."""
        params, count = self._derived(self.params), min(T, self.cell.longest_chunk)
        start = state = tree_map(_in_batch, self.state)
        ys = []
        for t in range(count):
            state, y = self.cell.advance(self.ops, params, state, tree_map(lambda part, t=t: part[t], zs))
            ys.append(y)
        found = self._call("chunk", self.ops, params, start, tree_map(lambda part: part[:count], zs))
        if not isinstance(found, tuple) or len(found) != 2:
            self._refuse("chunk", f"returned {_shape_of(found)}; return (state, ys)")
        for one, other in zip(leaves(found), leaves((state, np.stack(ys))), strict=True):
            if np.shape(one) != np.shape(other) or not np.allclose(one, other, 1e-9, 1e-12, True):
                self._refuse("chunk", f"does not come to what {count} steps come to, in outputs or state")

    def _check_elementwise(self) -> None:
        """Unit j of the state moved before a step moves nothing but unit j after it."""
        params = self._derived(self.params)
        z = tree_map(lambda part: part[0], self._projected(params, self.xs))
        rng = np.random.default_rng(2)
        state = tree_map(lambda leaf: _in_batch(leaf) + rng.standard_normal((B, *leaf.shape)), self.state)
        shapes = {leaf.shape for leaf in leaves(state)}
        if len(shapes) > 1:
            self._refuse("init", f'returns states of shapes {shapes}; `recurrence="elementwise"` needs one shape')
        place_ = (slice(None), *np.unravel_index(0, shapes.pop()[1:]))
        before, _ = self.cell.advance(self.ops, params, state, z)
        moved = tree_map(np.copy, state)
        for leaf in leaves(moved):
            leaf[place_] += 1.0
        after, _ = self.cell.advance(self.ops, params, moved, z)
        for one, other in zip(leaves(before), leaves(after), strict=True):
            changed = one != other
            changed[place_] = False
            if changed.any():
                self._refuse(
                    self._main,
                    "moves other units of the state where one unit was moved, but the cell declares "
                    '`recurrence="elementwise"`; drop the declaration',
                )


class _NotOurs(Exception):
    """A watched array could not do what NumPy's can."""


def _in_batch(leaf: np.ndarray) -> np.ndarray:
    return np.broadcast_to(leaf, (B, *leaf.shape)).copy()


def _same(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    numbers = one.dtype.kind in "biufc"  # what is no array of numbers belongs to a cell without mathematics
    return np.array_equal(one, other, equal_nan=numbers)


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False


def _shape_of(value: Any) -> str:
    """A value in words: `one array of shape (3, 8)`, `2 arrays`, `a dict`."""
    if isinstance(value, tuple) and all(hasattr(part, "shape") for part in value):
        return f"{len(value)} arrays" if len(value) != 1 else "a tuple of one array"
    return f"one array of shape {np.shape(value)}" if hasattr(value, "shape") else a(value)


def _to_array(value: Any) -> str:
    """How a value becomes a NumPy array."""
    if type(value).__module__.partition(".")[0] == "torch":
        return "return NumPy arrays: value.detach().double().numpy()"
    if isinstance(value, list | tuple | dict):
        return "give each array a name of its own in `params`, and each part of a state its place in the tuple"
    return "return NumPy float64 arrays: np.asarray(value, dtype=float)"
