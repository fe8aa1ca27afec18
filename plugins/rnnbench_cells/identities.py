"""A table of identities: at which weights a cell of this package is another one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rnnbench import Array, Cell, Params, Reduction

OPEN = 800.0
"""A logit whose sigmoid is 1 in every precision; −OPEN shuts."""
Weights = dict[str, Array]


def _np() -> Any:
    import numpy as np

    return np


def _width(p: Params) -> int:
    """H of a cell with weight_hh."""
    return p["weight_hh"].shape[-1]


def _one_bias(p: Params) -> Weights:
    """torch's layout with both biases in one."""
    return {"weight_ih": p["weight_ih"], "weight_hh": p["weight_hh"], "bias": p["bias_ih"] + p["bias_hh"]}


def _rows(p: Weights, *signed: int) -> Weights:
    """Blocks of rows in another order, numbered from 1; a negative number takes the block negated."""
    np = _np()

    def moved(array: Array) -> Array:
        blocks = np.split(array, len(signed)) if len(signed) == _blocks(p) else np.split(array, _blocks(p))
        return np.concatenate([math.copysign(1, k) * blocks[abs(k) - 1] for k in signed])

    return {name: moved(array) for name, array in p.items()}


def _blocks(p: Weights) -> int:
    H = p["weight_hh"].shape[-1] if "weight_hh" in p else p["bias"].shape[0] // 2
    return p["weight_ih"].shape[0] // H


def _gated(p: Weights, bias: float, first: bool = True) -> Weights:
    """A second gate of weights 0 and one bias, before or after the rows of the only one."""
    np = _np()

    def both(array: Array, value: float) -> Array:
        gate = np.full_like(array, value)
        return np.concatenate([gate, array] if first else [array, gate])

    return {name: both(array, bias if name == "bias" else 0.0) for name, array in p.items()}


def _lstm(p: Params, **more: Array) -> Weights:
    return _one_bias(p) | more


def _peephole(p: Params) -> Weights:
    zeros = _np().zeros(_width(p))
    return _lstm(p, peephole_i=zeros, peephole_f=zeros, peephole_o=zeros)


def _coupled_lstm(p: Params) -> Params:
    """i = 1 − f, for σ(−k) = 1 − σ(k)."""
    return {name: _np().concatenate([-block[1], *block[1:]]) for name, block in _quarters(p).items()}


def _quarters(p: Params) -> dict[str, list[Array]]:
    return {name: _np().split(array, 4) for name, array in p.items()}


def _cifg(p: Params) -> Weights:
    H = _width(p)
    return {name: array[H:] for name, array in _one_bias(p).items()}


def _no_candidate_recurrence(p: Params) -> Params:
    """U_n = 0 and b_hn = 0: the reset gate has nothing to act on."""
    H, found = _width(p), {name: array.copy() for name, array in p.items()}
    found["weight_hh"][2 * H :] = 0
    found["bias_hh"][2 * H :] = 0
    return found


def _tied(p: Params) -> Params:
    """Gate and candidate share their matrices."""
    H, np = _width(p), _np()
    return {name: np.concatenate([a[H:], a[H:]]) if name != "bias" else a for name, a in p.items()}


def _fastgrnn(p: Params) -> Weights:
    H, np = _width(p), _np()
    gate, candidate = p["bias"][:H], p["bias"][H:]
    halves = {"weight_ih": p["weight_ih"][H:], "weight_hh": p["weight_hh"][H:], "bias": candidate}
    return halves | {"bias_z": gate - candidate, "zeta": np.array(OPEN), "nu": np.array(-OPEN)}


def _mi_rnn(p: Params) -> Weights:
    np = _np()
    one = np.ones(_width(p))
    return _one_bias(p) | {"alpha": 0 * one, "beta_1": one, "beta_2": one}


def _trnn(p: Params) -> Weights:
    H = p["bias_ih"].shape[0] // 2
    sign = _np().repeat([-1.0, 1.0], H)
    return {"weight_ih": sign[:, None] * p["weight_ih"], "bias": sign * p["bias_ih"]}


