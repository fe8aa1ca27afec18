"""Linear attention with decay, one matrix per head: retnet, gla, mamba2, hgrn2."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params
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

Elements = tuple[Array, Array, Array, Array]
"""log_a, k, v, q of `rnnbench.scans`."""
HEADS: dict[str, int] = {"heads": 4, "keys": 0}


def init_retnet(rng: Rng, D: int, H: int, *, heads: int = 4, keys: int = 0) -> tuple[dict[str, Array], Array]:
    """q, k, v of `attention`; log decays, frozen; state zeros (heads, dk, dv)."""
    import numpy as np

    dk, dv = sizes("retnet", H, heads, keys)
    decay = np.log1p(-(2.0 ** (-5.0 - np.arange(heads))))
    return attention(rng, D, H, heads, dk) | {"log_decay": decay}, np.zeros((heads, dk, dv))


def project_retnet(ops: Any, params: Params, xs: Array, *, heads: int) -> Elements:
    """(log γ, k, v, q/sqrt(dk))."""
    q, k, v = read(ops, params, xs, heads)
    return params["log_decay"][:, None] + 0 * q[..., :1], k, v, q * q.shape[-1] ** -0.5


retnet = Cell(
    name="retnet",
    init=init_retnet,
    project=project_retnet,
    scan="outer",
    elements=elements,
    output=shown,
    source="Sun et al. 2023, arXiv:2307.08621, equations 6 and 8, without xPos, normalisation and gate",
    options=HEADS,
    frozen=("log_decay",),
)
"""S' = γ S + k vᵀ,  y = S'ᵀ q/sqrt(dk),  γ = 1 − 2^(−5−head), for each head; q, k, v = W_q,k,v x.

Shapes: weight_q, weight_k (heads·dk, D), weight_v (H, D), log_decay (heads,), frozen; state (heads, dk, dv), dv =
H/heads, dk = keys, or dv where keys is 0. D(2·heads·dk + H) parameters: 3HD by default. In parallel y = (Q Kᵀ ∘ Γ) V,
Γ_ts = γ^(t−s).

Where frameworks differ: the paper scales Q Kᵀ, some code k, fla and this one q: the same y from another state. The
paper's xPos, group norm and swish gate belong to its block.
"""


def init_gla(
    rng: Rng,
    D: int,
    H: int,
    *,
    heads: int = 4,
    keys: int = 0,
    rank: int = 16,
    temper: float = 16.0,
) -> tuple[dict[str, Array], Array]:
    """q, k, v of `attention`, a gate of low rank, bias 0; state zeros (heads, dk, dv)."""
    import numpy as np

    del temper
    dk, dv = sizes("gla", H, heads, keys)
    gate = {
        "gate_down": matrix(rng, rank, D),
        "gate_up": matrix(rng, heads * dk, rank),
        "gate_bias": np.zeros(heads * dk),
    }
    return attention(rng, D, H, heads, dk) | gate, np.zeros((heads, dk, dv))


def project_gla(ops: Any, params: Params, xs: Array, *, heads: int, temper: float) -> Elements:
    """(log α, k, v, q/sqrt(dk))."""
    q, k, v = read(ops, params, xs, heads)
    gate = (xs @ params["gate_down"].T) @ params["gate_up"].T + params["gate_bias"]
    return (
        split(ops, ops.logsigmoid(gate) / temper, heads),
        k,
        v,
        q * q.shape[-1] ** -0.5,
    )


gla = Cell(
    name="gla",
    init=init_gla,
    project=project_gla,
    scan="outer",
    elements=elements,
    output=shown,
    source="Yang et al. 2023, arXiv:2312.06635, equation 3 and section 4.4, without normalisation and output gate",
    options={**HEADS, "rank": 16, "temper": 16.0},
)
"""S' = diag(α) S + k vᵀ,  y = S'ᵀ q/sqrt(dk),  α = σ(W_2 W_1 x + b)^(1/τ), one decay per row; q, k, v = W_q,k,v x.

Shapes: as in `retnet`, gate_down (rank, D), gate_up (heads·dk, rank), gate_bias (heads·dk,); state (heads, dk, dv).
D(2·heads·dk + H) + rank·(D + heads·dk) + heads·dk parameters. With α constant it is `retnet`.

