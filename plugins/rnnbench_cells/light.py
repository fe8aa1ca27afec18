"""Cells with fewer gates or none of the LSTM's second tanh: janet, cfn, fastrnn, fastgrnn, ran, atr, ligru, star."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params
from rnnbench_cells.affine import gated, matrix, pieces, project
from rnnbench_cells.initial import Rng


def init_two_gates(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """weight_ih (2H, D), weight_hh (2H, H), bias (2H,), uniform in ±1/sqrt(H); state zeros (H,)."""
    import numpy as np

    return gated(rng, 2, D, H), np.zeros(H)


def init_janet(rng: Rng, D: int, H: int, *, beta: float = 1.0) -> tuple[dict[str, Array], Array]:
    """As `init_two_gates`; beta is a constant."""
    del beta
    return init_two_gates(rng, D, H)


def step_janet(ops: Any, params: Params, c: Array, z: Array, *, beta: float) -> tuple[Array, Array]:
    """(c_BH, z (B, 2H)) -> (c', c')."""
    s, g = pieces(z + c @ params["weight_hh"].T, 2)
    c = ops.sigmoid(s) * c + ops.sigmoid(beta - s) * ops.tanh(g)  # 1 − σ(s − β) = σ(β − s)
    return c, c


janet = Cell(
    name="janet",
    init=init_janet,
    step=step_janet,
    project=project,
    source="van der Westhuizen & Lasenby 2018, arXiv:1804.04849, the JANET cell",
    options={"beta": 1.0},
    recurrent=("weight_hh",),
)
"""s = W_f x + U_f c + b_f,  c̃ = tanh(W_c x + U_c c + b_c),  c' = σ(s) ∘ c + (1 − σ(s − β)) ∘ c̃,  y = c'.

Shapes: weight_ih (2H, D), weight_hh (2H, H), bias (2H,), rows s, c̃; state c (H,). 2H(D + H + 1) parameters. As
β → −∞ nothing is written: c' = σ(s) ∘ c.

Where frameworks differ: β is a constant here and in the paper, a trained parameter in torchrecurrent, which also keeps
h and c as two equal arrays. The paper starts b_f by the longest expected dependency (chrono initialisation).
"""


def init_cfn(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """As `init_two_gates`, and weight_x (H, D); state zeros (H,)."""
    params, state = init_two_gates(rng, D, H)
    return params | {"weight_x": matrix(rng, H, D)}, state


def project_cfn(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(both gates (T, B, 2H), tanh(W x) (T, B, H))."""
    return project(ops, params, xs), ops.tanh(xs @ params["weight_x"].T)


def step_cfn(ops: Any, params: Params, h: Array, z: tuple[Array, Array]) -> tuple[Array, Array]:
    """(h_BH, ((B, 2H), (B, H))) -> (h', h')."""
    gates, driven = z
    keep, write = pieces(ops.sigmoid(gates + h @ params["weight_hh"].T), 2)
    h = keep * ops.tanh(h) + write * driven
    return h, h


cfn = Cell(
    name="cfn",
    init=init_cfn,
    step=step_cfn,
    project=project_cfn,
    source="Laurent & von Brecht 2016, arXiv:1612.06212, the chaos free network (CFN)",
    recurrent=("weight_hh",),
)
"""θ = σ(W_θ x + U_θ h + b_θ),  η = σ(W_η x + U_η h + b_η),  h' = θ ∘ tanh(h) + η ∘ tanh(W x),  y = h'.

Shapes: weight_ih (2H, D), weight_hh (2H, H), bias (2H,), rows θ, η, weight_x (H, D); state h (H,).
H(3D + 2H + 2) parameters. Without inputs |h| falls monotonically, whatever the weights: no chaos.

Where frameworks differ: torchrecurrent adds a bias to W x too; with it |h| need not fall without inputs.
"""


