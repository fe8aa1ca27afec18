"""The derivative of every entry of the next state by every entry of the state, along a trajectory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rnnbench import States, leaves, tree_map

Step = Callable[[States, Any], States]
"""step(states, x_BD) -> the states of all layers one step later."""


def jacobians(step: Step, states: States, xs: Any) -> tuple[States, Any]:
    """(states after xs_TBD, ∂s_t/∂s_{t−1} as (T, B, n, n)), all on the device.

    Rows of a batch do not depend on each other, so all steps and sequences are the rows of one batch, and one
    vectorised reverse pass per entry of the state serves them all. Forward mode would do too, but loading torch's
    forward-mode rules warns of deprecation.
    """
    import torch

    states, flat = _trajectory(step, states, xs)
    T, B, n = flat.shape
    rows, inputs = flat.reshape(T * B, n), xs.reshape(T * B, -1)
    pull = torch.func.vjp(lambda rows: flattened(step(unflattened(rows, states), inputs)), rows)[1]
    units = torch.eye(n, dtype=rows.dtype, device=rows.device)
    found = torch.func.vmap(lambda unit: pull(unit.expand_as(rows))[0], out_dims=1)(units)
    return states, found.reshape(T, B, n, n)


def _trajectory(step: Step, states: States, xs: Any) -> tuple[States, Any]:
    """(s_T, s_0 ... s_{T−1} flattened to (T, B, n))."""
    import torch

    visited = []
    with torch.no_grad():
        for x in xs.unbind(0):
            visited.append(flattened(states))
            states = step(states, x)
    return states, torch.stack(visited)


def flattened(states: States) -> Any:
    """All entries of all layers as real numbers (B, n); a complex one as real part, imaginary part."""
    import torch

    def real(leaf: Any) -> Any:
        leaf = torch.view_as_real(leaf.resolve_conj()) if leaf.is_complex() else leaf
        return leaf.reshape(len(leaf), -1)

    return torch.cat([real(leaf) for state in states for leaf in leaves(state)], dim=1)


def unflattened(flat: Any, like: States) -> States:
    """The inverse of `flattened`: flat (B, n) in the structure, shapes and kinds of `like`, whatever its batch size."""
    import torch

    at = 0

    def take(leaf: Any) -> Any:
        nonlocal at
        parts = (2,) if leaf.is_complex() else ()
        shape = (*leaf.shape[1:], *parts)
        size = math.prod(shape)
        taken = flat[:, at : at + size].reshape(-1, *shape)
        at += size
        return torch.view_as_complex(taken.contiguous()) if parts else taken

    return tuple(tree_map(take, state) for state in like)
