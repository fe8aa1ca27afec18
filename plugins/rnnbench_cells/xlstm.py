"""xLSTM: mlstm, a matrix memory, and slstm, exponential gates with memory mixing inside heads."""

from __future__ import annotations

from typing import Any

from rnnbench import Array, Cell, Params, scans
from rnnbench_cells.affine import matrix, pieces
from rnnbench_cells.heads import attention, joined, read, sizes, split
from rnnbench_cells.initial import Rng

Memory = tuple[Array, Array, Array]
Scalars = tuple[Array, Array, Array, Array]


def init_mlstm(rng: Rng, D: int, H: int, *, heads: int = 4, keys: int = 0) -> tuple[dict[str, Array], Memory]:
    """q, k, v of `attention`; gates of x, forget bias from 3 to 6, input bias −10; state (C, n, m), zeros."""
    import numpy as np

    dk, dv = sizes("mlstm", H, heads, keys)
    params = attention(rng, D, H, heads, dk) | {
        "weight_gates": matrix(rng, 2 * heads, D),
        "bias_gates": np.concatenate([np.full(heads, -10.0), np.linspace(3.0, 6.0, heads)]),
        "weight_o": matrix(rng, H, D),
        "bias_o": np.zeros(H),
    }
    return params, (np.zeros((heads, dk, dv)), np.zeros((heads, dk)), np.zeros(heads))


def project_mlstm(ops: Any, params: Params, xs: Array, *, heads: int) -> tuple[Array, ...]:
    """(q, k/sqrt(dk), v, ĩ, log f, o)."""
    q, k, v = read(ops, params, xs, heads)
    i, f = pieces(xs @ params["weight_gates"].T + params["bias_gates"], 2)
    o = ops.sigmoid(xs @ params["weight_o"].T + params["bias_o"])
    return q, k * k.shape[-1] ** -0.5, v, i, ops.logsigmoid(f), o


def step_mlstm(ops: Any, params: Params, state: Memory, z: tuple[Array, ...]) -> tuple[Memory, Array]:
    """((C, n, m), z) -> ((C', n', m'), y_BH)."""
    del params
    C, n, m = state
    q, k, v, i, log_f, o = z
    new_m = ops.maximum(log_f + m, i)
    keep, write = ops.exp(log_f + m - new_m)[..., None], ops.exp(i - new_m)[..., None]
    n = keep * n + write * k
    C = keep[..., None] * C + (write * k)[..., None] * v[..., None, :]
    scale = ops.maximum(ops.abs(ops.sum(n * q, axis=-1)), ops.exp(-new_m))
    h = (q[..., None, :] @ C)[..., 0, :] / scale[..., None]
    return (C, n, new_m), o * joined(ops, h)


def chunk_mlstm(ops: Any, params: Params, state: Memory, zs: tuple[Array, ...]) -> tuple[Memory, Array]:
    """C steps at once: weights e^{F_t − F_s + ĩ_s − m_t} of step s in step t, F_t = Σ_{r<=t} log f_r."""
    del params
    C, n, m = state
    q, k, v = (ops.permute_dims(one, (1, 2, 0, 3)) for one in zs[:3])
    i, log_f = (ops.permute_dims(one, (1, 2, 0)) for one in zs[3:5])
    F = ops.cumulative_sum(log_f, axis=-1)
    gap = F[..., :, None] - F[..., None, :] + i[..., None, :]
    seen = ops.tril(ops.ones_like(gap))
    gap = ops.where(seen > 0, gap, scans.NEVER + 0 * gap)
    ms = ops.maximum(F + m[..., None], ops.max(gap, axis=-1))
    weights, keep = ops.exp(gap - ms[..., None]), ops.exp(F + m[..., None] - ms)
    scores = (q @ ops.matrix_transpose(k)) * weights
    norm = ops.sum(scores, axis=-1) + keep * (q @ n[..., None])[..., 0]
    h = (scores @ v + keep[..., None] * (q @ C)) / ops.maximum(ops.abs(norm), ops.exp(-ms))[..., None]
    written, left = k * weights[..., -1, :, None], keep[..., -1:]
    C = left[..., None] * C + ops.matrix_transpose(written) @ v
    n = left * n + ops.sum(written, axis=-2)
    return (C, n, ms[..., -1]), zs[5] * joined(ops, ops.permute_dims(h, (2, 0, 1, 3)))