def init_fastrnn(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """One gate of `gated`; alpha −3 and beta 3, of which the sigmoid is taken; state zeros (H,)."""
    import numpy as np

    return gated(rng, 1, D, H) | {"alpha": np.array(-3.0), "beta": np.array(3.0)}, np.zeros(H)


def step_fastrnn(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """(h_BH, z_BH) -> (h', h')."""
    candidate = ops.tanh(z + h @ params["weight_hh"].T)
    h = ops.sigmoid(params["alpha"]) * candidate + ops.sigmoid(params["beta"]) * h
    return h, h


fastrnn = Cell(
    name="fastrnn",
    init=init_fastrnn,
    step=step_fastrnn,
    project=project,
    source="Kusupati et al. 2018, arXiv:1901.02358, the update of FastRNN",
    recurrent=("weight_hh",),
)
"""h̃ = tanh(W x + U h + b),  h' = σ(α) h̃ + σ(β) h,  y = h', with two numbers α, β for the whole layer.

Shapes: weight_ih (H, D), weight_hh (H, H), bias (H,), alpha, beta (); state h (H,). H(D + H + 1) + 2 parameters.

Where frameworks differ: the paper asks for 0 <= α, β <= 1; EdgeML takes the sigmoid of both, as here. Low rank and
sparsity are left out.
"""


def init_fastgrnn(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """One gate of `gated`, shared by both; zeta 1 and nu −4, of which the sigmoid is taken; state zeros (H,)."""
    import numpy as np

    params = gated(rng, 1, D, H) | {"bias_z": np.zeros(H), "zeta": np.array(1.0), "nu": np.array(-4.0)}
    return params, np.zeros(H)


def step_fastgrnn(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """(h_BH, W x + b) -> (h', h')."""
    mixed = z + h @ params["weight_hh"].T
    gate = ops.sigmoid(mixed + params["bias_z"])
    write = ops.sigmoid(params["zeta"]) * (1 - gate) + ops.sigmoid(params["nu"])
    h = write * ops.tanh(mixed) + gate * h
    return h, h


fastgrnn = Cell(
    name="fastgrnn",
    init=init_fastgrnn,
    step=step_fastgrnn,
    project=project,
    source="Kusupati et al. 2018, arXiv:1901.02358, the update of FastGRNN",
    recurrent=("weight_hh",),
)
"""m = W x + U h + b,  z = σ(m + b_z),  h̃ = tanh(m),  h' = (σ(ζ)(1 − z) + σ(ν)) ∘ h̃ + z ∘ h,  y = h'.

Shapes: weight_ih (H, D), weight_hh (H, H), shared by gate and candidate; bias, bias_z (H,), zeta, nu (); state h (H,).
H(D + H + 2) + 2 parameters. At σ(ζ) = 1, σ(ν) = 0 this is `ugrnn` with the rows of both gates tied.

Where frameworks differ: EdgeML adds b_z and b_h to the same product, so that its b_z is b + b_z here. torchrecurrent's
gate z is a tanh unless `nonlinearity=sigmoid` is asked for, another function.
"""


def init_ran(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], tuple[Array, Array]]:
    """Two gates of `gated`, and weight_c (H, D) without a bias; state (h, c), zeros (H,) each."""
    import numpy as np

    return gated(rng, 2, D, H) | {"weight_c": matrix(rng, H, D)}, (np.zeros(H), np.zeros(H))


def project_ran(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(both gates (T, B, 2H), W_c x (T, B, H))."""
    return project(ops, params, xs), xs @ params["weight_c"].T


def step_ran(
    ops: Any, params: Params, state: tuple[Array, Array], z: tuple[Array, Array]
) -> tuple[tuple[Array, Array], Array]:
    """((h_BH, c_BH), ((B, 2H), (B, H))) -> ((h', c'), h')."""
    h, c = state
    gates, content = z
    i, f = pieces(ops.sigmoid(gates + h @ params["weight_hh"].T), 2)
    c = i * content + f * c
    h = ops.tanh(c)
    return (h, c), h


ran = Cell(
    name="ran",
    init=init_ran,
    step=step_ran,
    project=project_ran,
    source="Lee, Levy & Zettlemoyer 2017, arXiv:1705.07393, the recurrent additive network (RAN)",
    recurrent=("weight_hh",),
)
"""c̃ = W_c x,  i, f = σ(W x + U h + b),  c' = i ∘ c̃ + f ∘ c,  h' = tanh(c'),  y = h'.

Shapes: weight_ih (2H, D), weight_hh (2H, H), bias (2H,), rows i, f, weight_c (H, D); state (h, c).
H(3D + 2H + 2) parameters. c is a weighted sum of the contents, with weights i_j ∏ f.

Where frameworks differ: the paper allows h' = c' too.
"""


def init_atr(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """weight_ih (H, D), weight_hh (H, H), uniform in ±1/sqrt of the fan-in, no bias; state zeros (H,)."""
    import numpy as np

    return {"weight_ih": matrix(rng, H, D), "weight_hh": matrix(rng, H, H)}, np.zeros(H)


def project_atr(ops: Any, params: Params, xs: Array) -> Array:
    """p_t = W x_t: xs_TBD -> (T, B, H)."""
    del ops
    return xs @ params["weight_ih"].T


def step_atr(ops: Any, params: Params, h: Array, p: Array) -> tuple[Array, Array]:
    """(h_BH, p_BH) -> (h', h')."""
    q = h @ params["weight_hh"].T
    h = ops.sigmoid(p + q) * p + ops.sigmoid(p - q) * h
    return h, h


atr = Cell(
    name="atr",
    init=init_atr,
    step=step_atr,
    project=project_atr,
    source="Zhang et al. 2018, arXiv:1810.12546, the addition-subtraction twin-gated cell (ATR)",
    recurrent=("weight_hh",),
)
"""p = W x,  q = U h,  h' = σ(p + q) ∘ p + σ(p − q) ∘ h,  y = h'.

Shapes: weight_ih (H, D), weight_hh (H, H); state h (H,). H(D + H) parameters. Where U = 0 it is linear in h, with the
decay σ(p).

Where frameworks differ: torchrecurrent adds two biases, one inside p and one inside q.
"""


def step_ligru(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """(h_BH, z (B, 2H)) -> (h', h')."""
    gate, candidate = pieces(z + h @ params["weight_hh"].T, 2)
    candidate = ops.relu(candidate)
    h = candidate + ops.sigmoid(gate) * (h - candidate)
    return h, h


ligru = Cell(
    name="ligru",
    init=init_two_gates,
    step=step_ligru,
    project=project,
    source="Ravanelli et al. 2018, arXiv:1803.10225, the light GRU (Li-GRU), without its batch normalisation",
    recurrent=("weight_hh",),
)
"""z = σ(W_z x + U_z h + b_z),  h̃ = max(0, W_h x + U_h h + b_h),  h' = z ∘ h + (1 − z) ∘ h̃,  y = h'.

Shapes: weight_ih (2H, D), weight_hh (2H, H), bias (2H,), rows z, h̃; state h (H,). 2H(D + H + 1) parameters.

Where frameworks differ: the paper and SpeechBrain normalise W x over the batch, which no function of one sequence can;
torchrecurrent leaves it out, as here.
"""


def step_star(ops: Any, params: Params, h: Array, z: tuple[Array, Array]) -> tuple[Array, Array]:
    """(h_BH, (W_k x + b_k, tanh(W_z x + b_z))) -> (h', h')."""
    gate, driven = z
    k = ops.sigmoid(gate + h @ params["weight_hh"].T)
    h = ops.tanh(h + k * (driven - h))
    return h, h


def init_star(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """weight_ih (2H, D) and bias (2H,), weight_hh (H, H), uniform in ±1/sqrt of the fan-in; state zeros (H,)."""
    import numpy as np

    params = {"weight_ih": matrix(rng, 2 * H, D), "bias": np.zeros(2 * H), "weight_hh": matrix(rng, H, H)}
    return params, np.zeros(H)


def project_star(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(W_k x + b_k, tanh(W_z x + b_z)), both (T, B, H)."""
    gate, driven = pieces(project(ops, params, xs), 2)
    return gate, ops.tanh(driven)


star = Cell(
    name="star",
    init=init_star,
    step=step_star,
    project=project_star,
    source="Turkoglu et al. 2019, arXiv:1911.11033, the stackable recurrent cell (STAR)",
    recurrent=("weight_hh",),
)
"""k = σ(W_k x + U h + b_k),  z = tanh(W_z x + b_z),  h' = tanh((1 − k) ∘ h + k ∘ z),  y = h'.

Shapes: weight_ih (2H, D), bias (2H,), rows k, z, weight_hh (H, H); state h (H,). H(2D + H + 2) parameters. |h| < 1.

Where frameworks differ: not known to.
"""
