"""The state of a cell as one vector of real numbers per sequence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rnnbench import Array, Cell, State, leaves, tree_map


@dataclass(frozen=True)
class Parts:
    """How a state (B, ...) lies in a vector (B, n): leaf by leaf; of a complex one the real parts, then the imaginary.

    sizes: real numbers of each part, in that order.
    """

    like: State
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, ops: Any, state: State) -> Parts:
        """Of a state with a batch axis."""
        sizes = [
            math.prod(leaf.shape[1:])
            for leaf in leaves(state)
            for _ in range(2 if ops.isdtype(leaf.dtype, "complex floating") else 1)
        ]
        return cls(state, tuple(sizes))

    @property
    def n(self) -> int:
        """Real numbers of one sequence."""
        return sum(self.sizes)

    def vector(self, ops: Any, state: State) -> Array:
        """(R, ...) -> (R, n), for any number of rows R."""
        columns = []
        for leaf in leaves(state):
            flat = ops.reshape(leaf, (leaf.shape[0], -1))
            complex_ = ops.isdtype(leaf.dtype, "complex floating")
            columns += [ops.real(flat), ops.imag(flat)] if complex_ else [flat]
        return ops.concat(columns, axis=1)

    def state(self, ops: Any, vector: Array) -> State:
        """The inverse of `vector`."""
        sizes, at = iter(self.sizes), 0

        def take(leaf: Array) -> Array:
            nonlocal at
            size = next(sizes)
            found = vector[:, at : at + size]
            at += size
            if ops.isdtype(leaf.dtype, "complex floating"):
                next(sizes)
                found = found + 1j * vector[:, at : at + size]
                at += size
            return ops.reshape(found, (vector.shape[0], *leaf.shape[1:]))

        return tree_map(take, self.like)


def part_sizes(cell: Cell) -> tuple[int, ...]:
    """The sizes of the parts of a small example of the cell, without any framework."""
    import numpy as np

    _, state, _ = cell.example()
    return tuple(int(np.size(leaf)) for leaf in leaves(state) for _ in range(2 if np.iscomplexobj(leaf) else 1))
