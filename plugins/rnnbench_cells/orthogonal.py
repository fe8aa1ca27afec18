"""Recurrent matrices that neither grow nor shrink: exprnn, scornn, ornn; and esn, whose weights are never trained."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params
from rnnbench_cells.affine import project as affine
from rnnbench_cells.initial import Rng
from rnnbench_cells.matrices import expm, eye_like


def modrelu(ops: Any, x: Array, bias: Array) -> Array:
    """sign(x)·max(0, |x| + b) (modReLU of Arjovsky, Shah & Bengio 2016, arXiv:1511.06464), of real x."""
    return ops.sign(x) * ops.relu(ops.abs(x) + bias)


def _rotations(rng: Rng, H: int) -> Array:
    """Upper triangle of a skew matrix of 2 × 2 blocks with angles uniform in ±π (Henaff et al. 2016)."""
    import numpy as np

    A = np.zeros((H, H))
    for k in range(0, H - 1, 2):
        A[k, k + 1] = rng.uniform(-np.pi, np.pi)
    return A


def init_exprnn(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """weight_ih N(0, 1/D), A of 2 × 2 rotations, modrelu bias uniform in ±0.01; state zeros (H,)."""
    import numpy as np

    params = {
        "weight_ih": rng.normal(0, D**-0.5, (H, D)),
        "skew": _rotations(rng, H),
        "bias": rng.uniform(-0.01, 0.01, H),
    }
    return params, np.zeros(H)


def derive_exprnn(ops: Any, params: Params) -> Params:
    """U = exp(A − Aᵀ)."""
    return {"rotation": expm(ops, params["skew"] - params["skew"].T)}


def project(ops: Any, params: Params, xs: Array) -> Array:
    """W x_t: xs_TBD -> (T, B, H)."""
    del ops
    return xs @ params["weight_ih"].T


def step_rotation(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """h' = modrelu(z + U h)."""
    h = modrelu(ops, z + h @ params["rotation"].T, params["bias"])
    return h, h


exprnn = Cell(
    name="exprnn",
    init=init_exprnn,
    step=step_rotation,
    project=project,
    derive=derive_exprnn,
    source="Lezcano-Casado & Martínez-Rubio 2019, arXiv:1901.08428, the exponential RNN (expRNN)",
)
"""U = exp(A − Aᵀ),  h' = modrelu(W x + U h; b),  y = h',  modrelu(x; b) = sign(x) max(0, |x| + b).

Shapes: weight_ih (H, D), skew = A (H, H), bias (H,); state h (H,). H(D + H + 1) parameters, of which H(H + 1)/2 have no
effect. det U = 1, U Uᵀ = I: with x = 0, b = 0 the norm of h is kept.

Where frameworks differ: the released code moves the base point of the exponential during training (dynamic
trivialisation), which is another optimiser, not another function.
"""


def init_scornn(rng: Rng, D: int, H: int, *, negatives: float = 0.5) -> tuple[dict[str, Array], Array]:
    """As `init_exprnn`, angles through the Cayley transform; D has a share `negatives` of −1 and is not trained."""
    import numpy as np

    params, state = init_exprnn(rng, D, H)
    params["skew"] = np.tan(params["skew"] / 4)
    signs = np.where(np.arange(H) < round(negatives * H), -1.0, 1.0)
    return params | {"signs": signs}, state


def derive_scornn(ops: Any, params: Params) -> Params:
    """U = (I + S)⁻¹ (I − S) D with S = A − Aᵀ."""
    S = params["skew"] - params["skew"].T
    unit = eye_like(ops, S)
    return {"rotation": ops.linalg.solve(unit + S, unit - S) * params["signs"]}


scornn = Cell(
    name="scornn",
    init=init_scornn,
    step=step_rotation,
    project=project,
    derive=derive_scornn,
    source="Helfrich, Willmott & Ye 2018, arXiv:1707.09520, the scaled Cayley transform (scoRNN)",
    options={"negatives": 0.5},
    frozen=("signs",),
)
"""S = A − Aᵀ,  U = (I + S)⁻¹ (I − S) D,  D = diag(±1),  h' = modrelu(W x + U h; b),  y = h'.

Shapes: weight_ih (H, D), skew = A (H, H), bias (H,), signs (H,), not trained; state h (H,). H(D + H + 1) parameters, of
which H(H + 1)/2 have no effect. U Uᵀ = I, det U = the product of the signs.

Where frameworks differ: the paper trains the triangle of A alone; D is drawn once.
"""


