"""What the harness carries from one sequence to the next beside a cell's own state.

The last inputs, where `project` looks back, and the number of steps taken, where it asks for it. With them in the state
that is handed on, a sequence may be cut anywhere: f(x[:t]), then f(x[t:]) from the state reached, is f(x).
"""

from __future__ import annotations

from typing import Any

Array = Any
BASE, DIGITS = 64, 5
"""A number of steps is carried as digits, which every dtype holds exactly: bfloat16 ends at 256, 64⁵ is 10⁹. Taking
them apart cuts the gradient, so the clock adds no direction to Jacobians that would neither grow nor shrink."""


def initial(lookback: int, counts_steps: bool, state: Any, D: int) -> Any:
    """(the cell's own state, zeros (lookback, D), digits zero), the latter two only where the cell asks for them."""
    import numpy as np

    found: list[Any] = [state]
    if lookback:
        found.append(np.zeros((lookback, D)))
    if counts_steps:
        found.append(np.zeros(DIGITS))
    return tuple(found)


def opened(
    lookback: int, counts_steps: bool, ops: Any, state: Any, xs: Array
) -> tuple[Any, dict[str, Any], tuple[Array, ...]]:
    """(the cell's own state, what `project` takes by keyword, what is carried on after xs_TBD)."""
    own, *rest = state
    asked: dict[str, Any] = {}
    after = []
    if lookback:
        asked["past"], window = _looked_back(lookback, ops, rest.pop(0), xs)
        after.append(window)
    if counts_steps:
        asked["steps"], digits = _counted(ops, rest.pop(0), xs)
        after.append(digits)
    return own, asked, tuple(after)


def _looked_back(lookback: int, ops: Any, window: Array, xs: Array) -> tuple[tuple[Array, ...], Array]:
    """(past of xs_TBD, the last inputs (B, lookback, D) after it)."""
    T = xs.shape[0]
    joined = ops.concat([ops.permute_dims(window, (1, 0, 2)), xs], axis=0)
    past = tuple(joined[lookback - 1 - j : lookback - 1 - j + T] for j in range(lookback))
    return past, ops.permute_dims(joined[T:], (1, 0, 2))


def _counted(ops: Any, digits: Array, xs: Array) -> tuple[Array, Array]:
    """(steps behind each, int32 (T, B), the digits after xs_TBD)."""
    T = xs.shape[0]
    whole = ops.astype(digits, ops.int32)
    start: Any = sum(whole[:, k] * BASE**k for k in range(DIGITS))
    ones = ops.ones_like(ops.broadcast_to(start, (T, *start.shape)))
    steps = start + ops.cumulative_sum(ones, axis=0) - 1
    end = start + T
    after = ops.stack([end // BASE**k % BASE for k in range(DIGITS)], axis=-1)
    return ops.astype(steps, ops.int32), ops.astype(after, digits.dtype)
