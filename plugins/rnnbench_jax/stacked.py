"""Batches that came to the device together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from rnnbench import Array

if TYPE_CHECKING:
    import numpy as np

TOGETHER = 10
"""Batches that are placed by one call, most of whose cost is the same for any number."""


class Stacked(Mapping[str, Array]):
    """One batch out of arrays (TOGETHER, ...), cut out only where it is used: inside a compiled step, as a rule."""

    def __init__(self, arrays: Mapping[str, Array], index: Array) -> None:
        self.arrays = arrays
        self.index = index

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name][self.index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


@cache
def register() -> None:
    """Let compiled functions take a `Stacked`. Its index is an argument to them, so one compilation serves all."""
    import jax

    jax.tree_util.register_pytree_node(
        Stacked, lambda one: ((one.arrays, one.index), None), lambda _, parts: Stacked(*parts)
    )


def stack(batches: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """At most TOGETHER batches as arrays (TOGETHER, ...), the last one repeated where there are fewer."""
    import numpy as np

    full = [*batches, *[batches[-1]] * (TOGETHER - len(batches))]
    return {name: np.stack([one[name] for one in full]) for name in full[0]}
