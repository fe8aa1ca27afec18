"""Cells made up so that together they use everything that a kernel can be generated for."""

from __future__ import annotations

import numpy as np

from rnnbench import Cell, hookimpl


def _matrix(rng, rows, columns):
    return rng.normal(0, columns**-0.5, (rows, columns))


def _init_gates(gates, states, **more):
    def init(rng, D, H):
        params = {"W": _matrix(rng, gates * H, D), "U": _matrix(rng, gates * H, H), "b": rng.normal(0, 0.3, gates * H)}
        params |= {name: rng.normal(mean, 0.3, H) for name, mean in more.items()}
        return params, tuple(np.zeros(H) for _ in range(states)) if states > 1 else np.zeros(H)

    return init


def _project(ops, p, xs):
    return xs @ p["W"].T + p["b"]


def _normalised(ops, x):
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    return centred / ops.sqrt(ops.mean(centred * centred, axis=-1, keepdims=True) + 1e-3)


def _peephole(ops, p, state, z):
    """LSTM with coupled gates, peepholes and layer normalisation of what comes from the state."""
    h, c = state
    H = h.shape[-1]
    gates = z + _normalised(ops, h @ p["U"].T)
    f = ops.sigmoid(gates[..., :H] + p["peep_f"] * c)
    c = f * c + (1 - f) * ops.tanh(gates[..., H : 2 * H])
    o = ops.sigmoid(gates[..., 2 * H :] + p["peep_o"] * c)
    h = o * ops.tanh(p["scale"] * _normalised(ops, c))
    return (h, c), h


def _multiplicative(ops, p, state, z):
    """Multiplicative LSTM: one product of the state feeds another one."""
    h, c = state
    H = h.shape[-1]
    m = z[:, 4 * H :] * (h @ p["U"].T[:, 4 * H :])
    gates = z[:, : 4 * H] + m @ p["U"].T[:, : 4 * H]
    c = ops.sigmoid(gates[:, :H]) * c + ops.sigmoid(gates[:, H : 2 * H]) * ops.tanh(gates[:, 2 * H : 3 * H])
    h = ops.sigmoid(gates[:, 3 * H : 4 * H]) * ops.tanh(c)
    return (h, c), h


def _reset_before(ops, p, h, z):
    """GRU whose reset gate acts before the product (Cho et al. 2014, equation 8)."""
    H = h.shape[-1]
    gates = ops.sigmoid(z[:, : 2 * H] + h @ p["U"][: 2 * H].T)
    n = ops.tanh(z[:, 2 * H :] + (gates[:, :H] * h) @ p["U"][2 * H :].T)
    h = gates[:, H:] * h + (1 - gates[:, H:]) * n
    return h, h


def _rough(ops, p, h, z):
    """Piecewise operations."""
    u = z + h * p["scale"]
    v = ops.where(ops.logical_and(u > 0.1, ops.logical_not(u > 2.0)), ops.sqrt(ops.abs(u) + 0.5), -u)
    v = ops.minimum(ops.maximum(v, -p["peep"]), 1.5) + ops.clip(u, -0.7, 0.9) * ops.sign(h - 0.05)
    h = 0.5 * ops.relu(v) - 0.3 * ops.relu(-v) + 0.1 * ops.astype(u < h, h.dtype)
    return h, h


def _smooth(ops, p, h, z):
    """Elementary functions."""
    u = z + p["scale"] * h
    v = ops.softplus(u) + ops.silu(u) - ops.logsigmoid(u) + ops.sin(u) * ops.cos(h) + ops.expm1(-ops.square(u))
    v = v + ops.log1p(u**2) / ops.exp(ops.tanh(h)) + ops.log(1.0 + ops.exp(-(u**2))) * ops.reciprocal(2 + h**2)
    h = ops.tanh(0.3 * v + ops.pow(1.5 + ops.sigmoid(u), -0.7)) - 2.0 ** ops.tanh(u)
    return h, h


def _init_counted(rng, D, H):
    params = {"W": _matrix(rng, H, D), "U": _matrix(rng, H, H), "b": rng.normal(0, 0.3, H), "rate": np.array(0.7)}
    return params, (np.zeros(H), np.array(0.0))


def _counted(ops, p, state, z):
    """A number that counts steps beside a vector; a parameter without axes; sums over a row."""
    h, t = state
    phase = ops.sin(p["rate"] * t)[..., None]
    size = ops.sum(h * h, axis=-1)
    h = ops.tanh(z + (h @ p["U"].T) * phase / (1 + size[:, None]))
    return (h, t + 1), h * ops.expand_dims(size, axis=-1) + ops.mean(h, axis=-1, keepdims=True)


def _init_attending(rng, D, H):
    params = {
        "W": _matrix(rng, H, D + H),
        "V": _matrix(rng, 3, H),
        "b": rng.normal(0, 0.3, H),
        "mix": rng.normal(0, 1, (3, H)),
    }
    return params, np.zeros(H)


def _attending(ops, p, h, x):
    """No `project`; input and state in one product; a softmax; the largest entry; a product with three columns."""
    u = ops.concat([x, h], axis=-1) @ p["W"].T + p["b"]
    scores = u @ p["V"].T
    weights = ops.exp(scores - ops.logsumexp(scores, axis=-1)[:, None])
    h = 0.5 * h + ops.tanh(weights @ p["mix"]) * ops.max(ops.tanh(u), axis=-1, keepdims=True)
    return h, ops.broadcast_to(h, h.shape)


def _memoryless_init(rng, D, H):
    return {"W": _matrix(rng, H, D)}, ()


def _memoryless(ops, p, state, x):
    return state, ops.tanh(x @ p["W"].T)


def _init_smoothing(rng, D, H):
    return {"W": _matrix(rng, 2 * H, D), "C": _matrix(rng, H, H)}, np.zeros(H)


def _smoothing_linear(ops, p, zs):
    H = p["C"].shape[0]
    keep = ops.sigmoid(zs[..., :H])
    return keep, (1 - keep) * zs[..., H:]


PEEPHOLE = Cell("peephole", _init_gates(3, 2, peep_f=0, peep_o=0, scale=1), _peephole, _project)
MULTIPLICATIVE = Cell("multiplicative", _init_gates(5, 2), _multiplicative, _project)
RESET_BEFORE = Cell("reset_before", _init_gates(3, 1), _reset_before, _project)
ROUGH = Cell("rough", _init_gates(1, 1, scale=0.5, peep=1), _rough, _project)
SMOOTH = Cell("smooth", _init_gates(1, 1, scale=0.5), _smooth, _project)
COUNTED = Cell("counted", _init_counted, _counted, _project)
ATTENDING = Cell("attending", _init_attending, _attending)
MEMORYLESS = Cell("memoryless", _memoryless_init, _memoryless)
SMOOTHING = Cell(
    "smoothing",
    _init_smoothing,
    project=lambda ops, p, xs: xs @ p["W"].T,
    linear=_smoothing_linear,
    output=lambda ops, p, hs, zs: hs @ p["C"].T + zs[..., : hs.shape[-1]],
)
CELLS = (PEEPHOLE, MULTIPLICATIVE, RESET_BEFORE, ROUGH, SMOOTH, COUNTED, ATTENDING, MEMORYLESS, SMOOTHING)


@hookimpl
def rnnbench_cells():
    return CELLS