def _rhn(p: Params) -> Weights:
    moved = _rows(dict(p), 2, -1)
    return moved | {"weight_hh": moved["weight_hh"][None], "bias": moved["bias"][None]}


def _mut2(p: Params) -> Weights:
    """Rows z, r, h of r, z, n, with 1 − z for z."""
    H = _width(p)
    moved = _rows(dict(p), -2, 1, 3)
    z, r, h = _np().split(moved.pop("weight_hh"), 3)
    assert z.shape == (H, H)
    return moved | {"weight_hz": z, "weight_hr": r, "weight_hh": h}


def _nbrc(p: Params) -> Weights:
    np = _np()
    rest = {"weight_ih": p["weight_ih"], "bias": p["bias"]}
    return rest | {"weight_a": np.diag(p["w_a"]), "weight_c": np.diag(p["w_c"])}


def _no_offset(p: Params) -> Params:
    """b_z = 0."""
    H = p["bias"].shape[0] // 2
    return {**p, "bias": _np().concatenate([p["bias"][:H], _np().zeros(H)])}


def _sru(p: Params) -> Weights:
    np = _np()
    f, z = np.split(p["weight_ih"], 2)
    H = len(f)
    bias = np.concatenate([p["bias"][:H], np.full(H, OPEN)])
    return {"weight_ih": np.concatenate([f, 0 * f, z, 0 * z]), "bias": bias, "v_f": np.zeros(H), "v_r": np.zeros(H)}


def _qrnn(p: Params) -> Weights:
    np = _np()
    (g, i), (bg, bi) = np.split(p["weight_ih"], 2), np.split(p["bias"], 2)
    return {"kernel": np.concatenate([i, g, 0 * g])[None], "bias": np.concatenate([bi, bg, np.full_like(bg, OPEN)])}


def _fastrnn(p: Params) -> Weights:
    np = _np()
    return {**p, "alpha": np.array(math.log(0.3 / 0.7)), "beta": np.array(math.log(0.7 / 0.3))}


def _antisymmetric_gated(p: Params) -> Weights:
    one = {"weight_ih": p["weight_ih"], "bias": p["bias"]}
    return _gated(one, OPEN, first=False) | {"weight_hh": p["weight_hh"]}


def _lipschitz(p: Params) -> Weights:
    rest = {"weight_ih": p["weight_ih"], "bias": p["bias"]}
    return rest | {"M_A": 0 * p["weight_hh"], "M_W": p["weight_hh"]}


def _still(p: Params) -> Params:
    """A = 0: U = I."""
    return {**p, "skew": 0 * p["skew"]}


