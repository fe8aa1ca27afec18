"""Functions of matrices, in the array API."""

from __future__ import annotations

from typing import Any

from rnnbench import Array

SQUARINGS, TERMS = 6, 14
"""exp(A) = exp(A/2⁶)^(2⁶), the inner one by 14 terms: for ‖A‖ <= 64 the first term left out is 1/15! = 8e-13 of the
inner exponential, and a skew matrix of the cells here has at most a tenth of that norm."""


def eye_like(ops: Any, A: Array) -> Array:
    """The unit matrix of the size, kind and device of A."""
    n = A.shape[-1]
    ones = ops.ones_like(A[:1, :1])
    return ops.tril(ops.triu(ops.broadcast_to(ones, (n, n))))


def expm(ops: Any, A: Array) -> Array:
    """The matrix exponential Σ A^k/k! (Moler & Van Loan 2003, method 3: scaling and squaring)."""
    A = A / 2**SQUARINGS
    term = total = eye_like(ops, A)
    for k in range(1, TERMS + 1):
        term = term @ A / k
        total = total + term
    for _ in range(SQUARINGS):
        total = total @ total
    return total
