"""Discretised differential equations: antisymmetric, cornn, unicornn, lem, lipschitz, cfc, ltc."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params
from rnnbench_cells.affine import matrix, pieces, project
from rnnbench_cells.initial import Rng
from rnnbench_cells.matrices import eye_like

Pair = tuple[Array, Array]


def init_antisymmetric(
    rng: Rng, D: int, H: int, *, epsilon: float = 0.1, gamma: float = 0.01
) -> tuple[dict[str, Array], Array]:
    """weight_ih N(0, 1/D), weight_hh N(0, 1/H), bias 0; state zeros (H,)."""
    import numpy as np

    del epsilon, gamma
    params = {
        "weight_ih": rng.normal(0, D**-0.5, (H, D)),
        "weight_hh": rng.normal(0, H**-0.5, (H, H)),
        "bias": np.zeros(H),
    }
    return params, np.zeros(H)


def init_antisymmetric_gated(
    rng: Rng, D: int, H: int, *, epsilon: float = 0.1, gamma: float = 0.01
) -> tuple[dict[str, Array], Array]:
    """As `init_antisymmetric` with a second set of rows for the gate."""
    import numpy as np

    params, state = init_antisymmetric(rng, D, H, epsilon=epsilon, gamma=gamma)
    return params | {"weight_ih": rng.normal(0, D**-0.5, (2 * H, D)), "bias": np.zeros(2 * H)}, state


def derive_antisymmetric(ops: Any, params: Params, *, gamma: float) -> Params:
    """W − Wᵀ − γ I."""
    W = params["weight_hh"]
    return {"skew": W - W.T - gamma * eye_like(ops, W)}


def step_antisymmetric(ops: Any, params: Params, h: Array, z: Array, *, epsilon: float) -> tuple[Array, Array]:
    """(h_BH, z_BH) -> (h', h')."""
    h = h + epsilon * ops.tanh(z + h @ params["skew"].T)
    return h, h


def step_antisymmetric_gated(ops: Any, params: Params, h: Array, z: Array, *, epsilon: float) -> tuple[Array, Array]:
    """(h_BH, (B, 2H)) -> (h', h')."""
    candidate, gate = pieces(z, 2)
    turned = h @ params["skew"].T
    h = h + epsilon * ops.sigmoid(gate + turned) * ops.tanh(candidate + turned)
    return h, h


_CHANG = "Chang et al. 2019, arXiv:1902.09689, the Euler step with diffusion of the AntisymmetricRNN"
_STABLE = {"epsilon": 0.1, "gamma": 0.01}
antisymmetric = Cell(
    "antisymmetric",
    init_antisymmetric,
    step_antisymmetric,
    project,
    derive=derive_antisymmetric,
    source=_CHANG,
    options=_STABLE,
)
"""h' = h + ε tanh((W − Wᵀ − γ I) h + V x + b),  y = h'.

Shapes: weight_ih = V (H, D), weight_hh = W (H, H), bias (H,); state h (H,). H(D + H + 1) parameters. At h = 0 and γ = 0
the Jacobian is I + ε(W − Wᵀ): its singular values are sqrt(1 + ε² λ²), λ the moduli of the eigenvalues of W − Wᵀ.

Where frameworks differ: half of W has no effect of its own; some store a triangle.
"""
antisymmetric_gated = Cell(
    "antisymmetric_gated",
    init_antisymmetric_gated,
    step_antisymmetric_gated,
    project,
    derive=derive_antisymmetric,
    source=f"{_CHANG}, gated",
    options=_STABLE,
)
"""M = W − Wᵀ − γ I,  z = σ(M h + V_z x + b_z),  h' = h + ε z ∘ tanh(M h + V_h x + b_h),  y = h'.

Shapes: weight_ih (2H, D), rows h, z, weight_hh (H, H), shared, bias (2H,); state h (H,). H(2D + H + 2) parameters. With
z = 1 it is `antisymmetric`.

