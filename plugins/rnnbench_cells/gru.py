"""The gated recurrent unit, in the variant of torch and cuDNN: the reset gate acts after the product."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params
from rnnbench_cells.initial import Rng, torch_uniform


def init(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """Parameters as torch.nn.GRU draws them, uniform in ±1/sqrt(H); state zeros (H,)."""
    import numpy as np

    return torch_uniform(rng, 3, D, H), np.zeros(H)


def project(ops: Any, params: Params, xs: Array) -> Array:
    """z_t = W_ih x_t + b_ih + (b_hr, b_hz, 0): xs_TBD -> zs (T, B, 3H).

    b_hn stays behind: the reset gate, which depends on the state, multiplies it.
    """
    gated = 2 * params["weight_hh"].shape[-1]
    bias_ih, bias_hh = params["bias_ih"], params["bias_hh"]
    bias = ops.concat([bias_ih[:gated] + bias_hh[:gated], bias_ih[gated:]])
    return xs @ params["weight_ih"].T + bias


def step(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """One time step: (h_BH, z (B, 3H)) -> (h', y_BH = h')."""
    H = h.shape[-1]
    recurrent = h @ params["weight_hh"].T
    gates = ops.sigmoid(z[:, : 2 * H] + recurrent[:, : 2 * H])
    r, update = gates[:, :H], gates[:, H:]
    n = ops.tanh(z[:, 2 * H :] + r * (recurrent[:, 2 * H :] + params["bias_hh"][2 * H :]))
    h = n + update * (h - n)  # (1 - update)·n + update·h with one product less
    return h, h


gru = Cell(
    name="gru",
    init=init,
    step=step,
    project=project,
    source="Cho et al. 2014, arXiv:1406.1078, equations 5-8, reset after the product; layout of torch.nn.GRU",
    recurrent=("weight_hh",),
)
"""r = σ(W_r x_t + b_ir + U_r h_{t-1} + b_hr),  z = σ(W_z x_t + b_iz + U_z h_{t-1} + b_hz),

n = tanh(W_n x_t + b_in + r ∘ (U_n h_{t-1} + b_hn)),  h_t = (1 - z) ∘ n + z ∘ h_{t-1},  y_t = h_t.

Shapes: weight_ih (3H, D), weight_hh (3H, H), bias_ih (3H,), bias_hh (3H,), rows in the order r, z, n; state h (H,).
3H(D + H + 2) parameters.

Where frameworks differ: here, in torch, cuDNN, Flax and Keras (`reset_after=True`) r multiplies U_n h + b_hn; in Cho et
al., equation 8, r multiplies h before the product, another function that no weights make equal. Here and in Cho et al.,
equation 7, z = 1 keeps the old state; in Chung et al. 2014 (arXiv:1412.3555) z = 1 replaces it. Keras and ONNX order
the rows z, r, n. b_hn is a parameter of its own, b_hr and b_hz only add to b_ir and b_iz.
"""
