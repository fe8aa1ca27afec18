"""What a class gives on a few steps in float64, outside a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnbench import Cell, leaves, tree_map
from rnnbench_adapters.classes import Unusable

Outputs = Callable[[Mapping[str, np.ndarray]], tuple[np.ndarray, list[np.ndarray]]]
"""params -> (ys_TBH, leaves of the final state)."""


def outputs_of(cell: Cell, state: Any, xs: np.ndarray) -> Outputs:
    """A class's outputs on xs_TBD as a function of its parameters. state: first state, without a batch axis."""
    first = tree_map(lambda leaf: np.broadcast_to(leaf, (xs.shape[1], *leaf.shape)).copy(), state)
    if cell.step is None:
        raise Unusable("it takes no state, so it cannot be run step by step")
    return _torch(cell, first, xs) if cell.framework == "torch" else _jax(cell, first, xs)


def _torch(cell: Cell, first: Any, xs: np.ndarray) -> Outputs:
    import torch

    assert cell.step is not None
    step = cell.step

    def run(params: Mapping[str, np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        tensors = {name: torch.tensor(value) for name, value in params.items()}
        state, ys = tree_map(torch.tensor, first), []
        with torch.no_grad():
            for x in torch.tensor(xs):
                state, y = step(None, tensors, state, x)
                ys.append(y.numpy())
        return np.stack(ys), [leaf.numpy() for leaf in leaves(state)]

    return run


def _jax(cell: Cell, first: Any, xs: np.ndarray) -> Outputs:
    import jax

    assert cell.step is not None
    step = cell.step

    @jax.jit
    def over(params: Any, state: Any, xs: Any) -> Any:
        return jax.lax.scan(lambda state, x: step(None, params, state, x), state, xs)

    def run(params: Mapping[str, np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        with jax.enable_x64(True):
            state, ys = over(dict(params), first, xs)
            return np.asarray(ys), [np.asarray(leaf) for leaf in leaves(state)]

    return run