def _gla(p: Params) -> Weights:
    np = _np()
    rows = p["weight_k"].shape[0]
    logits = [16 * log - math.log(-math.expm1(16 * log)) for log in p["log_decay"]]
    gate = {"gate_up": np.zeros((rows, 16)), "gate_bias": np.repeat(logits, rows // len(logits))}
    return {name: p[name] for name in ("weight_q", "weight_k", "weight_v")} | gate


def _mamba2(p: Params) -> Weights:
    np = _np()
    return {
        "weight_x": p["weight_v"],
        "weight_B": p["weight_k"],
        "weight_C": p["weight_q"] * len(p["weight_q"]) ** -0.5,
        "weight_dt": np.zeros((1, p["weight_v"].shape[1])),
        "bias_dt": np.array([math.log(math.expm1(1.0))]),
        "A_log": np.log(-p["log_decay"]),
        "D": np.zeros(1),
    }


def _gated_deltanet(p: Params) -> Weights:
    return {**p, "A_log": _np().full(len(p["weight_beta"]), -OPEN)}


def _gated_deltaproduct(p: Params) -> Weights:
    return {**p, **{name: p[name][None] for name in ("weight_k", "weight_v", "weight_beta")}}


SAME: Callable[[Params], Weights] = dict

IDENTITIES: dict[str, tuple[Reduction, ...]] = {
    "lstm_peephole": (Reduction("lstm", _peephole, why="peepholes 0"),),
    "lstm_proj": (
        Reduction("lstm", lambda p: _lstm(p, weight_hr=_np().eye(_width(p))), {"expansion": 1}, why="projection I"),
    ),
    "lstm_cifg": (Reduction("lstm", _cifg, special=_coupled_lstm, why="i = 1 − f"),),
    "gru_v3": (Reduction("gru", _one_bias, special=_no_candidate_recurrence, why="U_n = 0: nothing to reset"),),
    "mgu": (Reduction("rnn", lambda p: _gated(_one_bias(p), OPEN), why="f = 1"),),
    "ugrnn": (Reduction("rnn", lambda p: _gated(_one_bias(p), -OPEN), why="g = 0"),),
    "janet": (Reduction("ugrnn", SAME, {"beta": 0.0}, why="β = 0"),),
    "fastrnn": (Reduction("esn(leak=0.3)", _fastrnn, why="σ(α) = 0.3, σ(β) = 0.7"),),
    "fastgrnn": (Reduction("ugrnn", _fastgrnn, special=_tied, why="σ(ζ) = 1, σ(ν) = 0, tied matrices"),),
    "mut2": (Reduction("gru_v3", _mut2, why="z for 1 − z"),),
    "mi_rnn": (Reduction("rnn", _mi_rnn, why="α = 0, β = 1"),),
    "rhn": (Reduction("ugrnn", _rhn, {"depth": 1}, why="depth 1, t = 1 − g"),),
    "sru": (Reduction("trnn", _sru, special=_no_offset, why="v = 0, r = 1"),),
    "nbrc": (Reduction("brc", _nbrc, why="diagonal matrices"),),
    "qrnn": (Reduction("gilr", _qrnn, {"width": 1}, why="width 1, o = 1"),),
    "trnn": (Reduction("mingru", _trnn, why="σ(−k) = 1 − σ(k)"),),
    "clockwork": (Reduction("rnn", _one_bias, {"modules": 1}, why="one module"),),
    "dilated_lstm": (Reduction("lstm", SAME, {"dilation": 1}, why="d = 1"),),
    "dilated_gru": (Reduction("gru", SAME, {"dilation": 1}, why="d = 1"),),
    "esn": (Reduction("rnn", _one_bias, why="no leak, weights as drawn"),),
    "scornn": (Reduction("exprnn", SAME, {"negatives": 0.0}, special=_still, why="A = 0, D = I"),),
    "antisymmetric_gated": (Reduction("antisymmetric", _antisymmetric_gated, why="z = 1"),),
    "lipschitz": (Reduction("antisymmetric(gamma=0)", _lipschitz, {"beta": 1.0, "gamma": 0.0}, why="A = 0, β = 1"),),
    "gla": (Reduction("retnet", _gla, why="constant gates"),),
    "mamba2": (
        Reduction("retnet(heads=1, keys=16)", _mamba2, {"heads": 1, "states": 16}, why="Δ = 1, D = 0, one head"),
    ),
    "gated_deltanet": (Reduction("deltanet", _gated_deltanet, why="α = 1"),),
    "gated_deltaproduct": (
        Reduction("gated_deltanet", _gated_deltaproduct, {"householders": 1}, why="one Householder per input"),
    ),
    "ttt_linear": (Reduction("deltanet(heads=1, normalise=false)", SAME, {"norm": False}, why="no LN, mini-batch 1"),),
    "ttt_minibatch": (
        Reduction(
            "ttt_linear(norm=false)", SAME, {"norm": False, "mini_batch": 1}, why="each gradient at the newest W"
        ),
    ),
}
"""What `rnnbench verify` runs, cell against cell, on both frameworks."""


def known(cell: Cell) -> Cell:
    """The cell with its identities."""
    return replace(cell, reductions=IDENTITIES[cell.name]) if cell.name in IDENTITIES else cell
