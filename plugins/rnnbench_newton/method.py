"""Newton in time: all states of a sequence at once, whichever framework computes.

s_t = f(s_{t−1}, z_t) for all t is one system of equations. From a guess S, with F_t = f(s_{t−1}, z_t) and J_t = ∂f/∂s
at s_{t−1}, an iteration solves δ_t = J_t δ_{t−1} + (F_t − s_t) by a parallel scan and takes S + δ (Lim et al. 2024,
arXiv:2309.12252). After i iterations the first i states are exact, whatever J. Iterations stop where the residual
|F − S| is what rounding leaves of it, never after a fixed number.

The gradient is that of the solution, not of the way to it: with the cotangents g_t, λ_t = g_t + J_{t+1}ᵀ λ_{t+1} is one
linear scan from the end, and λ_t is the cotangent of f(s_{t−1}, z_t).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rnnbench import EPS, Array, Cell, Skipped, leaves
from rnnbench_newton.parts import Parts, part_sizes
from rnnbench_newton.structure import Blocks, Full, Structure

ROUNDINGS = 16.0
"""Residuals up to so many roundings of the largest state are rounding: below what verification allows a step, 20."""

FLOOR = 1e-3
"""States smaller than this are held to roundings of it, as verification does."""

ITERATIONS = 100
"""Where so many do not do, the sequential loop is run: it has taken less time than they have."""

MEMORY = 2**30
"""Bytes that the Jacobians of one sequence of steps may take; a scan needs about three times as much on the way."""

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Variant:
    """A name, and what stands for the Jacobian of a step."""

    name: str
    structure: Structure
    doc: str

    def supports(self, cell: Cell, device: str, dtype: str) -> str | None:
        """Portable cells in a dtype with room between a residual and its roundings, with a state of the right form."""
        del device
        if not cell.portable:
            return f"cell {cell.name!r} has no portable step, only its own implementations run it"
        if dtype not in DTYPES:
            return f"a residual tells nothing apart from rounding in {dtype}: use float32 or float64"
        return self._refuses(cell)

    def _refuses(self, cell: Cell) -> str | None:
        if not isinstance(self.structure, Blocks):
            return None
        sizes, k = part_sizes(cell), self.structure.k
        if k == 1 and len(sizes) > len(leaves(cell.example()[1])):
            return f"cell {cell.name!r} has a complex state, whose parts turn into each other: use newton_block2"
        if k == 2 and (len(sizes) != 2 or sizes[0] != sizes[1]):
            return f"the state of cell {cell.name!r} is no pair of arrays of one size: use newton_diag or newton"
        return None

    def exact(self, cell: Cell, parts: Parts) -> bool:
        """Whether the structure holds all of the cell's Jacobian, so that the iterations are Newton's own."""
        if not isinstance(self.structure, Blocks):
            return True
        return acts_elementwise(cell) and self.structure.k == len(parts.sizes)

    def adjoint(self, cell: Cell, parts: Parts) -> Structure:
        """What stands for the Jacobian on the way back, where nothing may be left out of it."""
        return self.structure if self.exact(cell, parts) else Full()

    def checked(self, structure: Structure, shape: tuple[int, ...], itemsize: int) -> int:
        """Bytes of the Jacobians of states (T, B, n). Raises Skipped where they are too many."""
        T, B, n = shape
        found = T * B * structure.numbers(n) * itemsize
        if found > MEMORY:
            way = "" if structure is self.structure else " of the way back, which leaves nothing of them out,"
            raise Skipped(
                f"{self.name}: the Jacobians{way} take {found / 2**30:.1f} GiB at T={T}, B={B} and {n} real numbers of "
                f"state, and {MEMORY / 2**30:g} GiB are allowed; use a smaller state, batch or sequence"
            )
        return found


def acts_elementwise(cell: Cell) -> bool:
    """Whether a unit of the next state depends on that unit of the state alone."""
    return cell.recurrence == "elementwise" or cell.linear is not None


def residual(ops: Any, parts: Parts, F: Array, S: Array) -> Array:
    """The largest |F − S| over the largest |F|, of the worst part of the state; NaN where one is no number."""
    worst, at = [], 0
    for size in parts.sizes:
        new, old = F[..., at : at + size], S[..., at : at + size]
        scale = ops.max(ops.abs(new))
        floor = FLOOR + 0 * scale
        worst.append(ops.max(ops.abs(new - old)) / ops.maximum(scale, floor))
        at += size
    return ops.max(ops.stack(worst))


def tolerance(dtype: str) -> float:
    """Of the residual."""
    return ROUNDINGS * EPS[dtype]


VARIANTS = (
    Variant("newton", Full(), "all states at once by Newton's iterations with the whole Jacobian (DEER)"),
    Variant("newton_diag", Blocks(1), "all states at once by iterations with the Jacobian's diagonal (quasi-DEER)"),
    Variant("newton_block2", Blocks(2), "the same with a 2×2 block for each unit of a state (h, c) (ParaRNN)"),
)
