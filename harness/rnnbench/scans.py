"""Recurrences of a matrix state whose steps can be joined: what a cell's `scan` names, in the array API.

outer   S_t = exp(log a_t) ∘ S_{t−1} + k_t v_tᵀ,                                o_t = S_tᵀ q_t
delta   S_t = exp(log a_t) ∘ S_{t−1} + b_t (c_tᵀ S_{t−1}) + k_t v_tᵀ,           o_t = S_tᵀ q_t

S is (dk, dv) for each head, log a_t one number per row (dk) or one for all of them (1). `outer` is linear attention
with decay: RetNet, GLA, Mamba-2, HGRN2. `delta` adds corrections of rank one: DeltaNet, its gated relatives, RWKV-7.

A chunk of C steps needs no state in between: with L_t = Σ_{r<=t} log a_r,

o_t = (q_t ∘ e^{L_t})ᵀ S_0 + Σ_{s<=t} [q_t · (e^{L_t − L_s} ∘ k_s)] v_s,  and likewise for b_s u_s, u_s = S_{s−1}ᵀ c_s,

where the u solve a triangular system (Yang et al. 2024, arXiv:2406.06484, section 3; Dao & Gu 2024, arXiv:2405.21060,
section 6). All exponents are differences that are not positive, so nothing overflows however strong the decay is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

Array = Any
Kind = Literal["outer", "delta", "semigroup"]
KINDS: tuple[Kind, ...] = ("outer", "delta", "semigroup")
ELEMENTS: dict[Kind, tuple[str, ...]] = {
    "outer": ("log_a", "k", "v", "q"),
    "delta": ("log_a", "b", "c", "k", "v", "q"),
}
"""What `Cell.elements` returns: each (T, B, heads, dk), v (T, B, heads, dv), log_a with dk or 1 at the end."""

SCALAR, ROWS = 64, 32
"""Steps per chunk where all rows decay alike, and where each has its own, which takes C·C·dk numbers at a time."""

NEVER = -1e30
"""The logarithm of what is not to be seen."""


def step(ops: Any, kind: Kind, S: Array, elements: tuple[Array, ...]) -> tuple[Array, Array]:
    """One step: (S (B, heads, dk, dv), elements (B, heads, ·)) -> (S', o (B, heads, dv))."""
    log_a, *corrections, k, v, q = elements
    new = ops.exp(log_a)[..., None] * S + k[..., None] * v[..., None, :]
    if kind == "delta":
        b, c = corrections
        new = new + b[..., None] * (c[..., None, :] @ S)
    return new, (q[..., None, :] @ new)[..., 0, :]


def chunk(ops: Any, kind: Kind, S: Array, elements: tuple[Array, ...], *, early: bool = False) -> tuple[Array, Array]:
    """C steps at once: (S (B, heads, dk, dv), elements (C, B, heads, ·)) -> (S', os (C, B, heads, dv)).

    early: of `outer`, o_t = S_{t−1}ᵀ q_t, read before it is written.
    """
    log_a, *corrections, k, v, q = (ops.permute_dims(one, (1, 2, 0, 3)) for one in elements)
    L = ops.cumulative_sum(log_a, axis=-2)
    seen = ops.tril(ops.ones_like(L[..., :1] @ ops.matrix_transpose(L[..., :1])))
    left = ops.exp(L)
    last = L[..., -1:, :]
    rest = ops.exp(last - L)
    if early:
        o = (q * ops.exp(L - log_a)) @ S + _pairs(ops, q, k, L - log_a, L, ops.tril(seen, k=-1)) @ v
    else:
        o = (q * left) @ S + _pairs(ops, q, k, L, L, seen) @ v
    new = ops.matrix_transpose(ops.exp(last)) * S + ops.matrix_transpose(k * rest) @ v
    if kind == "delta":
        b, c = corrections
        before = L - log_a
        earlier = ops.tril(seen, k=-1)
        known = (c * ops.exp(before)) @ S + _pairs(ops, c, k, before, L, earlier) @ v
        u = _solved(ops, _pairs(ops, c, b, before, L, earlier), known, seen)
        o = o + _pairs(ops, q, b, L, L, seen) @ u
        new = new + ops.matrix_transpose(b * rest) @ u
    return new, ops.permute_dims(o, (2, 0, 1, 3))


def _pairs(ops: Any, x: Array, y: Array, Lx: Array, Ly: Array, seen: Array) -> Array:
    """Σ_i x_ti y_si exp(Lx_ti − Ly_si) where s is seen from t, 0 elsewhere: (B, heads, C, C)."""
    if Lx.shape[-1] == 1:
        gap = Lx - ops.matrix_transpose(Ly)
        return (x @ ops.matrix_transpose(y)) * ops.exp(ops.where(seen > 0, gap, NEVER + 0 * gap)) * seen
    gap = Lx[..., :, None, :] - Ly[..., None, :, :]
    gap = ops.where(seen[..., None] > 0, gap, NEVER + 0 * gap)
    return ops.sum(x[..., :, None, :] * y[..., None, :, :] * ops.exp(gap), axis=-1) * seen


def _solved(ops: Any, lower: Array, known: Array, seen: Array) -> Array:
    """u with u = lower u + known, lower strictly lower triangular."""
    unit = seen * ops.matrix_transpose(seen)
    return ops.linalg.solve(unit - lower, known)


def length(elements: tuple[Array, ...]) -> int:
    """Steps per chunk for such elements."""
    return SCALAR if elements[0].shape[-1] == 1 else ROWS


def padded(ops: Any, elements: tuple[Array, ...], size: int) -> tuple[Array, ...]:
    """Elements (T, ...) lengthened to a multiple of `size` by steps that change nothing."""
    missing = -elements[0].shape[0] % size
    if not missing:
        return elements
    return tuple(ops.concat([one, 0 * ops.concat([one[:1]] * missing, axis=0)], axis=0) for one in elements)


def prefixes(ops: Any, combine: Callable[..., Any], elements: tuple[Array, ...]) -> tuple[Array, ...]:
    """e_1, e_1·e_2, ..., of elements (T, ...) under an associative `combine(a, b)`, in O(log T) dependent steps.

    Odd-even reduction (Blelloch 1990, CMU-CS-90-190, section 1.4): join neighbours, scan those, fill in the others.
    """
    T = elements[0].shape[0]
    if T == 1:
        return elements
    joined = combine(tuple(e[: T - T % 2 : 2] for e in elements), tuple(e[1::2] for e in elements))
    odd = prefixes(ops, combine, joined)
    before = tuple(e[: (T - 1) // 2] for e in odd)
    if T == 2:
        return tuple(ops.concat([e[:1], o], axis=0) for e, o in zip(elements, odd, strict=True))
    even = combine(before, tuple(e[2::2] for e in elements))
    return tuple(_woven(ops, e[:1], o, v) for e, o, v in zip(elements, odd, even, strict=True))


def _woven(ops: Any, first: Array, odd: Array, even: Array) -> Array:
    """first, odd_1, even_1, odd_2, even_2, ...; there may be one more of odd."""
    n = even.shape[0]
    pairs = ops.reshape(ops.stack([odd[:n], even], axis=1), (2 * n, *even.shape[1:]))
    return ops.concat([first, pairs, odd[n:]], axis=0)
