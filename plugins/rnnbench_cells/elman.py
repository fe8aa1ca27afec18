"""Elman's network: `rnn` with tanh, `irnn` with ReLU and the identity as recurrent matrix."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params, UsageError, nearest
from rnnbench_cells.initial import Rng, finite, orthogonal, torch_uniform

RECURRENT = ("uniform", "orthogonal")


def init_rnn(rng: Rng, D: int, H: int, recurrent: str = "uniform", gain: float = 1.0) -> tuple[dict[str, Array], Array]:
    """Parameters as torch.nn.RNN draws them, uniform in ±1/sqrt(H); state zeros (H,).

    recurrent: `uniform` is torch's; `orthogonal` makes weight_hh a random rotation or reflection (Saxe et al. 2013,
    arXiv:1312.6120), so that before the tanh no direction grows or shrinks. gain multiplies weight_hh in either case;
    torch's default has a spectral radius of about 1/sqrt(3), an orthogonal one exactly `gain`.
    """
    if recurrent not in RECURRENT:
        hint = nearest(recurrent, RECURRENT)
        raise UsageError(
            f"option 'recurrent' of cell 'rnn' must be {' or '.join(RECURRENT)}, found {recurrent!r}.{hint}"
        )
    import numpy as np

    params = torch_uniform(rng, 1, D, H)
    if recurrent == "orthogonal":
        params["weight_hh"] = orthogonal(rng, H)
    params["weight_hh"] = finite("gain", gain) * params["weight_hh"]
    return params, np.zeros(H)


def init_irnn(rng: Rng, D: int, H: int, gain: float = 1.0) -> tuple[dict[str, Array], Array]:
    """weight_hh = gain·I, weight_ih ~ N(0, 0.001²), biases and state zeros (Le, Jaitly & Hinton 2015).

    gain: the paper scales the identity down for tasks with short memory (0.01 for its speech experiments).
    """
    import numpy as np

    params = {
        "weight_ih": rng.normal(0.0, 0.001, (H, D)),
        "weight_hh": finite("gain", gain) * np.eye(H),
        "bias_ih": np.zeros(H),
        "bias_hh": np.zeros(H),
    }
    return params, np.zeros(H)


def project(ops: Any, params: Params, xs: Array) -> Array:
    """z_t = W_ih x_t + b_ih + b_hh: xs_TBD -> zs_TBH."""
    del ops
    return xs @ params["weight_ih"].T + (params["bias_ih"] + params["bias_hh"])


def step_tanh(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """h' = tanh(z + W_hh h), y = h'."""
    h = ops.tanh(z + h @ params["weight_hh"].T)
    return h, h


def step_relu(ops: Any, params: Params, h: Array, z: Array) -> tuple[Array, Array]:
    """h' = max(0, z + W_hh h), y = h'."""
    h = ops.relu(z + h @ params["weight_hh"].T)
    return h, h


rnn = Cell(
    name="rnn",
    init=init_rnn,
    step=step_tanh,
    project=project,
    source="Elman 1990, doi:10.1207/s15516709cog1402_1, the simple recurrent network; layout of torch.nn.RNN",
    options={"recurrent": "uniform", "gain": 1.0},
    recurrent=("weight_hh",),
)
"""h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh),  y_t = h_t.

Shapes: weight_ih (H, D), weight_hh (H, H), bias_ih (H,), bias_hh (H,); state h (H,). H(D + H + 2) parameters.

Where frameworks differ: torch has two biases where Keras and Flax have one (only their sum acts on h, but plain
gradient descent moves that sum twice as fast); Keras starts from an orthogonal W_hh, torch from a uniform one.
"""

irnn = Cell(
    name="irnn",
    init=init_irnn,
    step=step_relu,
    project=project,
    source="Le, Jaitly & Hinton 2015, arXiv:1504.00941, the IRNN",
    options={"gain": 1.0},
    recurrent=("weight_hh",),
)
"""h_t = max(0, W_ih x_t + b_ih + W_hh h_{t-1} + b_hh),  y_t = h_t, started at W_hh = I.

Shapes and number of parameters as in `rnn`. With gain 1 an active unit keeps its value and its gradient for ever;
nothing bounds the state, so expect divergence at learning rates a tanh network takes.

Where frameworks differ: torch's `nonlinearity="relu"` is the same function, but its initial weights are not these.
"""
