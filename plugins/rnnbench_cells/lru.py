"""The linear recurrent unit: a complex diagonal recurrence between two linear maps."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params, UsageError
from rnnbench_cells.initial import Rng


def init(
    rng: Rng, D: int, H: int, r_min: float = 0.0, r_max: float = 1.0, max_phase: float = 6.28
) -> tuple[dict[str, Array], Array]:
    """λ uniform on the ring r_min < |λ| < r_max, 0 < arg λ < max_phase (lemma 3.2); state zeros (H,), complex.

    gamma_log = ln sqrt(1 - |λ|²) (section 3.4) keeps the state's variance near the input's. B ~ N(0, 1/(2D)) and
    C ~ N(0, 1/H) for real and imaginary part each, skip D ~ N(0, 1/D). For longer memory
    raise r_min (0.9, say, with r_max 0.999) and shrink max_phase (section 3.4).
    """
    import numpy as np

    if not 0 <= r_min < r_max <= 1:
        raise UsageError(f"cell 'lru' needs 0 <= r_min < r_max <= 1, found r_min={r_min:g}, r_max={r_max:g}.")
    if not 0 < max_phase <= 2 * np.pi:
        raise UsageError(f"cell 'lru' needs 0 < max_phase <= 2π = 6.2832, found max_phase={max_phase:g}.")
    # Both draws lie strictly inside (0, 1): at the ends the logarithms below are infinite.
    u, v = rng.uniform(np.finfo(float).eps, 1 - np.finfo(float).eps, (2, H))
    nu = -0.5 * np.log(u * (r_max**2 - r_min**2) + r_min**2)
    params = {
        "nu_log": np.log(nu),
        "theta_log": np.log(max_phase * v),
        "gamma_log": 0.5 * np.log(-np.expm1(-2 * nu)),
        "B_re": rng.normal(0.0, (2 * D) ** -0.5, (H, D)),
        "B_im": rng.normal(0.0, (2 * D) ** -0.5, (H, D)),
        "C_re": rng.normal(0.0, H**-0.5, (H, H)),
        "C_im": rng.normal(0.0, H**-0.5, (H, H)),
        "D": rng.normal(0.0, D**-0.5, (H, D)),
    }
    return params, np.zeros(H, dtype=np.complex128)


def project(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(γ ∘ B x_t, D x_t), complex and real, both (T, B, H): one real product of xs_TBD with three stacked matrices."""
    H = params["nu_log"].shape[0]
    gamma = ops.exp(params["gamma_log"])[:, None]
    stacked = ops.concat([gamma * params["B_re"], gamma * params["B_im"], params["D"]])
    u = xs @ stacked.T
    return u[..., :H] + 1j * u[..., H : 2 * H], u[..., 2 * H :]


def linear(ops: Any, params: Params, zs: tuple[Array, Array]) -> tuple[Array, Array]:
    """(λ, γ ∘ B x_t), both complex (T, B, H); λ = exp(-exp(nu_log) + i·exp(theta_log)) is the same at every t."""
    driven, _ = zs
    decay = ops.exp(-ops.exp(params["nu_log"]) + 1j * ops.exp(params["theta_log"]))
    return ops.broadcast_to(decay, driven.shape), driven


def output(ops: Any, params: Params, hs: Array, zs: tuple[Array, Array]) -> Array:
    """y_t = Re(C h_t) + D x_t: real (T, B, H)."""
    _, skip = zs
    return ops.real(hs) @ params["C_re"].T - ops.imag(hs) @ params["C_im"].T + skip


lru = Cell(
    name="lru",
    init=init,
    project=project,
    linear=linear,
    output=output,
    source="Orvieto et al. 2023, arXiv:2303.06349, equation 7, its λ drawn as in lemma 3.2",
    options={"r_min": 0.0, "r_max": 1.0, "max_phase": 6.28},
)
"""h_t = λ ∘ h_{t-1} + exp(gamma_log) ∘ (B x_t),  y_t = Re(C h_t) + D x_t,  λ = exp(-exp(nu_log) + i·exp(theta_log)).

Shapes: nu_log, theta_log, gamma_log (H,), B_re, B_im (H, D), C_re, C_im (H, H), D (H, D), all real; state h (H,),
complex: 2H real numbers, twice the state of `gru` at the same H. H(3D + 2H + 3) parameters.

Where frameworks differ: the paper's layer has as many inputs as outputs and a diagonal D; here the sizes may
differ, so D is a matrix. The paper's block around it (normalisation, GLU, residual) is not part of the cell, so layers
stacked here are linear throughout. Some code takes 2·Re(C h), for conjugate pairs; the paper does not. γ is learned
apart from λ, not recomputed from it. Complex numbers need float32 or float64 parameters; there is no complex bfloat16.
"""
