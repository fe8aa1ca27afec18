"""Memories by orthogonal polynomials: lmu and hippo_legs."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params
from rnnbench_cells.affine import matrix
from rnnbench_cells.initial import Rng
from rnnbench_cells.matrices import eye_like

Pair = tuple[Array, Array]


def delay_system(order: int, theta: float) -> tuple[Any, Any]:
    """(Ā, B̄) of a window of theta steps, held constant over a step: the delay system of Voelker 2019, by a ZOH.

    A_ij = (2i + 1)(−1 if i < j else (−1)^(i−j+1)), B_i = (2i + 1)(−1)^i, i, j = 0 ... order − 1;
    Ā = exp(A/θ), B̄ = A⁻¹ (Ā − I) B.
    """
    import numpy as np
    from scipy.linalg import expm

    i, j = np.mgrid[:order, :order]
    A = (2 * i + 1) * np.where(i < j, -1.0, (-1.0) ** (i - j + 1)) / theta
    B = ((2 * np.arange(order) + 1) * (-1.0) ** np.arange(order))[:, None] / theta
    held = expm(A)
    return held, np.linalg.solve(A, (held - np.eye(order)) @ B)


def init_lmu(rng: Rng, D: int, H: int, *, order: int = 8, theta: float = 64.0) -> tuple[dict[str, Array], Pair]:
    """Ā, B̄ of `delay_system`, frozen; encoders and kernels uniform in ±1/sqrt of the fan-in; state (h, m), zeros."""
    import numpy as np

    A, B = delay_system(order, theta)
    params = {
        "A": A,
        "B": B,
        "encode_x": matrix(rng, 1, D),
        "encode_h": matrix(rng, 1, H),
        "encode_m": np.zeros((1, order)),
        "weight_ih": matrix(rng, H, D),
        "weight_hh": matrix(rng, H, H),
        "weight_hm": matrix(rng, H, order),
        "bias": np.zeros(H),
    }
    return params, (np.zeros(H), np.zeros(order))


def project_lmu(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(e_x x (T, B, 1), W_x x + b (T, B, H))."""
    del ops
    return xs @ params["encode_x"].T, xs @ params["weight_ih"].T + params["bias"]


def step_lmu(ops: Any, params: Params, state: Pair, z: tuple[Array, Array]) -> tuple[Pair, Array]:
    """((h_BH, m), (e_x x, W_x x + b)) -> ((h', m'), h')."""
    h, m = state
    encoded, driven = z
    u = encoded + h @ params["encode_h"].T + m @ params["encode_m"].T
    m = m @ params["A"].T + u @ params["B"].T
    h = ops.tanh(driven + h @ params["weight_hh"].T + m @ params["weight_hm"].T)
    return (h, m), h


lmu = Cell(
    name="lmu",
    init=init_lmu,
    step=step_lmu,
    project=project_lmu,
    source="Voelker, Kajić & Eliasmith 2019, NeurIPS, the Legendre memory unit (LMU)",
    options={"order": 8, "theta": 64.0},
    frozen=("A", "B"),
    recurrent=("weight_hh",),
)
"""u = e_x x + e_h h + e_m m,  m' = Ā m + B̄ u,  h' = tanh(W_x x + W_h h + W_m m' + b),  y = h'.

m holds the Legendre coefficients of u over the last θ steps. Shapes: A (order, order), B (order, 1), frozen; encode_x
(1, D), encode_h (1, H), encode_m (1, order), weight_ih (H, D), weight_hh (H, H), weight_hm (H, order), bias (H,); state
(h (H,), m (order,)). (H + 1)(D + H + order) + H parameters.

Where frameworks differ: keras-lmu holds the input over a step (ZOH), as here, and leaves Ā and B̄ alone unless asked;
the paper has no b.
"""


def legs(order: int) -> tuple[Any, Any]:
    """A_nk = sqrt((2n + 1)(2k + 1)) for n > k, n + 1 for n = k, 0 else; B_n = sqrt(2n + 1)."""
    import numpy as np

    root = np.sqrt(2 * np.arange(order) + 1.0)
    return np.tril(np.outer(root, root), -1) + np.diag(np.arange(order) + 1.0), root[:, None]


def init_hippo_legs(rng: Rng, D: int, H: int, *, order: int = 8) -> tuple[dict[str, Array], Pair]:
    """A, B of `legs`, frozen; kernels uniform in ±1/sqrt of the fan-in; state (h, c), zeros."""
    import numpy as np

    A, B = legs(order)
    params = {
        "A": A,
        "B": B,
        "encode_x": matrix(rng, 1, D),
        "encode_h": matrix(rng, 1, H),
        "weight_ih": matrix(rng, H, D),
        "weight_hh": matrix(rng, H, H),
        "weight_hm": matrix(rng, H, order),
        "bias": np.zeros(H),
    }
    return params, (np.zeros(H), np.zeros(order))


def project_hippo_legs(ops: Any, params: Params, xs: Array, *, steps: Array) -> tuple[Array, Array, Array]:
    """(e_x x (T, B, 1), W_x x + b (T, B, H), 1/(2k) (T, B, 1) with k = 1 at the first step)."""
    encoded, driven = project_lmu(ops, params, xs)
    return encoded, driven, 0.5 / (1 + ops.astype(steps, xs.dtype))[..., None]


def step_hippo_legs(ops: Any, params: Params, state: Pair, z: tuple[Array, Array, Array]) -> tuple[Pair, Array]:
    """((h_BH, c), (e_x x, W_x x + b, 1/(2k))) -> ((h', c'), h')."""
    h, c = state
    encoded, driven, half = z
    u = encoded + h @ params["encode_h"].T
    right = c - half * (c @ params["A"].T) + 2 * half * (u @ params["B"].T)
    left = eye_like(ops, params["A"]) + half[..., None] * params["A"]
    c = ops.linalg.solve(left, right[..., None])[..., 0]
    h = ops.tanh(driven + h @ params["weight_hh"].T + c @ params["weight_hm"].T)
    return (h, c), h


hippo_legs = Cell(
    name="hippo_legs",
    init=init_hippo_legs,
    step=step_hippo_legs,
    project=project_hippo_legs,
    source="Gu et al. 2020, arXiv:2008.07669, HiPPO-LegS in discrete time, bilinear",
    options={"order": 8},
    frozen=("A", "B"),
    recurrent=("weight_hh",),
)
"""u = e_x x + e_h h,  (I + A/2k) c' = (I − A/2k) c + B u/k at step k = 1, 2, ...,

h' = tanh(W_x x + W_h h + W_m c' + b),  y = h'.

c holds the coefficients of all of u so far in scaled Legendre polynomials. Shapes as in `lmu` without encode_m.
(H + 1)(D + H) + H(order + 1) parameters. The eigenvalues of A are 1, 2, ... order: it knows no time scale.

Where frameworks differ: the paper writes the forward Euler step, (I − A/k) c + B u/k; its code, as here, is bilinear.
The paper's gated update of h is an LSTM's; here it is lmu's, a tanh.
"""
