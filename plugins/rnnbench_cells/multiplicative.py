"""Cells in which products of inputs and states act: mi_rnn, multiplicative_lstm, mut1-3, nas, rhn, scrn."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params
from rnnbench_cells.affine import gated, matrix, pieces, project
from rnnbench_cells.initial import Rng

Pair = tuple[Array, Array]


def init_mi_rnn(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """weight_ih, weight_hh uniform in ±1/sqrt of the fan-in; alpha 1, beta_1 and beta_2 0.5, bias 0."""
    import numpy as np

    params = {
        "weight_ih": matrix(rng, H, D),
        "weight_hh": matrix(rng, H, H),
        "alpha": np.ones(H),
        "beta_1": np.full(H, 0.5),
        "beta_2": np.full(H, 0.5),
        "bias": np.zeros(H),
    }
    return params, np.zeros(H)


def project_mi_rnn(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(α ∘ W x + β_1, β_2 ∘ W x + b), both (T, B, H): what multiplies U h, and what is added."""
    del ops
    driven = xs @ params["weight_ih"].T
    return params["alpha"] * driven + params["beta_1"], params["beta_2"] * driven + params["bias"]


def step_mi_rnn(ops: Any, params: Params, h: Array, z: tuple[Array, Array]) -> tuple[Array, Array]:
    """(h_BH, (factor_BH, summand_BH)) -> (h', h')."""
    factor, summand = z
    h = ops.tanh(factor * (h @ params["weight_hh"].T) + summand)
    return h, h


mi_rnn = Cell(
    name="mi_rnn",
    init=init_mi_rnn,
    step=step_mi_rnn,
    project=project_mi_rnn,
    source="Wu et al. 2016, arXiv:1606.06630, multiplicative integration in a plain RNN (MI-RNN)",
    recurrent=("weight_hh",),
)
"""h' = tanh(α ∘ W x ∘ U h + β_1 ∘ U h + β_2 ∘ W x + b),  y = h'.

Shapes: weight_ih (H, D), weight_hh (H, H), alpha, beta_1, beta_2, bias (H,); state h (H,). H(D + H + 4) parameters. At
α = 0, β_1 = β_2 = 1 this is `rnn`.

Where frameworks differ: not known to.
"""


def init_multiplicative_lstm(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Pair]:
    """Four gates of `gated`, weight_mx (H, D), weight_mh (H, H); state (h, c), zeros (H,) each."""
    import numpy as np

    params = gated(rng, 4, D, H) | {"weight_mx": matrix(rng, H, D), "weight_mh": matrix(rng, H, H)}
    return params, (np.zeros(H), np.zeros(H))


