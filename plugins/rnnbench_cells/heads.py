"""What cells with a matrix state per head have in common: queries, keys and values."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Params, UsageError
from rnnbench_cells.affine import matrix
from rnnbench_cells.initial import Rng


def sizes(cell: str, H: int, heads: int, keys: int) -> tuple[int, int]:
    """(dk, dv) per head: dv = H/heads, dk = `keys`, or dv where keys is 0. Raises UsageError for an odd H."""
    if heads < 1 or H % heads:
        raise UsageError(f"cell {cell!r} needs H divisible by heads, found H={H}, heads={heads}.")
    return keys or H // heads, H // heads


def attention(rng: Rng, D: int, H: int, heads: int, dk: int) -> dict[str, Array]:
    """weight_q, weight_k (heads·dk, D), weight_v (H, D), uniform in ±1/sqrt(D)."""
    rows = {"weight_q": heads * dk, "weight_k": heads * dk, "weight_v": H}
    return {name: matrix(rng, count, D) for name, count in rows.items()}


def split(ops: Any, x: Array, heads: int) -> Array:
    """(..., heads·n) -> (..., heads, n)."""
    return ops.reshape(x, (*x.shape[:-1], heads, x.shape[-1] // heads))


def joined(ops: Any, x: Array) -> Array:
    """(..., heads, n) -> (..., heads·n)."""
    return ops.reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))


def read(ops: Any, params: Params, xs: Array, heads: int) -> tuple[Array, Array, Array]:
    """(q, k, v) of xs: (..., heads, dk) twice, (..., heads, dv)."""
    return (
        split(ops, xs @ params["weight_q"].T, heads),
        split(ops, xs @ params["weight_k"].T, heads),
        split(ops, xs @ params["weight_v"].T, heads),
    )


def shown(ops: Any, params: Params, os: Array, zs: Any) -> Array:
    """y: the heads beside each other, (T, B, H)."""
    del params, zs
    return joined(ops, os)


def elements(ops: Any, params: Params, zs: Any) -> Any:
    """The coefficients as `project` made them."""
    del ops, params
    return zs


def drawn_bias_dt(rng: Rng, count: int) -> Array:
    """b with softplus(b) = Δ, (count,), Δ log-uniform in (0.001, 0.1)."""
    import numpy as np

    dt = np.exp(rng.uniform(np.log(1e-3), np.log(1e-1), count))
    return dt + np.log(-np.expm1(-dt))
