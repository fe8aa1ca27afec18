"""Fast weights written by the delta rule: deltanet, gated_deltanet, gated_deltaproduct."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params, scans
from rnnbench_cells.affine import matrix
from rnnbench_cells.heads import (
    attention,
    drawn_bias_dt,
    elements,
    joined,
    read,
    shown,
    sizes,
    split,
)
from rnnbench_cells.initial import Rng
from rnnbench_cells.norms import unit

Elements = tuple[Array, Array, Array, Array, Array, Array]
"""log_a, b, c, k, v, q of `rnnbench.scans`."""


def init_deltanet(
    rng: Rng, D: int, H: int, *, heads: int = 4, keys: int = 0, normalise: bool = True
) -> tuple[dict[str, Array], Array]:
    """q, k, v of `attention`, weight_beta uniform in ±1/sqrt(D); state zeros (heads, dk, dv)."""
    import numpy as np

    del normalise
    dk, dv = sizes("deltanet", H, heads, keys)
    return attention(rng, D, H, heads, dk) | {"weight_beta": matrix(rng, heads, D)}, np.zeros((heads, dk, dv))


def _read(ops: Any, params: Params, xs: Array, heads: int, normalise: bool) -> tuple[Array, Array, Array, Array]:
    """(q, k, v, β), β (..., heads, 1)."""
    q, k, v = read(ops, params, xs, heads)
    if normalise:
        q, k = unit(ops, ops.silu(q)), unit(ops, ops.silu(k))
    return q, k, v, ops.sigmoid(xs @ params["weight_beta"].T)[..., None]


def project_deltanet(ops: Any, params: Params, xs: Array, *, heads: int, normalise: bool) -> Elements:
    """(0, −β k, k, β k, v, q)."""
    q, k, v, beta = _read(ops, params, xs, heads, normalise)
    return 0 * beta, -beta * k, k, beta * k, v, q


deltanet = Cell(
    name="deltanet",
    init=init_deltanet,
    project=project_deltanet,
    scan="delta",
    elements=elements,
    output=shown,
    source="Schlag, Irie & Schmidhuber 2021, arXiv:2102.11174, the delta rule; "
    "keys as Yang et al. 2024, arXiv:2406.06484",
    options={"heads": 4, "keys": 0, "normalise": True},
)
"""S' = S + β k (v − Sᵀ k)ᵀ = (I − β k kᵀ) S + β k vᵀ,  y = S'ᵀ q,  β = σ(W_β x),  q, k = silu(W_q,k x) of length one,
v = W_v x, for each head.

Shapes: weight_q, weight_k (heads·dk, D), weight_v (H, D), weight_beta (heads, D); state (heads, dk, dv), dv = H/heads.
D(2·heads·dk + H + heads) parameters. det(I − β k kᵀ) = 1 − β: at β = 1 what k pointed at is replaced by v.

Where frameworks differ: fla has silu and unit keys, as here, and optionally 2β; memax relu keys; Schlag et al. sum them
to one. `normalise=false` leaves q and k as they are; then S grows where β |k|² > 2.
"""


def init_gated_deltanet(rng: Rng, D: int, H: int, *, heads: int = 4, keys: int = 0) -> tuple[dict[str, Array], Array]:
    """As `init_deltanet`; A uniform in (1, 16), Δ log-uniform in (0.001, 0.1)."""
    import numpy as np

    params, state = init_deltanet(rng, D, H, heads=heads, keys=keys)
    return params | _decay(rng, D, heads, np), state


def _decay(rng: Rng, D: int, heads: int, np: Any) -> dict[str, Array]:
    bias_dt = drawn_bias_dt(rng, heads)
    return {
        "weight_dt": matrix(rng, heads, D),
        "bias_dt": bias_dt,
        "A_log": np.log(rng.uniform(1, 16, heads)),
    }


def _log_alpha(ops: Any, params: Params, xs: Array) -> Array:
    """−e^A softplus(W_Δ x + b_Δ), (..., heads, 1)."""
    return (-ops.exp(params["A_log"]) * ops.softplus(xs @ params["weight_dt"].T + params["bias_dt"]))[..., None]


def project_gated_deltanet(ops: Any, params: Params, xs: Array, *, heads: int) -> Elements:
    """(log α, −β k, α k, β k, v, q)."""
    q, k, v, beta = _read(ops, params, xs, heads, normalise=True)
    log_a = _log_alpha(ops, params, xs)
    return log_a, -beta * k, ops.exp(log_a) * k, beta * k, v, q


gated_deltanet = Cell(
    name="gated_deltanet",
    init=init_gated_deltanet,
    project=project_gated_deltanet,
    scan="delta",
    elements=elements,
    output=shown,
    source="Yang, Kautz & Hatamizadeh 2024, arXiv:2412.06464, equation 10 (8 in arXiv's HTML), "
    "without convolution, gate and norm",
    options={"heads": 4, "keys": 0},
)
"""S' = α (I − β k kᵀ) S + β k vᵀ,  y = S'ᵀ q,  α = exp(−e^A softplus(W_Δ x + b_Δ)),  the rest as in `deltanet`.

