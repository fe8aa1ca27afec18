"""Sequences that begin and end inside a batch: packed documents, episodes, padding, for any portable cell.

`resets:lstm` is a cell whose last input feature is a flag:

     1  a sequence begins here: the state starts over before this step;
     0  it goes on;
    −1  padding: the state stays what it is, and y is zero.

The flag is the last feature of y too, so that layers can be stacked: y has H + 1 features. Between 1/2 and −1/2 a flag
counts as 0. Final states are those at the ends of the sequences.

`resettable` gives any implementation `resets` and `lengths` as arguments of its unroll.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from rnnbench import Array, Cell, Option, Params, Unroll, UsageError, leaves, tree_map
from rnnbench_cells.initial import Rng
from rnnbench_cells.signatures import signed

NAME = "resets"


def reason(cell: Cell) -> str:
    """Why a cell cannot start over in the middle of a sequence; empty where it can."""
    if "steps" in _asked(cell):
        return f"cell {cell.name!r} counts its steps from the start of the sequence, which a flag does not restart"
    return "" if cell.portable else f"cell {cell.name!r} has no portable mathematics"


def resetting(cell: Cell) -> Cell:
    """The cell with a flag as its last input feature.

    Args:
        cell: Any portable cell that starts from zeros and does not ask for `steps`.

    Returns:
        A cell named `resets:cell`, with the cell's parameters and options.

    Raises:
        UsageError: The cell cannot start over.
    """
    if problem := reason(cell):
        raise UsageError(problem)
    made = _Resetting(cell)
    options = tuple(cell.options)
    return Cell(
        f"{NAME}:{cell.name}",
        made.init,
        step=None if cell.linear else signed(made.step, ("ops", "params", "state", "z"), options),
        project=signed(made.project, ("ops", "params", "xs"), (*options, *(("past",) if cell.lookback else ()))),
        linear=signed(made.linear, ("ops", "params", "zs"), options) if cell.linear else None,
        output=signed(made.output, ("ops", "params", "hs", "zs"), options) if cell.linear else None,
        derive=signed(made.derive, ("ops", "params"), options) if cell.derive else None,
        lookback=cell.lookback,
        output_size=signed(made.output_size, ("D", "H"), options),
        frozen=cell.frozen,
        recurrent=cell.recurrent,
        options=cell.options,
        source=cell.source,
    )


def resettable(
    ops: Any, build: Callable[[Cell, str, str], Unroll], cell: Cell, device: str, dtype: str
) -> Callable[..., tuple[Any, Array]]:
    """An unroll that takes where sequences begin, and how long they are.

    Args:
        ops: Array namespace of the framework (`torch_ops()`, `jax_ops()`).
        build: Of an implementation: `Implementation.build`.
        cell: A portable cell that `resetting` takes; its implementation must support the cell that it makes.
        device: As for `build`.
        dtype: As for `build`.

    Returns:
        unroll(params, state, xs_TBD, resets=None, lengths=None) -> (state, ys_TBH). params: those of the cell. state:
        as `resetting(cell).initial(state, D + 1)` makes it, with a batch axis. resets (T, B): not zero where a
        sequence begins, and the state starts over. lengths (B,), in steps: what follows is padding, which leaves the
        state alone and gives zeros. Without either it is the cell's own unroll.

    Raises:
        UsageError: The cell cannot start over.

    Example:
        unroll = resettable(torch_ops(), eager.build, lstm, "cpu", "float32")
        state, ys = unroll(params, state, xs, resets=begins, lengths=lengths)
    """
    inner = build(resetting(cell).bound(), device, dtype)

    def unroll(
        params: Params, state: Any, xs: Array, resets: Array | None = None, lengths: Array | None = None
    ) -> tuple[Any, Array]:
        flags = ops.zeros_like(xs[..., :1])
        if resets is not None:
            flags = ops.where(resets[..., None] != 0, 1 + flags, flags)
        if lengths is not None:
            steps = ops.cumulative_sum(ops.astype(ops.ones_like(xs[..., 0]), ops.int32), axis=0)
            flags = ops.where((steps > lengths)[..., None], 0 * flags - 1, flags)
        state, ys = inner(params, state, ops.concat([xs, flags], axis=-1))
        return state, ys[..., :-1]

    return unroll


def _asked(cell: Cell) -> tuple[str, ...]:
    if cell.project is None:
        return ()
    parameters = inspect.signature(cell.project).parameters.values()
    return tuple(one.name for one in parameters if one.kind is one.KEYWORD_ONLY)


class _Resetting:
    """The functions of a cell that can start over."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def init(self, rng: Rng, D: int, H: int, **options: Option) -> tuple[Params, Any]:
        """The cell at one input less."""
        import numpy as np

        if D < 2:
            raise UsageError(f"cell '{NAME}:{self.cell.name}' needs D >= 2, the last of them the flag, found D={D}.")
        params, state = self.cell.init(rng, D - 1, H, **options)
        if any(np.any(leaf) for leaf in leaves(state)):
            raise UsageError(f"cell {self.cell.name!r} does not start from zeros, so it cannot start over.")
        return params, state

    def output_size(self, D: int, H: int, **options: Option) -> int:
        """One more than the cell's."""
        return self.cell.bound(options).features(D - 1, H) + 1

    def derive(self, ops: Any, params: Params, **options: Option) -> Params:
        """As the cell."""
        derived = self.cell.bound(options).derive
        assert derived is not None
        return derived(ops, params)

    def project(
        self, ops: Any, params: Params, xs: Array, *, past: tuple[Array, ...] = (), **options: Option
    ) -> tuple[Array, ...]:
        """(flags (T, B, 1), then the projection of the cell): of earlier inputs only those of the same sequence."""
        cell, flags = self.cell.bound(options), xs[..., -1:]
        asked: dict[str, Any] = {}
        if "past" in _asked(self.cell):
            same, seen = ops.astype(flags <= 0.5, xs.dtype), []
            for x in past:
                seen.append(same * x[..., :-1])
                same = same * ops.astype(x[..., -1:] <= 0.5, xs.dtype)
            asked["past"] = tuple(seen)
        zs = xs[..., :-1] if cell.project is None else cell.project(ops, params, xs[..., :-1], **asked)
        return (flags, *leaves(zs))

    def step(self, ops: Any, params: Params, state: Any, z: tuple[Array, ...], **options: Option) -> tuple[Any, Array]:
        """One step from zeros where a sequence begins; none where there is padding."""
        flag, inner = _parted(z)
        begun = tree_map(lambda leaf: ops.where(_like(ops, flag, leaf) > 0.5, 0 * leaf, leaf), state)
        after, y = self.cell.bound(options).advance(ops, params, begun, inner)
        state = _merged(ops, flag, after, begun)
        return state, _flagged(ops, y, flag)

    def linear(self, ops: Any, params: Params, zs: tuple[Array, ...], **options: Option) -> tuple[Array, Array]:
        """(a, b) with a = 0 where a sequence begins, a = 1 and b = 0 where there is padding."""
        flags, inner = _parted(zs)
        linear = self.cell.bound(options).linear
        assert linear is not None
        a, b = linear(ops, params, inner)
        flag = _like(ops, flags, b, 2)
        a = ops.where(flag > 0.5, 0 * a, a)
        return ops.where(flag < -0.5, 1 + 0 * a, a), ops.where(flag < -0.5, 0 * b, b)

    def output(self, ops: Any, params: Params, hs: Array, zs: tuple[Array, ...], **options: Option) -> Array:
        """What the cell shows, zero where there is padding, and the flags."""
        flags, inner = _parted(zs)
        return _flagged(ops, self.cell.bound(options).shown(ops, params, hs, inner), flags)


def _parted(zs: tuple[Array, ...]) -> tuple[Array, Any]:
    """(flags, the projection of the cell)."""
    flags, *inner = zs
    return flags, tuple(inner) if len(inner) > 1 else inner[0]


def _like(ops: Any, flag: Array, leaf: Array, leading: int = 1) -> Array:
    """A flag (..., 1) with as many axes as a leaf."""
    return ops.reshape(flag, (*flag.shape[:leading], *(1,) * (leaf.ndim - leading)))


def _merged(ops: Any, flag: Array, after: Any, before: Any) -> Any:
    if isinstance(before, tuple):
        merged = [_merged(ops, flag, one, other) for one, other in zip(after, before, strict=True)]
        return type(before)(*merged) if hasattr(before, "_fields") else tuple(merged)
    return ops.where(_like(ops, flag, before) < -0.5, before, after)


def _flagged(ops: Any, ys: Array, flags: Array) -> Array:
    return ops.concat([ops.where(flags < -0.5, 0 * ys, ys), flags], axis=-1)
