"""A cell by name, run by the oracle at weights that a test has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import rnnbench_cells
from rnnbench import Cell, Model, Weights, batched, initialise, tree_map
from rnnbench.model import oracle

CELLS: dict[str, Cell] = {cell.name: cell for cell in rnnbench_cells.rnnbench_cells()}
T, B, D, H = 6, 2, 8, 8


@dataclass
class CellRun:
    """One layer of a cell: its parameters by their own names, the states it starts from, its inputs."""

    name: str
    options: Mapping[str, Any]
    params: dict[str, np.ndarray]
    state: Any
    xs: np.ndarray

    def __init__(self, name: str, *, D: int = D, H: int = H, T: int = T, **options: Any) -> None:
        self.name, self.options = name, options
        self.model = Model(CELLS[name], D, H, cell_options=options)
        weights = initialise(self.model, 1)
        self.params = {key.removeprefix("layers.0."): value.copy() for key, value in weights.params.items()}
        [self.state] = batched(weights.states, B, np.broadcast_to)
        self.state = tree_map(np.copy, self.state)
        self.xs = np.random.default_rng(3).standard_normal((T, B, D))

    def zeroed(self, *names: str) -> CellRun:
        """Zeros in these parameters; in all where none is named."""
        for name in names or self.params:
            self.params[name] = 0 * self.params[name]
        return self

    def weights(self) -> Weights:
        return Weights({f"layers.0.{name}": array for name, array in self.params.items()}, (), self.model.frozen)

    def __call__(self) -> tuple[Any, np.ndarray]:
        """(final state, ys_TBH)."""
        [final], ys = oracle.forward(self.model, self.weights(), self.xs, (self.state,))
        return final, ys