Shapes: as in `deltanet`, weight_dt (heads, D), bias_dt, A_log (heads,). D(2·heads·dk + H + 2·heads) + 2·heads
parameters. At α = 1 it is `deltanet` (fla once was inaccurate there: fla#104).

Where frameworks differ: the paper's block convolves q, k, v, gates and normalises.
"""


def init_gated_deltaproduct(
    rng: Rng, D: int, H: int, *, heads: int = 4, keys: int = 0, householders: int = 2
) -> tuple[dict[str, Array], Array]:
    """As `init_gated_deltanet` with `householders` sets of keys, values and β."""
    import numpy as np

    dk, dv = sizes("gated_deltaproduct", H, heads, keys)
    params = {
        "weight_q": matrix(rng, heads * dk, D),
        "weight_k": np.stack([matrix(rng, heads * dk, D) for _ in range(householders)]),
        "weight_v": np.stack([matrix(rng, H, D) for _ in range(householders)]),
        "weight_beta": np.stack([matrix(rng, heads, D) for _ in range(householders)]),
    }
    return params | _decay(rng, D, heads, np), np.zeros((heads, dk, dv))


def project_gated_deltaproduct(
    ops: Any, params: Params, xs: Array, *, heads: int, householders: int
) -> tuple[Array, ...]:
    """(log α, q, then k, v, β of each step)."""
    q = unit(ops, ops.silu(split(ops, xs @ params["weight_q"].T, heads)))
    found = [_log_alpha(ops, params, xs), q]
    for j in range(householders):
        k = unit(ops, ops.silu(split(ops, xs @ params["weight_k"][j].T, heads)))
        v = split(ops, xs @ params["weight_v"][j].T, heads)
        found += [k, v, ops.sigmoid(xs @ params["weight_beta"][j].T)[..., None]]
    return tuple(found)


def step_gated_deltaproduct(ops: Any, params: Params, S: Array, z: tuple[Array, ...]) -> tuple[Array, Array]:
    """(S (B, heads, dk, dv), z) -> (S', y_BH)."""
    del params
    log_a, q, *rest = z
    S = ops.exp(log_a)[..., None] * S
    for k, v, beta in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        error = v - (k[..., None, :] @ S)[..., 0, :]
        S = S + (beta * k)[..., None] * error[..., None, :]
    return S, joined(ops, (q[..., None, :] @ S)[..., 0, :])


def chunk_gated_deltaproduct(
    ops: Any, params: Params, S: Array, zs: tuple[Array, ...], *, householders: int
) -> tuple[Array, Array]:
    """C steps at once: n steps of the delta rule each, of which the first decays and the last is read."""
    del params
    log_a, q, *rest = zs
    rows: list[Elements] = []
    for j, (k, v, beta) in enumerate(zip(rest[::3], rest[1::3], rest[2::3], strict=True)):
        decay, seen = (log_a, ops.exp(log_a) * k) if j == 0 else (0 * log_a, k)
        rows.append((decay, -beta * k, seen, beta * k, v, q))
    woven = tuple(
        ops.reshape(ops.stack(row, axis=1), (-1, *row[0].shape[1:])) for row in map(list, zip(*rows, strict=True))
    )
    S, os = scans.chunk(ops, "delta", S, woven)
    return S, joined(ops, os[householders - 1 :: householders])


gated_deltaproduct = Cell(
    name="gated_deltaproduct",
    init=init_gated_deltaproduct,
    step=step_gated_deltaproduct,
    project=project_gated_deltaproduct,
    chunk=chunk_gated_deltaproduct,
    chunk_steps=lambda *, householders: max(1, scans.SCALAR // householders),
    source="Siems et al. 2025, arXiv:2502.10297, Gated DeltaProduct: the gate of Gated DeltaNet",
    options={"heads": 4, "keys": 0, "householders": 2},
)
"""S ← α S;  for j = 1 ... n:  S ← (I − β_j k_j k_jᵀ) S + β_j k_j v_jᵀ;  y = Sᵀ q: n steps of the delta rule per input.

Shapes: weight_q (heads·dk, D), weight_k (n, heads·dk, D), weight_v (n, H, D), weight_beta (n, heads, D), weight_dt
(heads, D), bias_dt, A_log (heads,); state (heads, dk, dv). D(heads·dk(n + 1) + nH + (n + 1) heads) + 2·heads
parameters. With n = 1 it is `gated_deltanet`.

Where frameworks differ: the paper allows 2β, and so reflections.
"""
