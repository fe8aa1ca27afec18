"""State space models and their relatives, linear in the state: s4d, s5, rglru, mamba, hgrn, gateloop."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params
from rnnbench_cells.affine import matrix, pieces
from rnnbench_cells.elementwise import linear_pair
from rnnbench_cells.heads import drawn_bias_dt
from rnnbench_cells.initial import Rng


def init_s4d(
    rng: Rng,
    D: int,
    H: int,
    *,
    states: int = 16,
    dt_min: float = 1e-3,
    dt_max: float = 1e-1,
) -> tuple[dict[str, Array], Array]:
    """Λ_n = −1/2 + iπn (S4D-Lin), Δ log-uniform in (dt_min, dt_max), B 1, C N(0, 1) complex, D N(0, 1); state zeros."""
    import numpy as np

    half = states // 2
    params = {
        "weight_ih": matrix(rng, H, D),
        "log_dt": rng.uniform(np.log(dt_min), np.log(dt_max), H),
        "log_re": np.full((H, half), np.log(0.5)),
        "im": np.tile(np.pi * np.arange(half), (H, 1)),
        "C_re": rng.normal(0, 0.5**0.5, (H, half)),
        "C_im": rng.normal(0, 0.5**0.5, (H, half)),
        "D": rng.standard_normal(H),
    }
    return params, np.zeros((H, half), np.complex128)


def derive_s4d(ops: Any, params: Params) -> Params:
    """Ā = exp(ΔΛ) and B̄ = (Ā − 1)/Λ, complex (H, N/2)."""
    rate = -ops.exp(params["log_re"]) + 1j * params["im"]
    held = ops.exp(ops.exp(params["log_dt"])[:, None] * rate)
    return {"A_bar": held, "B_bar": (held - 1) / rate}


def project_u(ops: Any, params: Params, xs: Array) -> Array:
    """u = W x: xs_TBD -> (T, B, H)."""
    del ops
    return xs @ params["weight_ih"].T


def linear_s4d(ops: Any, params: Params, us: Array) -> tuple[Array, Array]:
    """(Ā, B̄ u), complex (T, B, H, N/2)."""
    driven = params["B_bar"] * us[..., None]
    return ops.broadcast_to(params["A_bar"], driven.shape), driven


def output_s4d(ops: Any, params: Params, hs: Array, us: Array) -> Array:
    """y = 2 Re Σ_n C_n h_n + D u."""
    read = ops.real(hs) * params["C_re"] - ops.imag(hs) * params["C_im"]
    return 2 * ops.sum(read, axis=-1) + params["D"] * us


s4d = Cell(
    name="s4d",
    init=init_s4d,
    project=project_u,
    derive=derive_s4d,
    linear=linear_s4d,
    output=output_s4d,
    source="Gu et al. 2022, arXiv:2206.11893, S4D-Lin, zero-order hold",
    options={"states": 16, "dt_min": 1e-3, "dt_max": 1e-1},
)
"""u = W x,  h' = exp(ΔΛ) ∘ h + (exp(ΔΛ) − 1)/Λ · u,  y = 2 Re(C h) + D u: one system of N states for each feature.

Shapes: weight_ih (H, D), log_dt, D (H,), log_re, im, C_re, C_im (H, N/2), Λ = −exp(log_re) + i·im; state (H, N/2),
complex. H(D + 2 + 2N) parameters. y is the convolution of u with 2 Re Σ_n C_n B̄_n Ā_n^k.

