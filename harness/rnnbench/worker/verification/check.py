"""One comparison of what a program gave with what it should have given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

WEAK = 0.1
"""A tolerance above this share of the value tells little: a tenth too much would pass."""

DRAWS = 8
"""Of the noise, for what one of them would condemn. In a chaotic cell all roundings grow along one direction, so that
what a draw does to the end is one normal number, and by chance next to nothing: below a twentieth of what another does
with 3 %, and below a twentieth of the root mean square of eight with 4e-8 (Student's t)."""


@dataclass(frozen=True)
class Check:
    """The largest deviation and the largest that would have been accepted.

    size: of the true value, in the same norm; 0 where it plays no part. cosine: of the angle between both, where they
    are gradients.
    """

    name: str
    deviation: float
    tolerance: float
    size: float = 0.0
    cosine: float | None = None

    @property
    def passed(self) -> bool:
        """False also where the deviation is not a number."""
        return bool(self.deviation <= self.tolerance)  # NumPy numbers would make it a bool that is not JSON

    @property
    def weak(self) -> bool:
        """Whether it would have passed with a tenth too much."""
        return bool(self.size > 0 and self.tolerance > WEAK * self.size)

    def sentence(self) -> str:
        """What a user reads of a failed check."""
        return f"{self.name} are off by {self.deviation:.2g}, at most {self.tolerance:.2g} is accepted"


def compared(name: str, got: Any, true: Any, tolerance: float) -> Check:
    """Two arrays by the Euclidean norm of their difference."""
    if np.shape(got) != np.shape(true):
        return Check(f"{name}, of shape {np.shape(got)} instead of {np.shape(true)},", float("inf"), 0.0)
    with np.errstate(all="ignore"):
        deviation, size = float(np.linalg.norm(got - true)), float(np.linalg.norm(true))
        product = size * float(np.linalg.norm(got))
        cosine = float(np.real(np.vdot(true, got)) / product) if product and np.isfinite(product) else None
    return Check(name, deviation, tolerance, size, cosine)


def judged(checks: Callable[[int], list[Check]]) -> list[Check]:
    """The checks by one draw of the noise; by `DRAWS` where that would condemn what more of them could clear.

    checks: by so many draws.
    """
    once = checks(1)
    settled = all(check.passed or not np.isfinite(check.deviation) for check in once)
    return once if settled else checks(DRAWS)
