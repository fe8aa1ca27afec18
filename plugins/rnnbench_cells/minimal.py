"""minGRU and minLSTM: gates that look at the input alone, so that the state enters linearly and a scan can run them.

Both are the paper's vanilla form: candidates are linear in x and the state starts at zero. The paper also gives a
log-space form that replaces the candidate k by g(k) = k + 0.5 for k >= 0, σ(k) below, a different function whose states
are positive; it needs that only because it scans logarithms. Scanning (a, b) itself, as rnnbench does, is stable, since
0 < a < 1.
"""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params
from rnnbench_cells.initial import Rng


def _init(rng: Rng, gates: int, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """Linear layers as torch.nn.Linear draws them, uniform in ±1/sqrt(D), bias too; state zeros (H,)."""
    import numpy as np

    bound = D**-0.5
    params = {
        "weight_ih": rng.uniform(-bound, bound, (gates * H, D)),
        "bias_ih": rng.uniform(-bound, bound, (gates * H,)),
    }
    return params, np.zeros(H)


def init_mingru(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """weight_ih (2H, D), bias_ih (2H,), uniform in ±1/sqrt(D); state zeros (H,)."""
    return _init(rng, 2, D, H)


def init_minlstm(rng: Rng, D: int, H: int) -> tuple[dict[str, Array], Array]:
    """weight_ih (3H, D), bias_ih (3H,), uniform in ±1/sqrt(D); state zeros (H,)."""
    return _init(rng, 3, D, H)


def project_mingru(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(a_t, b_t) = (1 - z_t, z_t ∘ h̃_t): xs_TBD -> two arrays (T, B, H)."""
    H = params["bias_ih"].shape[0] // 2
    k = xs @ params["weight_ih"].T + params["bias_ih"]
    z = ops.sigmoid(k[..., :H])
    return 1 - z, z * k[..., H:]


def project_minlstm(ops: Any, params: Params, xs: Array) -> tuple[Array, Array]:
    """(a_t, b_t) = (f'_t, i'_t ∘ h̃_t): xs_TBD -> two arrays (T, B, H).

    f/(f + i) = σ(ln f - ln i) does not become 0/0 when both gates are closed.
    """
    H = params["bias_ih"].shape[0] // 3
    k = xs @ params["weight_ih"].T + params["bias_ih"]
    forget = ops.sigmoid(ops.logsigmoid(k[..., :H]) - ops.logsigmoid(k[..., H : 2 * H]))
    return forget, (1 - forget) * k[..., 2 * H :]


def linear(ops: Any, params: Params, zs: tuple[Array, Array]) -> tuple[Array, Array]:
    """h_t = a_t ∘ h_{t-1} + b_t, with the (a, b) that `project` made."""
    del ops, params
    return zs


mingru = Cell(
    name="mingru",
    init=init_mingru,
    project=project_mingru,
    linear=linear,
    source="Feng et al. 2024, arXiv:2410.01201, the minGRU, vanilla form",
)
"""z_t = σ(W_z x_t + b_z),  h̃_t = W_h x_t + b_h,  h_t = (1 - z_t) ∘ h_{t-1} + z_t ∘ h̃_t,  y_t = h_t.

Shapes: weight_ih (2H, D), bias_ih (2H,), rows in the order z, h̃; state h (H,). 2H(D + 1) parameters.

Where frameworks differ: z = 1 replaces the state, the opposite of `gru`. Popular code has the log-space candidate g,
leaves out the biases, or adds a projection; none of them is this function. Initial weights follow the fan-in D, not H.
"""

minlstm = Cell(
    name="minlstm",
    init=init_minlstm,
    project=project_minlstm,
    linear=linear,
    source="Feng et al. 2024, arXiv:2410.01201, the minLSTM, vanilla form, length independence scaling",
)
"""f_t = σ(W_f x_t + b_f),  i_t = σ(W_i x_t + b_i),  h̃_t = W_h x_t + b_h,

f'_t = f_t / (f_t + i_t),  i'_t = i_t / (f_t + i_t),  h_t = f'_t ∘ h_{t-1} + i'_t ∘ h̃_t,  y_t = h_t.

Shapes: weight_ih (3H, D), bias_ih (3H,), rows in the order f, i, h̃ (not the i, f of `lstm`); state h (H,), one array:
there is no output gate and no separate c. 3H(D + 1) parameters.

Where frameworks differ: variants in circulation skip the normalisation f', i'; then the scale of the state depends on
the sequence length.
"""
