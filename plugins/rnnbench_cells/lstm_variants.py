"""Variants of the LSTM: peepholes, coupled gates, a recurrent projection, layer normalisation."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params
from rnnbench_cells.affine import gated, pieces, project
from rnnbench_cells.initial import Rng
from rnnbench_cells.norms import layer_norm

Pair = tuple[Array, Array]


def init_peephole(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Pair]:
    """Uniform in ±1/sqrt(H), peepholes too; state (h, c), zeros (H,) each."""
    import numpy as np

    params = gated(rng, 4, D, H)
    params |= {f"peephole_{gate}": rng.uniform(-(H**-0.5), H**-0.5, H) for gate in "ifo"}
    return params, (np.zeros(H), np.zeros(H))


def step_peephole(ops: Any, params: Params, state: Pair, z: Array) -> tuple[Pair, Array]:
    """((h_BH, c_BH), z (B, 4H)) -> ((h', c'), h'). The output gate sees the new c."""
    h, c = state
    i, f, g, o = pieces(z + h @ params["weight_hh"].T, 4)
    i = ops.sigmoid(i + params["peephole_i"] * c)
    f = ops.sigmoid(f + params["peephole_f"] * c)
    c = f * c + i * ops.tanh(g)
    h = ops.sigmoid(o + params["peephole_o"] * c) * ops.tanh(c)
    return (h, c), h


lstm_peephole = Cell(
    name="lstm_peephole",
    init=init_peephole,
    step=step_peephole,
    project=project,
    source="Gers, Schraudolph & Schmidhuber 2002, JMLR 3:115-143, the forward pass with peephole connections",
    recurrent=("weight_hh",),
)
"""i = σ(W_i x + U_i h + p_i ∘ c + b_i),  f = σ(W_f x + U_f h + p_f ∘ c + b_f),  g = tanh(W_g x + U_g h + b_g),

c' = f ∘ c + i ∘ g,  o = σ(W_o x + U_o h + p_o ∘ c' + b_o),  h' = o ∘ tanh(c'),  y = h'.

Shapes: weight_ih (4H, D), weight_hh (4H, H), bias (4H,), rows i, f, g, o; peephole_i, _f, _o (H,); state (h, c).
4H(D + H + 1) + 3H parameters.

Where frameworks differ: peepholes are vectors here and in the paper, full matrices in some code; o sees the new c.
"""


def init_cifg(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Pair]:
    """Uniform in ±1/sqrt(H); state (h, c), zeros (H,) each."""
    import numpy as np

    return gated(rng, 3, D, H), (np.zeros(H), np.zeros(H))


def step_cifg(ops: Any, params: Params, state: Pair, z: Array) -> tuple[Pair, Array]:
    """((h_BH, c_BH), z (B, 3H)) -> ((h', c'), h')."""
    h, c = state
    f, g, o = pieces(z + h @ params["weight_hh"].T, 3)
    g = ops.tanh(g)
    c = g + ops.sigmoid(f) * (c - g)
    h = ops.sigmoid(o) * ops.tanh(c)
    return (h, c), h


lstm_cifg = Cell(
    name="lstm_cifg",
    init=init_cifg,
    step=step_cifg,
    project=project,
    source="Greff et al. 2015, arXiv:1503.04069, the variant CIFG (coupled input and forget gate)",
    recurrent=("weight_hh",),
)
"""f, o = σ(W x + U h + b),  g = tanh(W_g x + U_g h + b_g),  c' = f ∘ c + (1 − f) ∘ g,  h' = o ∘ tanh(c'),  y = h'.

Shapes: weight_ih (3H, D), weight_hh (3H, H), bias (3H,), rows f, g, o; state (h, c). 3H(D + H + 1) parameters: 98,688
at D = H = 128. c is a convex combination of numbers in ±1, so |c| <= 1 from |c_0| <= 1.

Where frameworks differ: the paper sets f = 1 − i, some code i = 1 − f; with trained weights that is a change of sign.
"""


def init_proj(rng: Rng, D: int, H: int, *, expansion: int = 2) -> tuple[dict[str, Array], Pair]:
    """Uniform in ±1/sqrt(N) with N = expansion·H memory cells; state (h (H,), c (N,)), zeros."""
    import numpy as np

    N = expansion * H
    bound = N**-0.5
    shapes = {"weight_ih": (4 * N, D), "weight_hh": (4 * N, H), "bias": (4 * N,), "weight_hr": (H, N)}
    params = {name: rng.uniform(-bound, bound, shape) for name, shape in shapes.items()}
    return params, (np.zeros(H), np.zeros(N))


def step_proj(ops: Any, params: Params, state: Pair, z: Array) -> tuple[Pair, Array]:
    """((h_BH, c_BN), z (B, 4N)) -> ((h', c'), h')."""
    h, c = state
    i, f, g, o = pieces(z + h @ params["weight_hh"].T, 4)
    c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    h = (ops.sigmoid(o) * ops.tanh(c)) @ params["weight_hr"].T
    return (h, c), h


lstm_proj = Cell(
    name="lstm_proj",
    init=init_proj,
    step=step_proj,
    project=project,
    source="Sak, Senior & Beaufays 2014, arXiv:1402.1128, the LSTM with a recurrent projection (LSTMP)",
    options={"expansion": 2},
    recurrent=("weight_hh",),
)
"""An LSTM of N = expansion·H memory cells whose output is projected to H numbers: h' = W_hr (o ∘ tanh(c')),  y = h'.

Shapes: weight_ih (4N, D), weight_hh (4N, H), bias (4N,), rows i, f, g, o, weight_hr (H, N); state (h (H,), c (N,)).
4N(D + H + 1) + HN parameters.

Where frameworks differ: the hidden size named here is that of h, torch's `proj_size`; torch's `hidden_size` is N. The
paper's peepholes and its second, non-recurrent projection are left out, as in torch. oneDNN and MIOpen have no such
kernel.
"""


def init_ln(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Pair]:
    """Uniform in ±1/sqrt(H), gains 1, shift 0; state (h, c), zeros (H,) each."""
    import numpy as np

    params = gated(rng, 4, D, H)
    gains = {"gain_ih": np.ones(4 * H), "gain_hh": np.ones(4 * H), "gain_c": np.ones(H), "shift_c": np.zeros(H)}
    return params | gains, (np.zeros(H), np.zeros(H))


def project_ln(ops: Any, params: Params, xs: Array) -> Array:
    """z_t = LN(W x_t) + b: xs_TBD -> zs (T, B, 4H)."""
    return layer_norm(ops, xs @ params["weight_ih"].T, params["gain_ih"]) + params["bias"]


def step_ln(ops: Any, params: Params, state: Pair, z: Array) -> tuple[Pair, Array]:
    """((h_BH, c_BH), z (B, 4H)) -> ((h', c'), h')."""
    h, c = state
    i, f, g, o = pieces(z + layer_norm(ops, h @ params["weight_hh"].T, params["gain_hh"]), 4)
    c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    h = ops.sigmoid(o) * ops.tanh(layer_norm(ops, c, params["gain_c"]) + params["shift_c"])
    return (h, c), h


lstm_ln = Cell(
    name="lstm_ln",
    init=init_ln,
    step=step_ln,
    project=project_ln,
    source="Ba, Kiros & Hinton 2016, arXiv:1607.06450, the LSTM with layer normalisation of the supplement",
    recurrent=("weight_hh",),
)
"""gates = LN(W x; α_1) + LN(U h; α_2) + b,  c' = σ(f) ∘ c + σ(i) ∘ tanh(g),  h' = σ(o) ∘ tanh(LN(c'; α_3) + β_3),

LN(x; α) = α ∘ (x − mean x) / sqrt(var x + 1e-5), over all 4H numbers at once for the gates.

Shapes as in `lstm_cifg` with four gates, rows i, f, g, o; gains (4H,), (4H,), (H,), shift (H,); state (h, c).
4H(D + H + 1) + 10H parameters. Outputs do not change where U is multiplied by a positive number (but for 1e-5).

Where frameworks differ: over 4H numbers or gate by gate; of the sum or of each product, as here and in the paper; the
paper's two shifts beside b are left out, for only their sum with b acts.
"""