Where frameworks differ: B is fixed at 1; W, which the papers leave to the layer around it, lets D and H differ.
"""


def init_s5(
    rng: Rng,
    D: int,
    H: int,
    *,
    states: int = 16,
    dt_min: float = 1e-3,
    dt_max: float = 1e-1,
) -> tuple[dict[str, Array], Array]:
    """Λ_n = −1/2 + iπn, Δ log-uniform, B and C N(0, 1/fan-in) complex, D N(0, 1/D); state zeros (P,), P = states/2."""
    import numpy as np

    P = states // 2
    params = {
        "log_dt": rng.uniform(np.log(dt_min), np.log(dt_max), P),
        "log_re": np.full(P, np.log(0.5)),
        "im": np.pi * np.arange(P),
        **{f"B_{part}": rng.normal(0, (2 * D) ** -0.5, (P, D)) for part in ("re", "im")},
        **{f"C_{part}": rng.normal(0, (2 * P) ** -0.5, (H, P)) for part in ("re", "im")},
        "D": rng.normal(0, D**-0.5, (H, D)),
    }
    return params, np.zeros(P, np.complex128)


def derive_s5(ops: Any, params: Params) -> Params:
    """Λ̄ = exp(ΔΛ), B̄ = (Λ̄ − 1)/Λ · B."""
    rate = -ops.exp(params["log_re"]) + 1j * params["im"]
    held = ops.exp(ops.exp(params["log_dt"]) * rate)
    return {
        "A_bar": held,
        "B_bar": ((held - 1) / rate)[:, None] * (params["B_re"] + 1j * params["B_im"]),
    }


def project_s5(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(B̄ x, D x): complex (T, B, P), real (T, B, H)."""
    driven = xs @ ops.real(params["B_bar"]).T + 1j * (xs @ ops.imag(params["B_bar"]).T)
    return driven, xs @ params["D"].T


def linear_s5(ops: Any, params: Params, zs: tuple[Array, Array]) -> tuple[Array, Array]:
    """(Λ̄, B̄ x)."""
    return ops.broadcast_to(params["A_bar"], zs[0].shape), zs[0]


def output_s5(ops: Any, params: Params, hs: Array, zs: tuple[Array, Array]) -> Array:
    """y = 2 Re(C h) + D x."""
    return 2 * (ops.real(hs) @ params["C_re"].T - ops.imag(hs) @ params["C_im"].T) + zs[1]


s5 = Cell(
    name="s5",
    init=init_s5,
    project=project_s5,
    derive=derive_s5,
    linear=linear_s5,
    output=output_s5,
    source="Smith, Warrington & Linderman 2023, arXiv:2208.04933, the S5 layer, zero-order hold",
    options={"states": 16, "dt_min": 1e-3, "dt_max": 1e-1},
)
"""h' = exp(ΔΛ) ∘ h + (exp(ΔΛ) − 1)/Λ ∘ (B x),  y = 2 Re(C h) + D x: one system for all features, P = states/2 conjugate
pairs.

Shapes: log_dt, log_re, im (P,), B_re, B_im (P, D), C_re, C_im (H, P), D (H, D); state (P,), complex.
3P + 2PD + 2HP + HD parameters.

Where frameworks differ: the repository diagonalises the HiPPO-N matrix block by block and transforms B and C with it;
here Λ is S4D's line and B, C are drawn. It takes 2 Re, for conjugate pairs, as here; `lru` does not.
"""


def init_rglru(rng: Rng, D: int, H: int, *, c: float = 8.0) -> tuple[dict[str, Array], Array]:
    """u, gates uniform in ±1/sqrt(fan-in), bias 0; exp(−c softplus(Λ)) uniform in (0.9, 0.999); state zeros (H,)."""
    import numpy as np

    a = rng.uniform(0.9, 0.999, H)
    params = {
        "weight_ih": matrix(rng, H, D),
        "weight_gates": matrix(rng, 2 * H, H),
        "bias_gates": np.zeros(2 * H),
        "log_rate": np.log(np.expm1(-np.log(a) / c)),
    }
    return params, np.zeros(H)


def project_rglru(ops: Any, params: Params, xs: Array, *, c: float) -> tuple[Array, Array]:
    """(a, sqrt(1 − a²) ∘ i ∘ u), both (T, B, H)."""
    u = xs @ params["weight_ih"].T
    r, i = pieces(ops.sigmoid(u @ params["weight_gates"].T + params["bias_gates"]), 2)
    log_a = -c * r * ops.softplus(params["log_rate"])
    return ops.exp(log_a), ops.sqrt(-ops.expm1(2 * log_a)) * i * u