Where frameworks differ: not known to.
"""


def init_cornn(
    rng: Rng, D: int, H: int, *, dt: float = 0.05, gamma: float = 1.0, epsilon: float = 1.0
) -> tuple[dict[str, Array], Pair]:
    """weight_ih (H, D), weight_hh (H, 2H) on [y, z], uniform in ±1/sqrt of the fan-in; state (y, v), zeros (H,)."""
    import numpy as np

    del dt, gamma, epsilon
    params = {"weight_ih": matrix(rng, H, D), "weight_hh": matrix(rng, H, 2 * H), "bias": np.zeros(H)}
    return params, (np.zeros(H), np.zeros(H))


def step_cornn(
    ops: Any, params: Params, state: Pair, z: Array, *, dt: float, gamma: float, epsilon: float
) -> tuple[Pair, Array]:
    """((y_BH, v_BH), z_BH) -> ((y', v'), y')."""
    y, v = state
    force = ops.tanh(z + ops.concat([y, v], axis=-1) @ params["weight_hh"].T)
    v = v + dt * (force - gamma * y - epsilon * v)
    y = y + dt * v
    return (y, v), y


cornn = Cell(
    name="cornn",
    init=init_cornn,
    step=step_cornn,
    project=project,
    source="Rusch & Mishra 2021, arXiv:2010.00951, the IMEX scheme of the coRNN, old velocity in the damping",
    options={"dt": 0.05, "gamma": 1.0, "epsilon": 1.0},
    recurrent=("weight_hh",),
)
"""v' = v + Δ (tanh(W y + V v + B x + b) − γ y − ε v),  y' = y + Δ v',  y = y': coupled oscillators.

Shapes: weight_ih = B (H, D), weight_hh = [W, V] (H, 2H), bias (H,); state (y, v), (H,) each. H(D + 2H + 1) parameters.
The Jacobian of a step has the determinant det((1 − Δε) I + Δ S V), S = diag tanh′; (1 − Δε)^H at V = 0.

Where frameworks differ: an implicit variant damps with the new velocity, v' = (v + Δ(…))/(1 + Δε); the official code
and torchrecurrent damp with the old one, as here, whatever their docstrings say.
"""


def init_unicornn(rng: Rng, D: int, H: int, *, dt: float = 0.1, alpha: float = 1.0) -> tuple[dict[str, Array], Pair]:
    """weight_ih uniform in ±1/sqrt(D), w uniform in (0, 1), c uniform in ±0.1, bias 0; state (y, v), zeros (H,)."""
    import numpy as np

    del dt, alpha
    params = {
        "weight_ih": matrix(rng, H, D),
        "bias": np.zeros(H),
        "w": rng.uniform(0, 1, H),
        "c": rng.uniform(-0.1, 0.1, H),
    }
    return params, (np.zeros(H), np.zeros(H))


def step_unicornn(ops: Any, params: Params, state: Pair, z: Array, *, dt: float, alpha: float) -> tuple[Pair, Array]:
    """((y_BH, v_BH), z_BH) -> ((y', v'), y')."""
    y, v = state
    size = dt * ops.sigmoid(params["c"])
    v = v - size * (ops.tanh(params["w"] * y + z) + alpha * y)
    y = y + size * v
    return (y, v), y


unicornn = Cell(
    name="unicornn",
    init=init_unicornn,
    step=step_unicornn,
    project=project,
    source="Rusch & Mishra 2021, arXiv:2103.05487, the symplectic Euler step of a layer of UnICORNN",
    options={"dt": 0.1, "alpha": 1.0},
    recurrence="elementwise",
)
"""v' = v − Δσ(c) ∘ (tanh(w ∘ y + V x + b) + α y),  y' = y + Δσ(c) ∘ v',  y = y': undamped oscillators, one per unit.

Shapes: weight_ih = V (H, D), bias, w, c (H,); state (y, v), (H,) each. H(D + 3) parameters. A step is symplectic: the
Jacobian of a unit has the determinant 1 exactly.

Where frameworks differ: the official CUDA code reconstructs the states in its backward pass instead of storing them.
"""


def init_lem(rng: Rng, D: int, H: int, *, dt: float = 1.0) -> tuple[dict[str, Array], Pair]:
    """weight_ih (4H, D), weight_y (3H, H), weight_z (H, H), bias (4H,), uniform in ±1/sqrt(H); state (y, z), zeros."""
    import numpy as np

    del dt
    bound = H**-0.5
    shapes = {"weight_ih": (4 * H, D), "weight_y": (3 * H, H), "weight_z": (H, H), "bias": (4 * H,)}
    params = {name: rng.uniform(-bound, bound, shape) for name, shape in shapes.items()}
    return params, (np.zeros(H), np.zeros(H))


def step_lem(ops: Any, params: Params, state: Pair, z: Array, *, dt: float) -> tuple[Pair, Array]:
    """((y_BH, z_BH), (B, 4H)) -> ((y', z'), y')."""
    y, slow = state
    H = y.shape[-1]
    one, two, driven = pieces(z[..., : 3 * H] + y @ params["weight_y"].T, 3)
    slow = slow + dt * ops.sigmoid(one) * (ops.tanh(driven) - slow)
    y = y + dt * ops.sigmoid(two) * (ops.tanh(slow @ params["weight_z"].T + z[..., 3 * H :]) - y)
    return (y, slow), y


lem = Cell(
    name="lem",
    init=init_lem,
    step=step_lem,
    project=project,
    source="Rusch et al. 2022, arXiv:2110.04744, long expressive memory (LEM), discretised",
    options={"dt": 1.0},
    recurrent=("weight_y", "weight_z"),
)
"""δ_1 = Δσ(W_1 y + V_1 x + b_1),  δ_2 = Δσ(W_2 y + V_2 x + b_2),

z' = (1 − δ_1) ∘ z + δ_1 ∘ tanh(W_z y + V_z x + b_z),  y' = (1 − δ_2) ∘ y + δ_2 ∘ tanh(W_y z' + V_y x + b_y),  y = y'.

Shapes: weight_ih (4H, D), bias (4H,), rows 1, 2, z, y; weight_y (3H, H), rows 1, 2, z, weight_z = W_y (H, H); state
(y, z). 4H(D + H + 1) parameters. Δ = 0 copies.

Where frameworks differ: torchrecurrent 0.2.5 computes y' from the old z, another function: 0.25 off after seven steps.
"""


def init_lipschitz(
    rng: Rng, D: int, H: int, *, epsilon: float = 0.1, beta: float = 0.75, gamma: float = 0.001
) -> tuple[dict[str, Array], Array]:
    """weight_ih N(0, 1/D), M_A and M_W N(0, 1/H), bias 0; state zeros (H,)."""
    import numpy as np

    del epsilon, beta, gamma
    params = {
        "weight_ih": rng.normal(0, D**-0.5, (H, D)),
        "bias": np.zeros(H),
        "M_A": rng.normal(0, H**-0.5, (H, H)),
        "M_W": rng.normal(0, H**-0.5, (H, H)),
    }
    return params, np.zeros(H)


def derive_lipschitz(ops: Any, params: Params, *, beta: float, gamma: float) -> Params:
    """A and W, each (1 − β)(M + Mᵀ) + β(M − Mᵀ) − γ I."""
    found = {}
    for name in ("A", "W"):
        M = params[f"M_{name}"]
        found[name] = (1 - beta) * (M + M.T) + beta * (M - M.T) - gamma * eye_like(ops, M)
    return found


def step_lipschitz(ops: Any, params: Params, h: Array, z: Array, *, epsilon: float) -> tuple[Array, Array]:
    """(h_BH, z_BH) -> (h', h')."""
    h = h + epsilon * (h @ params["A"].T + ops.tanh(h @ params["W"].T + z))
    return h, h


lipschitz = Cell(
    name="lipschitz",
    init=init_lipschitz,
    step=step_lipschitz,
    project=project,
    derive=derive_lipschitz,
    source="Erichson et al. 2021, arXiv:2006.12070, the Lipschitz recurrent unit, Euler steps",
    options={"epsilon": 0.1, "beta": 0.75, "gamma": 0.001},
    recurrent=("M_A", "M_W"),
)
"""A, W = (1 − β)(M + Mᵀ) + β(M − Mᵀ) − γ I,  h' = h + ε (A h + tanh(W h + U x + b)),  y = h'.

Shapes: weight_ih = U (H, D), bias (H,), M_A, M_W (H, H); state h (H,). H(D + 2H + 1) parameters. With a constant drive
and W = 0 it is linear, with the matrix I + ε A.

Where frameworks differ: the repository multiplies rows, h A, which turns the sign of the skew part; β and γ may differ
for A and W there.
"""


def init_cfc(
    rng: Rng, D: int, H: int, *, backbone: int = 32, dt: float = 1.0, gate: bool = True
) -> tuple[dict[str, Array], Array]:
    """Layers uniform in ±1/sqrt of the fan-in, biases 0; state zeros (H,)."""
    import numpy as np

    del dt, gate
    params = {
        "weight_ih": matrix(rng, backbone, D),
        "weight_hh": matrix(rng, backbone, H),
        "bias": np.zeros(backbone),
        "weight_heads": matrix(rng, 4 * H, backbone),
        "bias_heads": np.zeros(4 * H),
    }
    return params, np.zeros(H)


def step_cfc(ops: Any, params: Params, h: Array, z: Array, *, dt: float, gate: bool) -> tuple[Array, Array]:
    """(h_BH, z (B, backbone)) -> (h', h')."""
    features = 1.7159 * ops.tanh(0.666 * (z + h @ params["weight_hh"].T))
    g, f, slope, offset = pieces(features @ params["weight_heads"].T + params["bias_heads"], 4)
    g, f, s = ops.tanh(g), ops.tanh(f), ops.sigmoid(slope * dt + offset)
    h = g * (1 - s) + f * s if gate else g + f * s
    return h, h


cfc = Cell(
    name="cfc",
    init=init_cfc,
    step=step_cfc,
    project=project,
    source="Hasani et al. 2022, arXiv:2106.13898, the closed-form network (CfC), as in the released code and ncps",
    options={"backbone": 32, "dt": 1.0, "gate": True},
    recurrent=("weight_hh",),
)
"""u = 1.7159 tanh(0.666 (W x + U h + b)),  g, f = tanh(W_g,f u + b_g,f),  s = σ((W_a u + b_a) Δt + W_o u + b_o),

h' = (1 − s) ∘ g + s ∘ f,  or g + s ∘ f without the gate (`gate=false`, "no_gate");  y = h'.

Shapes: weight_ih (N, D), weight_hh (N, H), bias (N,) with N = backbone; weight_heads (4H, N), bias_heads (4H,), rows g,
f, a, o; state h (H,). N(D + H + 1) + 4H(N + 1) parameters. With Δt = 0 the time has no effect.

Where frameworks differ: the paper writes σ(−f t); the code learns an offset and LeCun's tanh. Its `pure` mode is left
out. Δt is an option; per-step times come in as an input feature.
"""


def init_ltc(rng: Rng, D: int, H: int, *, unfolds: int = 6, dt: float = 1.0) -> tuple[dict[str, Array], Array]:
    """Conductances and capacities positive through softplus; reversal potentials ±1; state zeros (H,)."""
    import numpy as np

    del unfolds, dt
    synapse = {"w": (0.001, 1.0), "mu": (0.3, 0.8), "sigma": (3.0, 8.0)}
    params = {
        f"{name}_{to}": rng.uniform(*span, (n, H)) for name, span in synapse.items() for to, n in (("x", D), ("h", H))
    }
    params |= {f"reversal_{to}": rng.choice([-1.0, 1.0], (n, H)) for to, n in (("x", D), ("h", H))}
    leaks = {
        "leak": rng.uniform(0.001, 1.0, H),
        "rest": rng.uniform(-0.2, 0.2, H),
        "capacity": rng.uniform(0.4, 0.6, H),
    }
    return params | leaks, np.zeros(H)


def _synapses(ops: Any, params: Params, to: str, v: Array) -> tuple[Array, Array]:
    """(Σ_j g_ji E_ji, Σ_j g_ji) over the presynaptic v_j, with g = w σ(s (v − μ)): (..., n) -> two of (..., H)."""
    active = ops.sigmoid(params[f"sigma_{to}"] * (v[..., None] - params[f"mu_{to}"]))
    g = ops.softplus(params[f"w_{to}"]) * active
    return ops.sum(g * params[f"reversal_{to}"], axis=-2), ops.sum(g, axis=-2)


def project_ltc(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """The inputs' synapses: two of (T, B, H)."""
    return _synapses(ops, params, "x", xs)


def step_ltc(
    ops: Any, params: Params, v: Array, z: tuple[Array, Array], *, unfolds: int, dt: float
) -> tuple[Array, Array]:
    """(v_BH, two of (B, H)) -> (v', v'): `unfolds` semi-implicit steps."""
    current, conductance = z
    capacity = ops.softplus(params["capacity"]) * (unfolds / dt)
    leak = ops.softplus(params["leak"])
    for _ in range(unfolds):
        inner, total = _synapses(ops, params, "h", v)
        v = (capacity * v + leak * params["rest"] + current + inner) / (capacity + leak + conductance + total)
    return v, v


ltc = Cell(
    name="ltc",
    init=init_ltc,
    step=step_ltc,
    project=project_ltc,
    source="Hasani et al. 2021, arXiv:2006.04439, algorithm 1 (fused solver), fully wired",
    options={"unfolds": 6, "dt": 1.0},
)
"""C dv/dt = −g_l (v − v_l) − Σ_j g_j (v − E_j),  g_j = w_j σ(s_j (u_j − μ_j)) over inputs and units u, in L steps

v ← (C L/Δt v + g_l v_l + Σ_j g_j E_j) / (C L/Δt + g_l + Σ_j g_j),  y = v.

Shapes: w, mu, sigma, reversal of the inputs (D, H) and of the units (H, H); leak, rest, capacity (H,); state v (H,).
4H(D + H) + 3H parameters. w, leak and capacity act through softplus. v is a mean of its old value, the rest and the
reversal potentials, so it never leaves their range.

Where frameworks differ: the paper's algorithm has one time constant and one nonlinearity per unit; conductances per
synapse, as here, are those of the released code. ncps has wiring masks, affine maps of inputs and outputs, and clips
weights where softplus acts here.
"""
