"""Arrays of weights cut into blocks: H rows of an input matrix, of a recurrent matrix, of a vector; or one number.

D and H differ where blocks are told apart, and a block is then found again at any size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rnnbench_adapters.classes import Unusable

Kind = Literal["input", "recurrent", "vector", "number"]


@dataclass(frozen=True)
class Block:
    """One of `count` equal parts of an array along `axis`, the part `index`.

    side: `x` or `h` where the other axis holds both D and H features, x first: which of them.
    """

    array: str
    kind: Kind
    axis: int = 0
    index: int = 0
    count: int = 1
    side: str = ""

    def of(self, arrays: Mapping[str, np.ndarray], H: int) -> np.ndarray:
        """A view of the block: (H, D), (H, H), (H,) or (1,), as the array has it (transposed where axis is 1)."""
        array = arrays[self.array]
        if self.kind == "number":
            return array.reshape(1)
        if self.kind == "vector":
            return array.reshape(-1)[self.index * H : (self.index + 1) * H]
        rows = array if self.axis == 0 else array.T
        rows = rows[self.index * H : (self.index + 1) * H]
        if self.side:
            rows = rows[:, : rows.shape[1] - H] if self.side == "x" else rows[:, rows.shape[1] - H :]
        return rows


def cut(arrays: Mapping[str, np.ndarray], D: int, H: int) -> list[Block]:
    """The blocks of all arrays. Raises Unusable for an array that is no stack of them."""
    return [block for name, value in arrays.items() for block in _cut(name, value, D, H)]


def _cut(name: str, value: np.ndarray, D: int, H: int) -> Iterator[Block]:
    shape = value.shape
    if value.size == 1 and value.ndim <= 1:
        yield Block(name, "number")
        return
    if (
        value.ndim in (1, 2) and shape[-1] % H == 0 and (value.ndim == 1 or shape[0] == 2)
    ):  # Keras has two rows of biases
        yield from (Block(name, "vector", 0, index, value.size // H) for index in range(value.size // H))
        return
    for axis in range(2 if len(shape) == 2 else 0):
        long, short = shape[axis], shape[1 - axis]
        if long % H:
            continue
        kinds: dict[int, list[tuple[Kind, str]]] = {
            D: [("input", "")],
            H: [("recurrent", "")],
            D + H: [("input", "x"), ("recurrent", "h")],
        }
        for kind, side in kinds.get(short, []):
            yield from (Block(name, kind, axis, index, long // H, side) for index in range(long // H))
        if short in kinds:
            return
    raise Unusable(f"its array {name!r} of shape {shape} is no stack of gates of H rows")
