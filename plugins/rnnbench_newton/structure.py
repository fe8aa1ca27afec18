"""What stands for the Jacobian of a step in Newton's iterations: all of it, or blocks along its diagonal.

h_t = J_t h_{t−1} + r_t from h_0 = 0 is a prefix scan of the maps (J, r) under (J_2, r_2)·(J_1, r_1) = (J_2 J_1,
J_2 r_1 + r_2), in O(log T) dependent steps (Blelloch 1990, CMU-CS-90-190, section 1.4).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnbench import Array

if TYPE_CHECKING:
    import numpy as np

Pair = tuple[Array, Array]
Scan = Callable[[Callable[[Pair, Pair], Pair], Pair], Pair]
"""scan(combine, elements (T, ...)) -> all prefixes, by the framework's best means."""


class Structure(ABC):
    """A kind of matrix that products keep. Matrices (..., numbers of one), vectors (..., n)."""

    @abstractmethod
    def numbers(self, n: int) -> int:
        """Numbers that one n×n matrix takes."""

    @abstractmethod
    def product(self, ops: Any, later: Array, earlier: Array) -> Array:
        """later @ earlier."""

    @abstractmethod
    def applied(self, ops: Any, J: Array, v: Array) -> Array:
        """J v."""

    @abstractmethod
    def transposed(self, ops: Any, J: Array) -> Array:
        """Jᵀ."""

    def forward(self, ops: Any, scan: Scan, J: Array, r: Array) -> Array:
        """All h_t = J_t h_{t−1} + r_t from h_0 = 0; J (T, B, ...), r (T, B, n)."""

        def combine(earlier: Pair, later: Pair) -> Pair:
            product = self.product(ops, later[0], earlier[0])
            return product, self.applied(ops, later[0], earlier[1]) + later[1]

        return scan(combine, (J, r))[1]

    def reversed(self, ops: Any, J: Array) -> Array:
        """The matrices of λ_t = g_t + J_{t+1}ᵀ λ_{t+1}, in the order from the end: 0, J_Tᵀ, ..., J_2ᵀ."""
        turned = ops.flip(self.transposed(ops, J), axis=0)
        return ops.concat([0 * turned[:1], turned[:-1]], axis=0)


@dataclass(frozen=True)
class Full(Structure):
    """The whole Jacobian, (..., n, n): DEER (Lim et al. 2024, arXiv:2309.12252)."""

    def numbers(self, n: int) -> int:
        """n²."""
        return n * n

    def product(self, ops: Any, later: Array, earlier: Array) -> Array:
        """A matrix product each."""
        del ops
        return later @ earlier

    def applied(self, ops: Any, J: Array, v: Array) -> Array:
        """A matrix times a vector."""
        del ops
        return (J @ v[..., None])[..., 0]

    def transposed(self, ops: Any, J: Array) -> Array:
        """The last two axes exchanged."""
        return ops.matrix_transpose(J)


@dataclass(frozen=True)
class Blocks(Structure):
    """k×k blocks along the diagonal, (..., k, k, n/k): entry i of unit u stands at i·n/k + u of the vector.

    k = 1 is quasi-DEER's diagonal (Gonzalez et al. 2024, arXiv:2407.19115); k = 2 pairs the two arrays of
    a state (h, c), as ParaRNN's LSTM does (Danieli et al. 2025, arXiv:2510.21450).
    """

    k: int

    def numbers(self, n: int) -> int:
        """k n."""
        return self.k * n

    def product(self, ops: Any, later: Array, earlier: Array) -> Array:
        """Block by block."""
        return ops.sum(later[..., :, :, None, :] * earlier[..., None, :, :, :], axis=-3)

    def applied(self, ops: Any, J: Array, v: Array) -> Array:
        """Block by block."""
        blocks = ops.reshape(v, (*v.shape[:-1], self.k, v.shape[-1] // self.k))
        return ops.reshape(ops.sum(J * blocks[..., None, :, :], axis=-2), v.shape)

    def transposed(self, ops: Any, J: Array) -> Array:
        """The two axes of a block exchanged."""
        return ops.stack([J[..., :, i, :] for i in range(self.k)], axis=-3)

    def seeds(self, sizes: tuple[int, ...], elementwise: bool) -> np.ndarray:
        """Sets of units whose blocks one derivative can tell, as rows of zeros and ones (sets, n/k).

        A derivative along a set tells each of its units where no unit of it acts on another. Where a unit of the state
        acts on itself alone, in every part of it, that is one set for all units; elsewhere each unit is a set.
        """
        import numpy as np

        m = sum(sizes) // self.k
        if not elementwise:
            return np.eye(m)
        if self.k == len(sizes):
            return np.ones((1, m))
        return np.repeat(np.eye(len(sizes)), sizes, axis=1)
