"""What the gated families have in common: one product with the inputs, rows of one gate after those of another."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Params
from rnnbench_cells.initial import Rng


def gated(rng: Rng, gates: int, D: int, H: int) -> dict[str, Array]:
    """weight_ih (gates·H, D), weight_hh (gates·H, H), bias (gates·H,), uniform in ±1/sqrt(H).

    One bias per gate: that of torch's two which acts. gates·H·(D + H + 1) parameters.
    """
    bound = H**-0.5
    shapes = {"weight_ih": (gates * H, D), "weight_hh": (gates * H, H), "bias": (gates * H,)}
    return {name: rng.uniform(-bound, bound, shape) for name, shape in shapes.items()}


def matrix(rng: Rng, rows: int, columns: int) -> Array:
    """A matrix (rows, columns) uniform in ±1/sqrt(columns), as torch.nn.Linear draws it."""
    bound = columns**-0.5
    return rng.uniform(-bound, bound, (rows, columns))


def project(ops: Any, params: Params, xs: Array) -> Array:
    """z_t = W x_t + b, all gates: xs_TBD -> zs (T, B, gates·H)."""
    del ops
    return xs @ params["weight_ih"].T + params["bias"]


def pieces(x: Array, count: int) -> tuple[Array, ...]:
    """The last axis in `count` equal parts: the gates, in the order of their rows."""
    H = x.shape[-1] // count
    return tuple(x[..., k * H : (k + 1) * H] for k in range(count))
