"""Test-time training: the state is a model, and a step is one of gradient descent on its input."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params, UsageError
from rnnbench_cells.affine import matrix
from rnnbench_cells.heads import attention, joined, read, sizes
from rnnbench_cells.initial import Rng

Models = tuple[Array, Array]
"""W at the start of the mini-batch, W now."""


def init_ttt_linear(
    rng: Rng, D: int, H: int, *, heads: int = 1, norm: bool = True, rate: float = 1.0
) -> tuple[dict[str, Array], Array]:
    """q, k, v of `attention` with dk = dv, weight_beta, gain 1, shift 0; state N(0, 1/n), zeros without LN.

    From W = 0, LN would multiply the first gradient by a thousand.
    """
    import numpy as np

    del rate
    n, _ = sizes("ttt_linear", H, heads, 0)
    params = attention(rng, D, H, heads, n) | {"weight_beta": matrix(rng, heads, D)}
    params |= {"gain": np.ones((heads, n)), "shift": np.zeros((heads, n))}
    return params, rng.normal(0, n**-0.5, (heads, n, n)) if norm else np.zeros((heads, n, n))


def project_ttt_linear(ops: Any, params: Params, xs: Array, *, heads: int, rate: float) -> tuple[Array, ...]:
    """(q, k, v, learning rate)."""
    q, k, v = read(ops, params, xs, heads)
    return q, k, v, rate * ops.sigmoid(xs @ params["weight_beta"].T)[..., None]


def _normal(ops: Any, z: Array) -> tuple[Array, Array]:
    """(z centred and of variance one over the last axis, one over its deviation)."""
    z = z - ops.mean(z, axis=-1, keepdims=True)
    scale = 1 / ops.sqrt(ops.mean(z * z, axis=-1, keepdims=True) + 1e-6)
    return z * scale, scale


def _gradient(ops: Any, params: Params, made: Array, k: Array, v: Array, norm: bool) -> Array:
    """∂ ½ |k + LN(made) − v|² / ∂ made, made = Wᵀ k; without LN made − v."""
    if not norm:
        return made - v
    normal, scale = _normal(ops, made)
    error = params["gain"] * (params["gain"] * normal + params["shift"] - (v - k))
    along = ops.mean(error * normal, axis=-1, keepdims=True)
    return scale * (error - ops.mean(error, axis=-1, keepdims=True) - normal * along)


def _answer(ops: Any, params: Params, q: Array, o: Array, norm: bool) -> Array:
    """q + LN(o), o = Wᵀ q, the heads beside each other."""
    return joined(ops, q + params["gain"] * _normal(ops, o)[0] + params["shift"] if norm else o)


def _times(x: Array, W: Array) -> Array:
    """Wᵀ x, (..., n)."""
    return (x[..., None, :] @ W)[..., 0, :]


def step_ttt_linear(ops: Any, params: Params, W: Array, z: tuple[Array, ...], *, norm: bool) -> tuple[Array, Array]:
    """(W (B, heads, n, n), z) -> (W', y_BH)."""
    q, k, v, rate = z
    gradient = _gradient(ops, params, _times(k, W), k, v, norm)
    W = W - (rate * k)[..., None] * gradient[..., None, :]
    return W, _answer(ops, params, q, _times(q, W), norm)


ttt_linear = Cell(
    name="ttt_linear",
    init=init_ttt_linear,
    step=step_ttt_linear,
    project=project_ttt_linear,
    source="Sun et al. 2024, arXiv:2407.04620, sections 2.3 and 2.7 (TTT-Linear), mini-batch 1",
    options={"heads": 1, "norm": True, "rate": 1.0},
)
"""W' = W − η ∇_W ½ |k + LN(Wᵀ k) − v|²,  y = q + LN(W'ᵀ q): one step of gradient descent per input on how well W
reconstructs v from k, η = rate·σ(W_η x), for each head.

Shapes: weight_q, weight_k, weight_v (H, D), weight_beta (heads, D), gain, shift (heads, n); state W (heads, n, n), n =
H/heads. D(3H + heads) + 2H parameters. `norm=false` leaves LN and residual out: W' = W − η k (Wᵀ k − v)ᵀ, y = W'ᵀ q,
which is `deltanet` with `normalise=false`, exactly.

Of two numbers LN leaves little but a sign, whose derivative has spikes: heads of four units and more can be verified.

Where frameworks differ: the paper's loss has no ½, so that its η is half of this one. It takes mini-batches of 16
inputs per step (`ttt_minibatch`), learns W_0, here drawn once, and normalises q and k.
"""


def init_ttt_minibatch(
    rng: Rng, D: int, H: int, *, heads: int = 1, norm: bool = True, rate: float = 1.0, mini_batch: int = 16
) -> tuple[dict[str, Array], Models]:
    """As `init_ttt_linear`; the state is W twice."""
    if mini_batch < 1:
        raise UsageError(f"cell 'ttt_minibatch' needs mini_batch >= 1, found {mini_batch}.")
    params, W = init_ttt_linear(rng, D, H, heads=heads, norm=norm, rate=rate)
    return params, (W, W.copy())


def project_ttt_minibatch(
    ops: Any, params: Params, xs: Array, *, steps: Array, heads: int, rate: float, mini_batch: int
) -> tuple[Array, ...]:
    """(q, k, v, learning rate, 1 where a mini-batch begins (T, B, 1, 1))."""
    begins = ops.astype(steps % mini_batch == 0, xs.dtype)[..., None, None]
    return (*project_ttt_linear(ops, params, xs, heads=heads, rate=rate), begins)


def step_ttt_minibatch(
    ops: Any, params: Params, state: Models, z: tuple[Array, ...], *, norm: bool
) -> tuple[Models, Array]:
    """((V, W), z) -> ((V', W'), y_BH), V the weights that the gradient is taken at."""
    (V, W), (q, k, v, rate, begins) = state, z
    V = ops.where(begins[..., None] > 0.5, W, V)
    gradient = _gradient(ops, params, _times(k, V), k, v, norm)
    W = W - (rate * k)[..., None] * gradient[..., None, :]
    return (V, W), _answer(ops, params, q, _times(q, W), norm)


def chunk_ttt_minibatch(
    ops: Any, params: Params, state: Models, zs: tuple[Array, ...], *, norm: bool
) -> tuple[Models, Array]:
    """No more steps than a mini-batch has at once, so that at most one begins among them: the paper's dual form."""
    V, W = state
    gain, shift = params["gain"][:, None], params["shift"][:, None]
    q, k, v, rate, begins = (ops.permute_dims(one, (1, 2, 0, 3)) for one in zs)
    weights = {"gain": gain, "shift": shift}
    later = ops.cumulative_sum(begins, axis=-2)
    before = _gradient(ops, weights, k @ V, k, v, norm) * (1 - later)
    middle = W - ops.matrix_transpose(rate * k) @ before
    gradient = before + _gradient(ops, weights, k @ middle, k, v, norm) * later
    written = ops.tril(q @ ops.matrix_transpose(rate * k))
    o = q @ W - written @ gradient
    V = ops.where(later[..., -1:, :] > 0.5, middle, V)
    W = W - ops.matrix_transpose(rate * k) @ gradient
    q, o = (ops.permute_dims(one, (2, 0, 1, 3)) for one in (q, o))
    return (V, W), _answer(ops, params, q, o, norm)


ttt_minibatch = Cell(
    name="ttt_minibatch",
    init=init_ttt_minibatch,
    step=step_ttt_minibatch,
    project=project_ttt_minibatch,
    chunk=chunk_ttt_minibatch,
    chunk_steps=lambda *, mini_batch: mini_batch,
    source="Sun et al. 2024, arXiv:2407.04620, sections 2.4 and 2.5 (mini-batch TTT and its dual form)",
    options={"heads": 1, "norm": True, "rate": 1.0, "mini_batch": 16},
)
"""W' = W − η ∇_V ½ |k + LN(Vᵀ k) − v|²,  y = q + LN(W'ᵀ q):  as `ttt_linear`, but with the gradient at V, which is W as
it was when the mini-batch of b inputs began; step t begins one where t mod b = 0.

Shapes: as in `ttt_linear`; state (V, W), both (heads, n, n). D(3H + heads) + 2H parameters. The gradients of a
mini-batch do not wait for each other, so it runs at once, as two products of matrices: W' = W − Kᵀ diag(η) G. At b = 1
it is `ttt_linear`; as long as a mini-batch lasts and without LN, it is gradient descent on the whole batch.

Where frameworks differ: fla falls back to smaller mini-batches at the end of a sequence; here one may end anywhere.
"""