def project_multiplicative_lstm(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(all gates (T, B, 4H), W_mx x (T, B, H))."""
    return project(ops, params, xs), xs @ params["weight_mx"].T


def step_multiplicative_lstm(ops: Any, params: Params, state: Pair, z: tuple[Array, Array]) -> tuple[Pair, Array]:
    """((h_BH, c_BH), ((B, 4H), (B, H))) -> ((h', c'), h')."""
    h, c = state
    gates, driven = z
    m = driven * (h @ params["weight_mh"].T)
    i, f, g, o = pieces(gates + m @ params["weight_hh"].T, 4)
    c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    h = ops.sigmoid(o) * ops.tanh(c)
    return (h, c), h


multiplicative_lstm = Cell(
    name="multiplicative_lstm",
    init=init_multiplicative_lstm,
    step=step_multiplicative_lstm,
    project=project_multiplicative_lstm,
    source="Krause et al. 2016, arXiv:1609.07959, the multiplicative LSTM (mLSTM)",
    recurrent=("weight_hh", "weight_mh"),
)
"""m = (W_mx x) ∘ (W_mh h),  i, f, o = σ(W x + U m + b),  g = tanh(W_g x + U_g m + b_g),

c' = f ∘ c + i ∘ g,  h' = o ∘ tanh(c'),  y = h'.

Shapes: weight_ih (4H, D), weight_hh (4H, H), bias (4H,), rows i, f, g, o; weight_mx (H, D), weight_mh (H, H); state
(h, c). H(5D + 5H + 4) parameters.

Where frameworks differ: the paper calls it mLSTM, as xLSTM does its matrix memory (`mlstm`), which is another cell. The
paper's m has no bias; torchrecurrent adds one to each of its factors, so that m is affine in h where x = 0.
"""


def init_mut1(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """Three rows of inputs, two products with the state; uniform in ±1/sqrt(H); state zeros (H,)."""
    import numpy as np

    bound = H**-0.5
    shapes = {"weight_ih": (3 * H, D), "bias": (3 * H,), "weight_hr": (H, H), "weight_hh": (H, H)}
    return {name: rng.uniform(-bound, bound, shape) for name, shape in shapes.items()}, np.zeros(H)


def init_mut2(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """As `init_mut1` with a third product weight_hz."""
    params, state = init_mut1(rng, D, H)
    return params | {"weight_hz": rng.uniform(-(H**-0.5), H**-0.5, (H, H))}, state


def _mutated(ops: Any, params: Params, h: Array, update: Array, reset: Array, candidate: Array) -> tuple[Array, Array]:
    r = ops.sigmoid(reset + h @ params["weight_hr"].T)
    candidate = ops.tanh((r * h) @ params["weight_hh"].T + candidate)
    h = h + ops.sigmoid(update) * (candidate - h)
    return h, h


def project_mut1(ops: Any, params: Params, xs: Array) -> tuple[Array, Array, Array]:
    """(W_z x + b_z, W_r x + b_r, tanh(W_h x) + b_h)."""
    H = params["weight_hh"].shape[-1]
    z, r, n = pieces(xs @ params["weight_ih"].T, 3)
    b = params["bias"]
    return z + b[:H], r + b[H : 2 * H], ops.tanh(n) + b[2 * H :]


def step_mut1(ops: Any, params: Params, h: Array, z: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    """(h_BH, three of (B, H)) -> (h', h')."""
    return _mutated(ops, params, h, *z)


def step_mut2(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """(h_BH, (B, 3H)) -> (h', h')."""
    update, reset, candidate = pieces(z, 3)
    return _mutated(ops, params, h, update + h @ params["weight_hz"].T, reset, candidate)


def step_mut3(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """(h_BH, (B, 3H)) -> (h', h')."""
    update, reset, candidate = pieces(z, 3)
    return _mutated(ops, params, h, update + ops.tanh(h) @ params["weight_hz"].T, reset, candidate)


_MUT = "Jozefowicz, Zaremba & Sutskever 2015, PMLR 37:2342-2350, the architecture MUT"
mut1 = Cell("mut1", init_mut1, step_mut1, project_mut1, source=f"{_MUT}1", recurrent=("weight_hr", "weight_hh"))
"""z = σ(W_z x + b_z),  r = σ(W_r x + U_r h + b_r),  h' = z ∘ tanh(U_h (r ∘ h) + tanh(W_h x) + b_h) + (1 − z) ∘ h.

Shapes: weight_ih (3H, D), bias (3H,), rows z, r, h; weight_hr, weight_hh (H, H); state h (H,). H(3D + 2H + 3)
parameters. z = 0 copies.

Where frameworks differ: the paper has tanh(x) itself and so needs D = H; here, as in torchrecurrent, x is projected.
"""
mut2 = Cell("mut2", init_mut2, step_mut2, project, source=f"{_MUT}2", recurrent=("weight_hr", "weight_hz", "weight_hh"))
"""z = σ(W_z x + U_z h + b_z),  r = σ(W_r x + U_r h + b_r),  h' = z ∘ tanh(U_h (r ∘ h) + W_h x + b_h) + (1 − z) ∘ h.

Shapes as in `mut1` and weight_hz (H, H). 3H(D + H + 1) parameters. It is `gru_v3` with z for 1 − z.

Where frameworks differ: the paper has x itself in r, here W_r x.
"""
mut3 = Cell("mut3", init_mut2, step_mut3, project, source=f"{_MUT}3", recurrent=("weight_hr", "weight_hz", "weight_hh"))
"""As `mut2` with z = σ(W_z x + U_z tanh(h) + b_z).  3H(D + H + 1) parameters.

Where frameworks differ: not known to.
"""


def init_nas(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Pair]:
    """Eight gates of `gated`; state (h, c), zeros (H,) each."""
    import numpy as np

    return gated(rng, 8, D, H), (np.zeros(H), np.zeros(H))


def step_nas(ops: Any, params: Params, state: Pair, z: Array) -> tuple[Pair, Array]:
    """((h_BH, c_BH), z (B, 8H)) -> ((h', c'), h')."""
    h, c = state
    x, u = pieces(z, 8), pieces(h @ params["weight_hh"].T, 8)
    first = ops.tanh(ops.sigmoid(x[0] + u[0]) * ops.relu(x[1] + u[1]))
    second = ops.tanh(ops.sigmoid(x[2] + u[2]) + ops.relu(x[3] * u[3]))
    third = ops.tanh(ops.tanh(x[4] + u[4]) * ops.sigmoid(x[5] + u[5]))
    fourth = ops.sigmoid(ops.tanh(x[6] + u[6]) + ops.sigmoid(x[7] + u[7]))
    c = ops.tanh(first + c) * second
    h = ops.tanh(c * ops.tanh(third + fourth))
    return (h, c), h


nas = Cell(
    name="nas",
    init=init_nas,
    step=step_nas,
    project=project,
    source="Zoph & Le 2016, arXiv:1611.01578, the cell found on Penn Treebank, as TensorFlow's NASCell",
    recurrent=("weight_hh",),
)
"""With x_k = W_k x + b_k and u_k = U_k h, k = 0 ... 7:

p = tanh(σ(x_0 + u_0) ∘ relu(x_1 + u_1)),  q = tanh(σ(x_2 + u_2) + relu(x_3 ∘ u_3)),
r = tanh(tanh(x_4 + u_4) ∘ σ(x_5 + u_5)),  s = σ(tanh(x_6 + u_6) + σ(x_7 + u_7)),
c' = tanh(p + c) ∘ q,  h' = tanh(c' ∘ tanh(r + s)),  y = h'.

Shapes: weight_ih (8H, D), weight_hh (8H, H), bias (8H,); state (h, c). 8H(D + H + 1) parameters.

Where frameworks differ: TensorFlow multiplies x_3 and u_3, torchrecurrent adds them.
"""


def init_rhn(rng: Rng, D: int, H: int, *, depth: int = 3) -> tuple[dict[str, Array], Array]:
    """weight_ih (2H, D), weight_hh and bias of each micro-step, uniform in ±1/sqrt(H), transform bias −2; zeros."""
    import numpy as np

    bound = H**-0.5
    bias = np.zeros((depth, 2 * H))
    bias[:, H:] = -2.0
    params = {
        "weight_ih": rng.uniform(-bound, bound, (2 * H, D)),
        "weight_hh": rng.uniform(-bound, bound, (depth, 2 * H, H)),
        "bias": bias,
    }
    return params, np.zeros(H)


def project_rhn(ops: Any, params: Params, xs: Array) -> Array:
    """W x_t, both gates: xs_TBD -> (T, B, 2H)."""
    del ops
    return xs @ params["weight_ih"].T


def step_rhn(ops: Any, params: Params, s: Array, z: Array, *, depth: int) -> tuple[Array, Array]:
    """(s_BH, (B, 2H)) -> (s', s'): `depth` micro-steps, the input in the first."""
    for micro in range(depth):
        mixed = s @ params["weight_hh"][micro].T + params["bias"][micro]
        h, t = pieces(mixed + z if micro == 0 else mixed, 2)
        s = s + ops.sigmoid(t) * (ops.tanh(h) - s)
    return s, s


rhn = Cell(
    name="rhn",
    init=init_rhn,
    step=step_rhn,
    project=project_rhn,
    source="Zilly et al. 2016, arXiv:1607.03474, the recurrent highway layer (RHN) with coupled gates",
    options={"depth": 3},
    recurrent=("weight_hh",),
)
"""s_0 = h;  for l = 1 ... depth:  ĥ = tanh([l = 1] W_H x + R_H,l s + b_H,l),  t = σ([l = 1] W_T x + R_T,l s + b_T,l),
s_l = t ∘ ĥ + (1 − t) ∘ s_{l−1};  h' = s_depth,  y = h'.

Shapes: weight_ih (2H, D), rows H, T; weight_hh (depth, 2H, H), bias (depth, 2H); state (H,).
2H(D + depth·(H + 1)) parameters. t = 0 copies exactly.

Where frameworks differ: gates coupled, c = 1 − t, as here, or a third one.
"""


def init_scrn(rng: Rng, D: int, H: int, *, context: int = 16, alpha: float = 0.95) -> tuple[dict[str, Array], Pair]:
    """Matrices uniform in ±1/sqrt of the fan-in; state (h (H,), s (context,)), zeros."""
    import numpy as np

    del alpha
    params = {
        "weight_ih": matrix(rng, H, D),
        "weight_hh": matrix(rng, H, H),
        "weight_context": matrix(rng, context, D),
        "weight_hs": matrix(rng, H, context),
    }
    return params, (np.zeros(H), np.zeros(context))


def project_scrn(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(A x (T, B, H), B x (T, B, context))."""
    del ops
    return xs @ params["weight_ih"].T, xs @ params["weight_context"].T


def step_scrn(ops: Any, params: Params, state: Pair, z: tuple[Array, Array], *, alpha: float) -> tuple[Pair, Array]:
    """((h_BH, s), (A x, B x)) -> ((h', s'), [h', s'])."""
    h, s = state
    driven, content = z
    s = (1 - alpha) * content + alpha * s
    h = ops.sigmoid(s @ params["weight_hs"].T + driven + h @ params["weight_hh"].T)
    return (h, s), ops.concat([h, s], axis=-1)


scrn = Cell(
    name="scrn",
    init=init_scrn,
    step=step_scrn,
    project=project_scrn,
    source="Mikolov et al. 2014, arXiv:1412.7753, the structurally constrained recurrent network (SCRN)",
    options={"context": 16, "alpha": 0.95},
    output_size=lambda _, H, *, context: H + context,
    recurrent=("weight_hh",),
)
"""s' = (1 − α) B x + α s,  h' = σ(P s' + A x + R h),  y = [h', s'], of which a linear head makes U h + V s.

Shapes: weight_ih = A (H, D), weight_hh = R (H, H), weight_context = B (context, D), weight_hs = P (H, context); state
(h, s). H(D + H + context) + context·D parameters. s is an exponential moving average: α^n exactly.

Where frameworks differ: torchrecurrent feeds y = tanh(U h + V s) back as h and trains α.
"""