def init_ornn(rng: Rng, D: int, H: int, *, reflections: int = 8) -> tuple[dict[str, Array], Array]:
    """weight_ih N(0, 1/D), standard normal reflection vectors, bias 0; state zeros (H,)."""
    import numpy as np

    params = {
        "weight_ih": rng.normal(0, D**-0.5, (H, D)),
        "reflections": rng.standard_normal((reflections, H)),
        "bias": np.zeros(H),
    }
    return params, np.zeros(H)


def derive_ornn(ops: Any, params: Params, *, reflections: int) -> Params:
    """U = ∏_k (I − 2 v_k v_kᵀ / |v_k|²)."""
    V = params["reflections"]
    U = eye_like(ops, V[:1].T @ V[:1])
    for k in range(reflections):
        v = V[k : k + 1]
        U = U - (2 / ops.sum(v * v)) * (U @ v.T) @ v
    return {"rotation": U}


def step_ornn(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """h' = tanh(z + U h + b)."""
    h = ops.tanh(z + h @ params["rotation"].T + params["bias"])
    return h, h


ornn = Cell(
    name="ornn",
    init=init_ornn,
    step=step_ornn,
    project=project,
    derive=derive_ornn,
    source="Mhammedi et al. 2017, arXiv:1612.00188, products of Householder reflections (oRNN)",
    options={"reflections": 8},
)
"""U = ∏_k (I − 2 v_k v_kᵀ / |v_k|²),  h' = tanh(W x + U h + b),  y = h'.

Shapes: weight_ih (H, D), reflections (reflections, H), bias (H,); state h (H,). H(D + reflections + 1) parameters.
U Uᵀ = I, det U = (−1)^reflections. From H reflections on, every orthogonal matrix of that sign can be had.

Where frameworks differ: the paper's v_k have zeros before place k; it uses a leaky ReLU for some tasks.
"""


def init_esn(
    rng: Rng, D: int, H: int, *, radius: float = 0.9, leak: float = 1.0, scale: float = 1.0, density: float = 1.0
) -> tuple[dict[str, Array], Array]:
    """W uniform in ±scale, U a share `density` of uniform entries scaled to the spectral radius, bias 0; all frozen."""
    import numpy as np

    del leak
    U = rng.uniform(-1, 1, (H, H)) * (rng.uniform(size=(H, H)) < density)
    largest = np.abs(np.linalg.eigvals(U)).max()
    params = {
        "weight_ih": rng.uniform(-scale, scale, (H, D)),
        "weight_hh": U * (radius / largest if largest else 1.0),
        "bias": np.zeros(H),
    }
    return params, np.zeros(H)


def step_esn(ops: Any, params: Params, h: Array, z: Array, *, leak: float) -> tuple[Array, Array]:
    """(h_BH, z_BH) -> (h', h')."""
    h = h + leak * (ops.tanh(z + h @ params["weight_hh"].T) - h)
    return h, h


esn = Cell(
    name="esn",
    init=init_esn,
    step=step_esn,
    project=affine,
    source="Jaeger 2001, GMD report 148, the state update; leaky: Jaeger et al. 2007, doi:10.1016/j.neunet.2007.04.016",
    options={"radius": 0.9, "leak": 1.0, "scale": 1.0, "density": 1.0},
    frozen=("weight_ih", "weight_hh", "bias"),
)
"""h' = (1 − a) h + a tanh(W x + U h + b),  y = h', with W, U, b as they were drawn: an echo state network.

Shapes: weight_ih (H, D), weight_hh (H, H), bias (H,), all frozen; state h (H,). No parameter is trained but those of a
head. At a = 1 it is `rnn` with other initial weights.

Where frameworks differ: feedback from the output is left out; how W is scaled, and how sparse U is, is everyone's own.
"""
