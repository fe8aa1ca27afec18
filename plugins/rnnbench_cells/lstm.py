"""Long short-term memory, in the variant every framework ships: with forget gate, without peepholes."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params
from rnnbench_cells.initial import Rng, finite, torch_uniform


def init(rng: Rng, D: int, H: int, forget_bias: float = 0.0) -> tuple[dict[str, Array], tuple[Array, Array]]:
    """Parameters as torch.nn.LSTM draws them, uniform in ±1/sqrt(H); state (h, c), zeros (H,) each.

    forget_bias: 0, the default, leaves torch's draw as it is: the two forget biases are random with mean 0. Any other
    value is what their **sum** is for every unit: bias_ih holds it, bias_hh holds 0. Jozefowicz, Zaremba & Sutskever
    (2015) recommend 1: were all weights zero, c would halve in 2.2 steps instead of 1.
    """
    import numpy as np

    params = torch_uniform(rng, 4, D, H)
    if finite("forget_bias", forget_bias):
        params["bias_ih"][H : 2 * H] = forget_bias
        params["bias_hh"][H : 2 * H] = 0.0
    return params, (np.zeros(H), np.zeros(H))


def project(ops: Any, params: Params, xs: Array) -> Array:
    """z_t = W_ih x_t + b_ih + b_hh, all four gates: xs_TBD -> zs (T, B, 4H)."""
    del ops
    return xs @ params["weight_ih"].T + (params["bias_ih"] + params["bias_hh"])


def step(ops: Any, params: Params, state: tuple[Array, Array], z: Array) -> tuple[tuple[Array, Array], Array]:
    """One time step: ((h_BH, c_BH), z (B, 4H)) -> ((h', c'), y_BH = h')."""
    h, c = state
    H = h.shape[-1]
    gates = z + h @ params["weight_hh"].T
    i = ops.sigmoid(gates[:, :H])
    f = ops.sigmoid(gates[:, H : 2 * H])
    g = ops.tanh(gates[:, 2 * H : 3 * H])
    o = ops.sigmoid(gates[:, 3 * H :])
    c = f * c + i * g
    h = o * ops.tanh(c)
    return (h, c), h


lstm = Cell(
    name="lstm",
    init=init,
    step=step,
    project=project,
    source="Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735, with the forget gate of Gers, Schmidhuber & "
    "Cummins 2000; layout of torch.nn.LSTM",
    options={"forget_bias": 0.0},
    recurrent=("weight_hh",),
)
"""i, f, o = σ(W x_t + b_ih + U h_{t-1} + b_hh),  g = tanh(W x_t + b_ih + U h_{t-1} + b_hh), each with its own rows,

c_t = f ∘ c_{t-1} + i ∘ g,  h_t = o ∘ tanh(c_t),  y_t = h_t.

Shapes: weight_ih (4H, D), weight_hh (4H, H), bias_ih (4H,), bias_hh (4H,), rows in the order i, f, g, o; state (h, c).
4H(D + H + 2) parameters: 569,600 at D = 123, H = 320.

Where frameworks differ: torch, Keras and oneDNN order the rows i, f, g, o, ONNX i, o, f, g, Haiku i, g, f, o. torch and
cuDNN have two biases per gate, Keras and Flax one. Keras starts the forget bias at 1 (`unit_forget_bias`), torch around
0; filling both of torch's biases with 1 makes it 2. The state is (h, c) here, in torch and in Keras, (c, h) in Flax.
"""
