"""RWKV, generations 6 and 7: matrix states whose decays and keys depend on this input and the one before."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params, scans
from rnnbench_cells.affine import matrix
from rnnbench_cells.heads import joined, sizes, split
from rnnbench_cells.initial import Rng
from rnnbench_cells.norms import unit

ROLES = ("r", "k", "v", "w")


def init_rwkv6(rng: Rng, D: int, H: int, *, heads: int = 4, rank: int = 8) -> tuple[dict[str, Array], Array]:
    """r, k, v uniform in ±1/sqrt(D); mixes uniform in (0, 1); decays spread over exp(−e^(−6 ... −1)); state zeros."""
    import numpy as np

    dk, dv = sizes("rwkv6", H, heads, 0)
    params = {f"weight_{role}": matrix(rng, H, D) for role in "rkv"}
    params |= {"mix": rng.uniform(0, 1, D)}
    for role in ROLES:
        params[f"mix_{role}"] = rng.uniform(0, 1, D)
        params[f"mix_{role}_down"] = matrix(rng, rank, D)
        params[f"mix_{role}_up"] = rng.uniform(-0.01, 0.01, (D, rank))
    params |= {
        "decay": np.linspace(-6.0, -1.0, H),
        "decay_down": matrix(rng, rank, D),
        "decay_up": rng.uniform(-0.01, 0.01, (H, rank)),
        "bonus": rng.uniform(0, 1, H),
    }
    return params, np.zeros((heads, dk, dv))


def _shifted(ops: Any, params: Params, xs: Array, previous: Array, role: str) -> Array:
    """x + (x_{t−1} − x) ∘ (μ + tanh((x + (x_{t−1} − x) ∘ μ_x) A) B): equations 14 and 15."""
    gap = previous - xs
    mixed = xs + gap * params["mix"]
    low = ops.tanh(mixed @ params[f"mix_{role}_down"].T) @ params[f"mix_{role}_up"].T
    return xs + gap * (params[f"mix_{role}"] + low)


def project_rwkv6(ops: Any, params: Params, xs: Array, *, past: tuple[Array, ...], heads: int) -> tuple[Array, ...]:
    """(r, k, v, log w), each (T, B, heads, n)."""
    r, k, v, w = (_shifted(ops, params, xs, past[0], role) for role in ROLES)
    rate = params["decay"] + ops.tanh(w @ params["decay_down"].T) @ params["decay_up"].T
    found = (
        r @ params["weight_r"].T,
        k @ params["weight_k"].T,
        v @ params["weight_v"].T,
        -ops.exp(rate),
    )
    return tuple(split(ops, one, heads) for one in found)


def step_rwkv6(ops: Any, params: Params, S: Array, z: tuple[Array, ...]) -> tuple[Array, Array]:
    """(S (B, heads, n, n), z) -> (S', y_BH): read before written, with a bonus for the new key."""
    r, k, v, log_w = z
    o = (r[..., None, :] @ S)[..., 0, :] + _bonus(ops, params, r, k) * v
    S = ops.exp(log_w)[..., None] * S + k[..., None] * v[..., None, :]
    return S, joined(ops, o)


def _bonus(ops: Any, params: Params, r: Array, k: Array) -> Array:
    """r · (u ∘ k), (..., heads, 1)."""
    return ops.sum(r * ops.reshape(params["bonus"], k.shape[-2:]) * k, axis=-1, keepdims=True)


def chunk_rwkv6(ops: Any, params: Params, S: Array, zs: tuple[Array, ...]) -> tuple[Array, Array]:
    """C steps at once, by `rnnbench.scans`."""
    r, k, v, log_w = zs
    S, os = scans.chunk(ops, "outer", S, (log_w, k, v, r), early=True)
    return S, joined(ops, os + _bonus(ops, params, r, k) * v)


rwkv6 = Cell(
    name="rwkv6",
    init=init_rwkv6,
    step=step_rwkv6,
    project=project_rwkv6,
    chunk=chunk_rwkv6,
    chunk_steps=scans.ROWS,
    lookback=1,
    source="Peng et al. 2024, arXiv:2404.05892, equations 14-22 (Finch), without group norm and gate",
    options={"heads": 4, "rank": 8},
)
"""y = (S + diag(u) k vᵀ)ᵀ r,  S' = diag(w) S + k vᵀ,  w = exp(−exp(d + tanh(x̃_w A_w) B_w)),  r, k, v = W_r,k,v x̃_r,k,v,

x̃ = x + (x_{t−1} − x) ∘ (μ + tanh((x + (x_{t−1} − x) ∘ μ_x) A) B), one μ, A, B for each of r, k, v, w.

Shapes: weight_r, weight_k, weight_v (H, D); mix, mix_r, ... (D,), mix_·_down (rank, D), mix_·_up (D, rank); decay,
bonus (H,), decay_down (rank, D), decay_up (H, rank); state (heads, n, n), n = H/heads.
3HD + 5D + 9·rank·D + rank·H + 2H parameters. y is read before k vᵀ is written.

Where frameworks differ: fla and the official kernels agree; the group norm and silu gate belong to the block.
"""


def init_rwkv7(rng: Rng, D: int, H: int, *, heads: int = 4, rank: int = 8) -> tuple[dict[str, Array], Array]:
    """r, k, v uniform in ±1/sqrt(D); mixes uniform in (0, 1); low-rank decay and rate; state zeros."""
    import numpy as np

    dk, dv = sizes("rwkv7", H, heads, 0)
    params = {f"weight_{role}": matrix(rng, H, D) for role in "rkv"}
    params |= {f"mix_{role}": rng.uniform(0, 1, D) for role in "rkvwa"}
    params |= {
        "decay": np.linspace(-6.0, 0.0, H),
        "decay_down": matrix(rng, rank, D),
        "decay_up": matrix(rng, H, rank),
        "rate": np.zeros(H),
        "rate_down": matrix(rng, rank, D),
        "rate_up": matrix(rng, H, rank),
        "removal": np.full(H, 0.85),
        "replacement": np.ones(H),
        "bonus": rng.uniform(-0.1, 0.1, H),
    }
    return params, np.zeros((heads, dk, dv))


def project_rwkv7(ops: Any, params: Params, xs: Array, *, past: tuple[Array, ...], heads: int) -> tuple[Array, ...]:
    """(r, k̃, v, log w, κ̂, a), each (T, B, heads, n)."""
    r, k, v, w, a = (xs + (past[0] - xs) * params[f"mix_{role}"] for role in "rkvwa")
    decay = params["decay"] + ops.tanh(w @ params["decay_down"].T) @ params["decay_up"].T
    log_w = -0.6065306597126334 * ops.sigmoid(decay)  # exp(−1/2)
    a = ops.sigmoid(params["rate"] + (a @ params["rate_down"].T) @ params["rate_up"].T)
    k = k @ params["weight_k"].T
    removed = unit(ops, split(ops, k * params["removal"], heads))
    replaced = k * (1 + (a - 1) * params["replacement"])
    rest = (r @ params["weight_r"].T, replaced, v @ params["weight_v"].T, log_w)
    r, replaced, v, log_w = (split(ops, one, heads) for one in rest)
    return r, replaced, v, log_w, removed, split(ops, a, heads)


def elements_rwkv7(ops: Any, params: Params, zs: tuple[Array, ...]) -> tuple[Array, ...]:
    """(log w, −a ∘ κ̂, κ̂, k̃, v, r) of `rnnbench.scans`."""
    del ops, params
    r, k, v, log_w, removed, a = zs
    return log_w, -a * removed, removed, k, v, r


def output_rwkv7(ops: Any, params: Params, os: Array, zs: tuple[Array, ...]) -> Array:
    """y = S'ᵀ r + (r · (ρ ∘ k̃)) v."""
    r, k, v, *_ = zs
    return joined(ops, os + _bonus(ops, params, r, k) * v)


rwkv7 = Cell(
    name="rwkv7",
    init=init_rwkv7,
    project=project_rwkv7,
    scan="delta",
    elements=elements_rwkv7,
    output=output_rwkv7,
    lookback=1,
    source="Peng et al. 2025, arXiv:2503.14456, the time mixing of RWKV-7, without group norm, gate and value residual",
    options={"heads": 4, "rank": 8},
)
"""S' = diag(w) S − (a ∘ κ̂)(κ̂ᵀ S) + k̃ vᵀ,  y = S'ᵀ r + (r · (ρ ∘ k̃)) v,

w = exp(−e^(−1/2) σ(d + tanh(x̃_w A) B)),  a = σ(a_0 + x̃_a A B),  κ̂ = (k ∘ ξ)/|k ∘ ξ|,  k̃ = k ∘ (1 + (a − 1) ∘ α),
r, k, v = W_r,k,v x̃_r,k,v,  x̃ = x + (x_{t−1} − x) ∘ μ: removal and replacement have keys of their own.

Shapes: weight_r, weight_k, weight_v (H, D), mix_r, k, v, w, a (D,); decay = d, rate = a_0, removal = ξ, replacement =
α, bonus = ρ (H,); decay_down, rate_down (rank, D), decay_up, rate_up (H, rank); state (heads, n, n), n = H/heads.
3HD + 5D + 2·rank·(D + H) + 5H parameters. The state here is the transpose of the paper's.

Where frameworks differ: later layers mix v with that of the first one; norm, gate and that belong to the block.
"""
