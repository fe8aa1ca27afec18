"""Relatives of the GRU: the reset before the product, one gate instead of two, an update gate alone."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params
from rnnbench_cells.affine import gated, matrix, pieces, project
from rnnbench_cells.initial import Rng


def init_gru_v3(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """Uniform in ±1/sqrt(H); state zeros (H,)."""
    import numpy as np

    return gated(rng, 3, D, H), np.zeros(H)


def step_gru_v3(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """(h_BH, z (B, 3H)) -> (h', h')."""
    H = h.shape[-1]
    gates = ops.sigmoid(z[..., : 2 * H] + h @ params["weight_hh"][: 2 * H].T)
    r, update = pieces(gates, 2)
    n = ops.tanh(z[..., 2 * H :] + (r * h) @ params["weight_hh"][2 * H :].T)
    h = n + update * (h - n)
    return h, h


gru_v3 = Cell(
    name="gru_v3",
    init=init_gru_v3,
    step=step_gru_v3,
    project=project,
    source="Cho et al. 2014, arXiv:1406.1078, equations 5-8: reset before the product",
    recurrent=("weight_hh",),
)
"""r, z = σ(W x + U h + b),  n = tanh(W_n x + U_n (r ∘ h) + b_n),  h' = (1 − z) ∘ n + z ∘ h,  y = h'.

Shapes: weight_ih (3H, D), weight_hh (3H, H), bias (3H,), rows r, z, n; state h (H,). 3H(D + H + 1) parameters.

Where frameworks differ: Haiku, memax and Keras with `reset_after=False` compute this one; `gru`, torch, cuDNN, Flax and
Equinox put r after the product. Where U_n = 0 both agree. Haiku's z replaces the state.
"""


def init_mgu(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """Uniform in ±1/sqrt(H); state zeros (H,)."""
    import numpy as np

    return gated(rng, 2, D, H), np.zeros(H)


def step_mgu(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """(h_BH, z (B, 2H)) -> (h', h')."""
    H = h.shape[-1]
    f = ops.sigmoid(z[..., :H] + h @ params["weight_hh"][:H].T)
    candidate = ops.tanh(z[..., H:] + (f * h) @ params["weight_hh"][H:].T)
    h = h + f * (candidate - h)
    return h, h


mgu = Cell(
    name="mgu",
    init=init_mgu,
    step=step_mgu,
    project=project,
    source="Zhou et al. 2016, arXiv:1603.09420, the minimal gated unit (MGU)",
    recurrent=("weight_hh",),
)
"""f = σ(W_f x + U_f h + b_f),  h̃ = tanh(W_h x + U_h (f ∘ h) + b_h),  h' = (1 − f) ∘ h + f ∘ h̃,  y = h'.

Shapes: weight_ih (2H, D), weight_hh (2H, H), bias (2H,), rows f, h̃; state h (H,). 2H(D + H + 1) parameters.

Where frameworks differ: Flax's linen.MGUCell computes (1 − f) ∘ h̃ + f ∘ h with the gate after the product, another
function; torchrecurrent has two biases per gate.
"""


def init_ugrnn(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """Uniform in ±1/sqrt(H); state zeros (H,)."""
    import numpy as np

    return gated(rng, 2, D, H), np.zeros(H)


def step_ugrnn(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """(h_BH, z (B, 2H)) -> (h', h')."""
    g, c = pieces(z + h @ params["weight_hh"].T, 2)
    c = ops.tanh(c)
    h = c + ops.sigmoid(g) * (h - c)
    return h, h


ugrnn = Cell(
    name="ugrnn",
    init=init_ugrnn,
    step=step_ugrnn,
    project=project,
    source="Collins, Sohl-Dickstein & Sussillo 2017, arXiv:1611.09913, the update gate RNN (UGRNN)",
    recurrent=("weight_hh",),
)
"""g = σ(W_g x + U_g h + b_g),  c = tanh(W_c x + U_c h + b_c),  h' = g ∘ h + (1 − g) ∘ c,  y = h'.

Shapes: weight_ih (2H, D), weight_hh (2H, H), bias (2H,), rows g, c; state h (H,). 2H(D + H + 1) parameters. With g = 1
a unit keeps its value and its gradient.

Where frameworks differ: torchrecurrent orders the rows c, g; the paper adds 1 to b_g.
"""


def init_minimalrnn(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """Uniform in ±1/sqrt of the fan-in; state zeros (H,)."""
    import numpy as np

    params = {
        "weight_ih": matrix(rng, H, D),
        "bias": np.zeros(H),
        "weight_hh": matrix(rng, H, H),
        "weight_mu": matrix(rng, H, H),
        "bias_u": np.zeros(H),
    }
    return params, np.zeros(H)


def project_minimalrnn(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(m_t, V m_t + b_u), both (T, B, H): neither depends on the state."""
    m = ops.tanh(project(ops, params, xs))
    return m, m @ params["weight_mu"].T + params["bias_u"]


def step_minimalrnn(ops: Any, params: Params, h: Array, z: tuple[Array, Array]) -> tuple[Array, Array]:
    """(h_BH, (m, V m + b_u)) -> (h', h')."""
    m, driven = z
    u = ops.sigmoid(driven + h @ params["weight_hh"].T)
    h = m + u * (h - m)
    return h, h


minimalrnn = Cell(
    name="minimalrnn",
    init=init_minimalrnn,
    step=step_minimalrnn,
    project=project_minimalrnn,
    source="Chen 2017, arXiv:1711.06788, the update of the MinimalRNN",
    recurrent=("weight_hh",),
)
"""m = tanh(W x + b),  u = σ(U h + V m + b_u),  h' = u ∘ h + (1 − u) ∘ m,  y = h'.

Shapes: weight_ih (H, D), weight_hh = U and weight_mu = V (H, H), bias, bias_u (H,); state h (H,). H(D + 2H + 2)
parameters. With a constant u this is an exponential moving average of m.

Where frameworks differ: the paper leaves Φ(x) open; tanh of a linear layer is what it runs.
"""