rglru = Cell(
    name="rglru",
    init=init_rglru,
    project=project_rglru,
    linear=linear_pair,
    source="De et al. 2024, arXiv:2402.19427, equations 1-4 (real-gated linear recurrent unit)",
    options={"c": 8.0},
)
"""u = W x,  r, i = σ(W_r,i u + b_r,i),  a = exp(−c r ∘ softplus(Λ)),  h' = a ∘ h + sqrt(1 − a²) ∘ (i ∘ u),  y = h'.

Shapes: weight_ih (H, D), weight_gates (2H, H), rows r, i, bias_gates (2H,), log_rate = Λ (H,); state h (H,).
H(D + 2H + 3) parameters. With constant gates, white input of variance one and i = 1, h keeps the variance one.

Where frameworks differ: the paper's equation 3 has a = σ(Λ), this one with −Λ for Λ; recurrentgemma takes softplus(Λ),
as here. It multiplies by 1 instead of the root at the first step, clips the root's gradient at 1000, and has
block-diagonal gates. W stands for the projection of the block around it.
"""


def init_mamba(
    rng: Rng, D: int, H: int, *, states: int = 16, rank: int = 0, zoh: bool = False
) -> tuple[dict[str, Array], Array]:
    """A_n = −n (S4D-Real), Δ log-uniform in (0.001, 0.1), D 1, others uniform in ±1/sqrt of the fan-in; state zeros."""
    import numpy as np

    del zoh
    rank = rank or -(-H // 16)
    bias_dt = drawn_bias_dt(rng, H)
    params = {
        "weight_ih": matrix(rng, H, D),
        "weight_B": matrix(rng, states, H),
        "weight_C": matrix(rng, states, H),
        "dt_down": matrix(rng, rank, H),
        "dt_up": matrix(rng, H, rank),
        "bias_dt": bias_dt,
        "A_log": np.log(np.tile(np.arange(1.0, states + 1), (H, 1))),
        "D": np.ones(H),
    }
    return params, np.zeros((H, states))


def project_mamba(ops: Any, params: Params, xs: Array) -> tuple[Array, Array, Array, Array]:
    """(u, Δ, B, C): (T, B, H) twice, (T, B, states) twice."""
    u = xs @ params["weight_ih"].T
    dt = ops.softplus((u @ params["dt_down"].T) @ params["dt_up"].T + params["bias_dt"])
    return u, dt, u @ params["weight_B"].T, u @ params["weight_C"].T


def linear_mamba(ops: Any, params: Params, zs: tuple[Array, ...], *, zoh: bool) -> tuple[Array, Array]:
    """(exp(ΔA), Δ B u), both (T, B, H, states)."""
    u, dt, B, _ = zs
    A = -ops.exp(params["A_log"])
    exponent = dt[..., None] * A
    size = ops.expm1(exponent) / A if zoh else dt[..., None]
    return ops.exp(exponent), size * B[..., None, :] * u[..., None]


def output_mamba(ops: Any, params: Params, hs: Array, zs: tuple[Array, ...]) -> Array:
    """y = Σ_n C_n h_n + D u."""
    u, _, _, C = zs
    return ops.sum(hs * C[..., None, :], axis=-1) + params["D"] * u


mamba = Cell(
    name="mamba",
    init=init_mamba,
    project=project_mamba,
    linear=linear_mamba,
    output=output_mamba,
    source="Gu & Dao 2023, arXiv:2312.00752, algorithm 2 (S6), B discretised as in the released code",
    options={"states": 16, "rank": 0, "zoh": False},
)
"""u = W x,  Δ = softplus(W_2 W_1 u + b),  B, C = W_B,C u,  h' = exp(ΔA) ∘ h + Δ B u,  y = C h + D u.

Shapes: weight_ih (H, D), weight_B, weight_C (N, H), dt_down (rank, H), dt_up (H, rank), rank = ⌈H/16⌉ where it is 0,
bias_dt, D (H,), A_log (H, N), A = −exp(A_log); state (H, N). H(D + 3N + 2·rank + 2) parameters. Constant inputs give a
geometric series.

Where frameworks differ: equation 4 holds the input, B̄ = (exp(ΔA) − 1)/A · B; the released code takes Δ·B, as here
unless `zoh=true`. Convolution and gate belong to the block (`block: mamba`). memax's "S6" has no N states at all.
"""


def init_hgrn(rng: Rng, D: int, H: int, *, lower_bound: float = 0.0) -> tuple[dict[str, Array], Array]:
    """weight_ih (3H, D) uniform in ±1/sqrt(D), bias 0; state zeros (H,)."""
    import numpy as np

    del lower_bound
    return {"weight_ih": matrix(rng, 3 * H, D), "bias": np.zeros(3 * H)}, np.zeros(H)


def project_hgrn(ops: Any, params: Params, xs: Array, *, lower_bound: float) -> tuple[Array, Array, Array]:
    """(λ, (1 − λ) ∘ silu(i), σ(g)), each (T, B, H)."""
    f, i, g = pieces(xs @ params["weight_ih"].T + params["bias"], 3)
    closed = (1 - lower_bound) * ops.sigmoid(-f)
    return 1 - closed, closed * ops.silu(i), ops.sigmoid(g)


def linear_hgrn(ops: Any, params: Params, zs: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    """(λ, (1 − λ) ∘ c)."""
    del ops, params
    return zs[0], zs[1]


def output_hgrn(ops: Any, params: Params, hs: Array, zs: tuple[Array, Array, Array]) -> Array:
    """y = g ∘ h."""
    del ops, params
    return zs[2] * hs


hgrn = Cell(
    name="hgrn",
    init=init_hgrn,
    project=project_hgrn,
    linear=linear_hgrn,
    output=output_hgrn,
    source="Qin, Yang & Zhong 2023, arXiv:2311.04823, the gated linear recurrence of HGRN, without its phase",
    options={"lower_bound": 0.0},
)
"""λ = γ + (1 − γ) σ(W_f x + b_f),  c = silu(W_i x + b_i),  h' = λ ∘ h + (1 − λ) ∘ c,  y = σ(W_g x + b_g) ∘ h'.

Shapes: weight_ih (3H, D), bias (3H,), rows f, i, g; state h (H,). 3H(D + 1) parameters. γ = `lower_bound`; γ = 1
copies.

Where frameworks differ: the paper has a phase per unit, λ e^{iθ}, and learns γ per layer; fla drops the phase and
takes γ for layers above the first.
"""


def init_gateloop(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """weight_ih (5H, D) uniform in ±1/sqrt(D), bias 0 but 0.9 for the modulus; state zeros, complex."""
    import numpy as np

    bias = np.zeros(5 * H)
    bias[3 * H : 4 * H] = np.log(9.0)
    return {"weight_ih": matrix(rng, 5 * H, D), "bias": bias}, np.zeros(H, np.complex128)


def project_gateloop(ops: Any, params: Params, xs: Array) -> tuple[Array, Array, Array]:
    """(q, k ∘ v, complex a), each (T, B, H)."""
    q, k, v, modulus, phase = pieces(xs @ params["weight_ih"].T + params["bias"], 5)
    return q, k * v, ops.sigmoid(modulus) * ops.exp(1j * phase)


def linear_gateloop(ops: Any, params: Params, zs: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    """(a, k ∘ v)."""
    del ops, params
    return zs[2], zs[1] + 0j


def output_gateloop(ops: Any, params: Params, hs: Array, zs: tuple[Array, Array, Array]) -> Array:
    """y = Re(q ∘ h)."""
    del params
    return zs[0] * ops.real(hs)


gateloop = Cell(
    name="gateloop",
    init=init_gateloop,
    project=project_gateloop,
    linear=linear_gateloop,
    output=output_gateloop,
    source="Katsch 2023, arXiv:2311.01927, the data-controlled recurrence, heads of size one",
)
"""a = σ(W_γ x + b_γ) exp(i(W_θ x + b_θ)),  h' = a ∘ h + k ∘ v,  y = Re(q ∘ h'),  q, k, v = W x + b.

Shapes: weight_ih (5H, D), bias (5H,), rows q, k, v, γ, θ; state h (H,), complex. 5H(D + 1) parameters.

Where frameworks differ: the paper has heads with matrix states k vᵀ; its SiLU gate belongs to the block.
"""