Where frameworks differ: fla's keys have half the size of the values by default; its norm and gate belong to the block.
"""


def init_mamba2(rng: Rng, D: int, H: int, *, heads: int = 4, states: int = 16) -> tuple[dict[str, Array], Array]:
    """B, C, x uniform in ±1/sqrt(D); A uniform in (1, 16), Δ log-uniform in (0.001, 0.1), D 1; state zeros."""
    import numpy as np

    _, dv = sizes("mamba2", H, heads, states)
    bias_dt = drawn_bias_dt(rng, heads)
    params = {
        "weight_x": matrix(rng, H, D),
        "weight_B": matrix(rng, states, D),
        "weight_C": matrix(rng, states, D),
        "weight_dt": matrix(rng, heads, D),
        "bias_dt": bias_dt,
        "A_log": np.log(rng.uniform(1, 16, heads)),
        "D": np.ones(heads),
    }
    return params, np.zeros((heads, states, dv))


def project_mamba2(ops: Any, params: Params, xs: Array, *, heads: int) -> tuple[Array, ...]:
    """(log a, B, Δ x, C, x), (T, B, heads, ·): the fifth for the skip D x."""
    x = split(ops, xs @ params["weight_x"].T, heads)
    dt = ops.softplus(xs @ params["weight_dt"].T + params["bias_dt"])[..., None]
    k, q = ((xs @ params[name].T)[..., None, :] + 0 * dt for name in ("weight_B", "weight_C"))
    return -ops.exp(params["A_log"])[:, None] * dt, k, dt * x, q, x


def elements_mamba2(ops: Any, params: Params, zs: tuple[Array, ...]) -> Elements:
    """All but the skip."""
    del ops, params
    return zs[:4]


def output_mamba2(ops: Any, params: Params, os: Array, zs: tuple[Array, ...]) -> Array:
    """y = C h + D x."""
    return joined(ops, os + params["D"][:, None] * zs[4])


mamba2 = Cell(
    name="mamba2",
    init=init_mamba2,
    project=project_mamba2,
    scan="outer",
    elements=elements_mamba2,
    output=output_mamba2,
    source="Dao & Gu 2024, arXiv:2405.21060, the SSD recurrence, without convolution, gate and norm",
    options={"heads": 4, "states": 16},
)
"""Δ = softplus(W_Δ x + b_Δ),  S' = exp(−Δ e^A) S + B (Δ u)ᵀ,  y = S'ᵀ C + D u,  u, B, C = W_u,B,C x,

with one Δ, A and D per head.

Shapes: weight_x (H, D), weight_B, weight_C (states, D), shared by all heads, weight_dt (heads, D), bias_dt, A_log, D
(heads,); state (heads, states, H/heads). D(H + 2·states + heads) + 3·heads parameters.

Where frameworks differ: the released block convolves u, B and C first, gates and normalises afterwards.
"""


def init_hgrn2(rng: Rng, D: int, H: int, *, heads: int = 4, lower_bound: float = 0.0) -> tuple[dict[str, Array], Array]:
    """q, f, i uniform in ±1/sqrt(D); state zeros (heads, n, n), n = H/heads."""
    import numpy as np

    del lower_bound
    dk, dv = sizes("hgrn2", H, heads, 0)
    params = {name: matrix(rng, H, D) for name in ("weight_q", "weight_f", "weight_i")}
    return params, np.zeros((heads, dk, dv))


def project_hgrn2(ops: Any, params: Params, xs: Array, *, heads: int, lower_bound: float) -> Elements:
    """(log α, 1 − α, i, silu(q))."""
    gate = xs @ params["weight_f"].T
    closed = (1 - lower_bound) * ops.sigmoid(-gate)  # 1 − α
    q, v = ops.silu(xs @ params["weight_q"].T), xs @ params["weight_i"].T
    log_a = ops.log1p(-closed) if lower_bound else ops.logsigmoid(gate)
    return (
        split(ops, log_a, heads),
        split(ops, closed, heads),
        split(ops, v, heads),
        split(ops, q, heads),
    )


hgrn2 = Cell(
    name="hgrn2",
    init=init_hgrn2,
    project=project_hgrn2,
    scan="outer",
    elements=elements,
    output=shown,
    source="Qin et al. 2024, arXiv:2404.07904, state expansion by outer products, without normalisation",
    options={"heads": 4, "lower_bound": 0.0},
)
"""α = β + (1 − β) σ(W_f x),  S' = diag(α) S + (1 − α) iᵀ,  y = S'ᵀ silu(W_q x),  i = W_i x.

Shapes: weight_q, weight_f, weight_i (H, D); state (heads, n, n), n = H/heads. 3HD parameters. β = `lower_bound`; at
β = 1 nothing is written and nothing forgotten.

Where frameworks differ: the paper learns one lower bound per layer, rising with depth; fla has none in its first layer.
"""
