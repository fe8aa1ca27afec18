"""Cells whose units recur on themselves alone: indrnn, sru, brc, nbrc, qrnn, gilr, trnn."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params
from rnnbench_cells.affine import matrix, pieces, project
from rnnbench_cells.initial import Rng


def init_indrnn(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """weight_ih uniform in ±1/sqrt(D), u uniform in (0, 1), bias 0; state zeros (H,)."""
    import numpy as np

    return {"weight_ih": matrix(rng, H, D), "bias": np.zeros(H), "u": rng.uniform(0, 1, H)}, np.zeros(H)


def step_indrnn(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """(h_BH, z_BH) -> (h', h')."""
    h = ops.relu(z + params["u"] * h)
    return h, h


indrnn = Cell(
    name="indrnn",
    init=init_indrnn,
    step=step_indrnn,
    project=project,
    source="Li et al. 2018, arXiv:1803.04831, the update of the IndRNN",
    recurrence="elementwise",
)
"""h' = max(0, W x + u ∘ h + b),  y = h'.

Shapes: weight_ih (H, D), bias, u (H,); state h (H,). H(D + 2) parameters. While a unit is active, dh_T/dh_t = u^(T−t).

Where frameworks differ: torchrecurrent has two biases, and a tanh unless `nonlinearity=relu` is asked for; the paper
clips |u| at a bound for the longest sequence.
"""


def init_sru(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """Four rows of inputs uniform in ±1/sqrt(D), v uniform in ±1/sqrt(H), bias 0; state zeros (H,)."""
    import numpy as np

    bound = H**-0.5
    params = {
        "weight_ih": matrix(rng, 4 * H, D),
        "bias": np.zeros(2 * H),
        "v_f": rng.uniform(-bound, bound, H),
        "v_r": rng.uniform(-bound, bound, H),
    }
    return params, np.zeros(H)


def project_sru(ops: Any, params: Params, xs: Array) -> tuple[Array, Array, Array, Array]:
    """(W_f x + b_f, W_r x + b_r, W x, W_h x), each (T, B, H)."""
    del ops
    H = params["v_f"].shape[0]
    f, r, content, highway = pieces(xs @ params["weight_ih"].T, 4)
    return f + params["bias"][:H], r + params["bias"][H:], content, highway


def step_sru(ops: Any, params: Params, c: Array, z: tuple[Array, ...]) -> tuple[Array, Array]:
    """(c_BH, four of (B, H)) -> (c', y)."""
    f, r, content, highway = z
    f = ops.sigmoid(f + params["v_f"] * c)
    r = ops.sigmoid(r + params["v_r"] * c)
    c = content + f * (c - content)
    return c, highway + r * (c - highway)


sru = Cell(
    name="sru",
    init=init_sru,
    step=step_sru,
    project=project_sru,
    source="Lei et al. 2018, arXiv:1709.02755v5, light recurrence and highway of the second version",
    recurrence="elementwise",
)
"""f = σ(W_f x + v_f ∘ c + b_f),  r = σ(W_r x + v_r ∘ c + b_r),  c' = f ∘ c + (1 − f) ∘ W x,

y = r ∘ c' + (1 − r) ∘ W_h x.

Shapes: weight_ih (4H, D), rows f, r, c, highway; bias (2H,), v_f, v_r (H,); state c (H,). 4H(D + 1) parameters.

Where frameworks differ: the first version has no v (then it is linear in c). The highway carries x itself, scaled,
where D = H; here it always has a projection. r sees the old c, as in the paper's second version.
"""


def init_brc(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """Three rows of inputs uniform in ±1/sqrt(D), w_a, w_c uniform in ±1/sqrt(H), bias 0; state zeros (H,)."""
    import numpy as np

    bound = H**-0.5
    params = {"weight_ih": matrix(rng, 3 * H, D), "bias": np.zeros(3 * H)}
    return params | {name: rng.uniform(-bound, bound, H) for name in ("w_a", "w_c")}, np.zeros(H)


def init_nbrc(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """As `init_brc` with matrices weight_a, weight_c (H, H)."""
    import numpy as np

    params = {"weight_ih": matrix(rng, 3 * H, D), "bias": np.zeros(3 * H)}
    return params | {name: matrix(rng, H, H) for name in ("weight_a", "weight_c")}, np.zeros(H)


def _bistable(ops: Any, h: Array, z: Array, of_a: Array, of_c: Array) -> tuple[Array, Array]:
    a, c, driven = pieces(z, 3)
    candidate = ops.tanh(driven + (1 + ops.tanh(a + of_a)) * h)
    h = candidate + ops.sigmoid(c + of_c) * (h - candidate)
    return h, h


def step_brc(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """(h_BH, (B, 3H)) -> (h', h')."""
    return _bistable(ops, h, z, params["w_a"] * h, params["w_c"] * h)


def step_nbrc(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """(h_BH, (B, 3H)) -> (h', h')."""
    return _bistable(ops, h, z, h @ params["weight_a"].T, h @ params["weight_c"].T)


_BRC = "Vecoven, Ernst & Drion 2020, arXiv:2006.05252, the"
brc = Cell("brc", init_brc, step_brc, project, source=f"{_BRC} bistable cell (BRC)", recurrence="elementwise")
"""a = 1 + tanh(W_a x + w_a ∘ h + b_a),  c = σ(W_c x + w_c ∘ h + b_c),  h' = c ∘ h + (1 − c) ∘ tanh(W x + a ∘ h + b).

Shapes: weight_ih (3H, D), bias (3H,), rows a, c, h; w_a, w_c (H,); state h (H,), y = h'. H(3D + 5) parameters. Without
inputs h = tanh(a h) has one fixed point for a <= 1 and three for a > 1: a unit is bistable.

Where frameworks differ: the paper has no biases.
"""
nbrc = Cell(
    "nbrc",
    init_nbrc,
    step_nbrc,
    project,
    source=f"{_BRC} neuromodulated cell (nBRC)",
    recurrent=("weight_a", "weight_c"),
)
"""As `brc` with matrices: a = 1 + tanh(W_a x + U_a h + b_a),  c = σ(W_c x + U_c h + b_c).  H(3D + 2H + 3) parameters.

Where frameworks differ: the paper has no biases.
"""


def init_qrnn(rng: Rng, D: int, H: int, *, width: int = 2) -> tuple[dict[str, Array], Array]:
    """A kernel (width, 3H, D) uniform in ±1/sqrt(width·D), bias 0; state zeros (H,)."""
    import numpy as np

    bound = (width * D) ** -0.5
    return {"kernel": rng.uniform(-bound, bound, (width, 3 * H, D)), "bias": np.zeros(3 * H)}, np.zeros(H)


def project_qrnn(ops: Any, params: Params, xs: Array, *, past: tuple[Array, ...]) -> tuple[Array, Array, Array]:
    """(f, (1 − f) ∘ z, o), each (T, B, H), by a causal convolution."""
    mixed = params["bias"]
    for lag, x in enumerate((xs, *past)):
        mixed = mixed + x @ params["kernel"][lag].T
    z, f, o = pieces(mixed, 3)
    f = ops.sigmoid(f)
    return f, (1 - f) * ops.tanh(z), ops.sigmoid(o)


def linear_qrnn(ops: Any, params: Params, zs: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    """(f, (1 − f) ∘ z)."""
    del ops, params
    return zs[0], zs[1]


def output_qrnn(ops: Any, params: Params, hs: Array, zs: tuple[Array, Array, Array]) -> Array:
    """y = o ∘ c."""
    del ops, params
    return zs[2] * hs


qrnn = Cell(
    name="qrnn",
    init=init_qrnn,
    project=project_qrnn,
    linear=linear_qrnn,
    output=output_qrnn,
    source="Bradbury et al. 2016, arXiv:1611.01576, masked convolution and fo-pooling",
    options={"width": 2},
    lookback=lambda *, width: width - 1,
)
"""z = tanh(W_z ∗ x + b_z),  f = σ(W_f ∗ x + b_f),  o = σ(W_o ∗ x + b_o),  c' = f ∘ c + (1 − f) ∘ z,  y = o ∘ c'.

∗ is a causal convolution over `width` inputs. Shapes: kernel (width, 3H, D), kernel[k] multiplies x_{t−k}, rows z, f,
o; bias (3H,); state c (H,). 3H(width·D + 1) parameters.

Where frameworks differ: the order of the taps; f-pooling without o, ifo-pooling with an input gate of its own.
"""


def init_gilr(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """weight_ih (2H, D) uniform in ±1/sqrt(D), bias 0; state zeros (H,)."""
    import numpy as np

    return {"weight_ih": matrix(rng, 2 * H, D), "bias": np.zeros(2 * H)}, np.zeros(H)


def project_gilr(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(g, (1 − g) ∘ i), both (T, B, H)."""
    g, i = pieces(project(ops, params, xs), 2)
    g = ops.sigmoid(g)
    return g, (1 - g) * ops.tanh(i)


def project_trnn(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(f, (1 − f) ∘ z), both (T, B, H)."""
    f, z = pieces(project(ops, params, xs), 2)
    f = ops.sigmoid(f)
    return f, (1 - f) * z


def linear_pair(ops: Any, params: Params, zs: tuple[Array, Array]) -> tuple[Array, Array]:
    """h' = a ∘ h + b with the (a, b) that `project` made."""
    del ops, params
    return zs


gilr = Cell(
    name="gilr",
    init=init_gilr,
    project=project_gilr,
    linear=linear_pair,
    source="Martin & Cundy 2018, arXiv:1709.04057, the gated impulse linear recurrent layer (GILR)",
)
"""g = σ(W_g x + b_g),  i = tanh(W_i x + b_i),  h' = g ∘ h + (1 − g) ∘ i,  y = h'.

Shapes: weight_ih (2H, D), bias (2H,), rows g, i; state h (H,). 2H(D + 1) parameters.

Where frameworks differ: the paper leaves the nonlinearity τ of i open.
"""
trnn = Cell(
    name="trnn",
    init=init_gilr,
    project=project_trnn,
    linear=linear_pair,
    source="Balduzzi & Ghifary 2016, arXiv:1602.02218, the strongly typed RNN (T-RNN)",
)
"""z = W_z x + b_z,  f = σ(W_f x + b_f),  h' = f ∘ h + (1 − f) ∘ z,  y = h'.

Shapes: weight_ih (2H, D), bias (2H,), rows f, z; state h (H,). 2H(D + 1) parameters. It is `mingru` with the rows of
the gate negated, for σ(−k) = 1 − σ(k).

Where frameworks differ: the paper has no b_z.
"""