mlstm = Cell(
    name="mlstm",
    init=init_mlstm,
    step=step_mlstm,
    project=project_mlstm,
    chunk=chunk_mlstm,
    chunk_steps=scans.SCALAR,
    source="Beck et al. 2024, arXiv:2405.04517, equations 19-27, stabilised by 15-17",
    options={"heads": 4, "keys": 0},
)
"""m' = max(log f + m, ĩ),  C' = f̂ C + î k vᵀ,  n' = f̂ n + î k,  y = o ∘ C'ᵀ q / max(|n'ᵀ q|, e^{−m'}),

f̂ = exp(log f + m − m'),  î = exp(ĩ − m'),  log f = log σ(f̃),  o = σ(W_o x + b_o),  q, v = W_q,v x,  k = W_k x/sqrt(dk).

Shapes: weight_q, weight_k (heads·dk, D), weight_v, weight_o (H, D), weight_gates (2·heads, D), bias_gates, rows i, f,
bias_o (H,); state (C (heads, dk, dv), n (heads, dk), m (heads,)). D(2·heads·dk + 2H + 2·heads) + 2·heads + H
parameters. y does not depend on where m starts: C e^m, n e^m and e^m scale alike.

Where frameworks differ: the released code adds 1e-6 to the denominator, which breaks that; the variant with a sigmoid
input gate is another function; head-wise norm belongs to the block, biases of q, k and v are the paper's. Not to be
taken for Krause's `multiplicative_lstm`.
"""


def init_slstm(rng: Rng, D: int, H: int, *, heads: int = 4) -> tuple[dict[str, Array], Scalars]:
    """weight_ih uniform in ±1/sqrt(D), recurrent blocks in ±1/sqrt(n), forget bias 3 to 6; state (h, c, n, m)."""
    import numpy as np

    n, _ = sizes("slstm", H, heads, 0)
    bias = np.zeros(4 * H)
    bias[H : 2 * H] = np.linspace(3.0, 6.0, H)
    blocks = rng.uniform(-(n**-0.5), n**-0.5, (heads, 4 * n, n))
    params = {"weight_ih": matrix(rng, 4 * H, D), "weight_hh": blocks, "bias": bias}
    return params, (np.zeros(H), np.zeros(H), np.zeros(H), np.zeros(H))


def project_slstm(ops: Any, params: Params, xs: Array) -> Array:
    """W x_t + b: xs_TBD -> (T, B, 4H)."""
    del ops
    return xs @ params["weight_ih"].T + params["bias"]


def step_slstm(ops: Any, params: Params, state: Scalars, z: Array, *, heads: int) -> tuple[Scalars, Array]:
    """((h, c, n, m), z (B, 4H)) -> ((h', c', n', m'), h')."""
    h, c, n, m = state
    mixed = split(ops, h, heads)[..., None, :] @ ops.matrix_transpose(params["weight_hh"])
    gates = [joined(ops, gate) for gate in pieces(mixed[..., 0, :], 4)]
    i, f, g, o = (one + more for one, more in zip(pieces(z, 4), gates, strict=True))
    log_f = ops.logsigmoid(f)
    new_m = ops.maximum(log_f + m, i)
    keep, write = ops.exp(log_f + m - new_m), ops.exp(i - new_m)
    c = keep * c + write * ops.tanh(g)
    n = keep * n + write
    h = ops.sigmoid(o) * c / n
    return (h, c, n, new_m), h


slstm = Cell(
    name="slstm",
    init=init_slstm,
    step=step_slstm,
    project=project_slstm,
    source="Beck et al. 2024, arXiv:2405.04517, equations 8-17, sigmoid forget gate",
    options={"heads": 4},
    recurrent=("weight_hh",),
)
"""ĩ, f̃, g̃, õ = W x + R h + b,  m' = max(log σ(f̃) + m, ĩ),  c' = f̂ c + î tanh(g̃),  n' = f̂ n + î,  y = h' = σ(õ) c'/n',

f̂ = exp(log σ(f̃) + m − m'),  î = exp(ĩ − m').  R is block diagonal: units mix inside their head.

Shapes: weight_ih (4H, D), bias (4H,), rows i, f, g, o; weight_hh (heads, 4n, n), n = H/heads; state (h, c, n, m).
4H(D + n + 1) parameters. c/n is a weighted mean of tanh(g̃), so |h| < 1, and m may start anywhere.

Where frameworks differ: xlstm's vanilla code branches on whether n is zero for the whole batch and clamps at 1; here
there is no branch.
"""
