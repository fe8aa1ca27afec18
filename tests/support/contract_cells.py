"""A cell that asks for everything the contract offers, and what it computes written out by hand."""

import numpy as np

from rnnbench import Cell

TAPS = 3


def init(rng, D, H, *, gain=0.9):
    del gain
    params = {
        "skew": rng.standard_normal((H, H)),
        "taps": rng.standard_normal((TAPS, D)),
        "weight": rng.standard_normal((H, D)),
        "read": rng.standard_normal((H + 1, H)),
    }
    return params, (np.zeros(H), np.zeros((2, H)))


def derive(ops, params):
    A = params["skew"] - params["skew"].T
    eye = ops.eye(A.shape[0], dtype=A.dtype)
    return {"rotation": ops.linalg.solve(eye + A, eye - A)}


def project(ops, params, xs, *, past, steps):
    mixed = sum(tap * x for tap, x in zip(params["taps"], (xs, *past), strict=True))
    return (mixed @ params["weight"].T) / (1 + ops.astype(steps, xs.dtype))[..., None]


def step(ops, params, state, z, *, gain):
    h, matrix = state
    h = ops.tanh(gain * (h @ params["rotation"].T) + z)
    matrix = 0.5 * matrix + h[:, None, :]
    return (h, matrix), (h + matrix[:, 1]) @ params["read"].T


def everything():
    return Cell(
        "everything",
        init,
        step,
        project,
        derive=derive,
        lookback=TAPS - 1,
        frozen=("read",),
        output_size=lambda D, H: H + 1,
        options={"gain": 0.9},
    )


def by_hand(params, xs, gain):
    """ys of one sequence xs_TD."""
    A = params["skew"] - params["skew"].T
    rotation = np.linalg.inv(np.eye(len(A)) + A) @ (np.eye(len(A)) - A)
    h, matrix, ys = np.zeros(len(A)), np.zeros((2, len(A))), []
    for t in range(len(xs)):
        mixed = sum(params["taps"][j] * xs[t - j] for j in range(TAPS) if t >= j)
        h = np.tanh(gain * rotation @ h + params["weight"] @ mixed / (1 + t))
        matrix = 0.5 * matrix + h
        ys.append(params["read"] @ (h + matrix[1]))
    return np.array(ys)
