"""One comparison of what a program gave with what it should have given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WEAK = 0.1
"""A tolerance above this share of the value tells little: a tenth too much would pass."""


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


def settled(checks: Sequence[Check]) -> bool:
    """Whether more draws of the noise could not change the verdict."""
    return all(check.passed or not np.isfinite(check.deviation) for check in checks)
