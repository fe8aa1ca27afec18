"""Every cell against what its equations say in closed form: a value by hand, a law, a limit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import rnnbench_cells
from cell_runs import CELLS, B, CellRun, H
from rnnbench.ops import numpy_ops
from rnnbench_cells.matrices import expm
from rnnbench_cells.memory import delay_system, legs

OPS = numpy_ops()
SHUT, OPEN = -800.0, 800.0
"""Logits whose sigmoid is 0 and 1 to the last bit."""
KNOWN: dict[str, Callable[[], None]] = {}


def known(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def noted(test: Callable[..., None]) -> Callable[..., None]:
        for name in names:
            KNOWN[name] = test if len(names) == 1 else (lambda name=name: test(name))
        return test

    return noted


def close(got, true, rtol=1e-12, atol=1e-13):
    np.testing.assert_allclose(got, true, rtol=rtol, atol=atol)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normal(*shape, seed=7):
    return np.random.default_rng(seed).standard_normal(shape)


def jacobian(run: CellRun) -> np.ndarray:
    """∂(all of the state after the first step)/∂(all of it before), of the first sequence."""
    flat = np.concatenate([leaf.ravel() for leaf in _first(run.state)])

    def moved(at):
        start, parts = 0, []
        for leaf in _first(run.state):
            parts.append(np.broadcast_to(at[start : start + leaf.size].reshape(leaf.shape), (B, *leaf.shape)))
            start += leaf.size
        opened = run.model.cell.open(
            OPS, run.params, tuple(parts) if isinstance(run.state, tuple) else parts[0], run.xs
        )
        z = opened.zs[0] if not isinstance(opened.zs, tuple) else tuple(part[0] for part in opened.zs)
        state, _ = run.model.cell.advance(OPS, opened.params, opened.state, z)
        return np.concatenate([leaf.ravel() for leaf in _first(state)])

    units = 1e-5 * np.eye(len(flat))
    return np.stack([(moved(flat + unit) - moved(flat - unit)) / 2e-5 for unit in units], axis=1)


def _first(state):
    return [leaf[0] for leaf in (state if isinstance(state, tuple) else (state,))]


# --- LSTMs --------------------------------------------------------------------------------------------------------


@known("lstm_cifg")
def coupled_gates_mix():
    run = CellRun("lstm_cifg").zeroed("weight_hh")
    run.params["bias"][:] = np.repeat([np.log(3.0), 0.5, OPEN], H)  # f = 3/4, o = 1
    run.zeroed("weight_ih")
    run.state = (run.state[0], np.full((B, H), 0.2))
    (_, c), _ = run()
    close(c, np.tanh(0.5) + 0.75**6 * (0.2 - np.tanh(0.5)))


@known("lstm_ln")
def layer_norm_forgets_the_scale():
    run = CellRun("lstm_ln")
    run.state = (normal(B, H), normal(B, H))
    _, ys = run()
    run.params["weight_hh"] *= 1e3
    _, scaled = run()
    run.params["weight_hh"] *= 1e3
    _, more = run()
    assert np.abs(scaled - ys).max() < 1e-2
    close(more, scaled, rtol=1e-6, atol=1e-6)


@known("multiplicative_lstm")
def intermediate_state_is_a_product():
    """With W_mx x = 1 it is an LSTM whose recurrent matrix is U W_mh."""
    run = CellRun("multiplicative_lstm", D=H)
    run.xs = np.ones_like(run.xs)
    run.params["weight_mx"] = np.full((H, H), 1 / H)
    _, ys = run()
    plain = CellRun("lstm", D=H)
    plain.xs = run.xs
    plain.params |= {
        "weight_ih": run.params["weight_ih"],
        "weight_hh": run.params["weight_hh"] @ run.params["weight_mh"],
        "bias_ih": run.params["bias"],
        "bias_hh": 0 * run.params["bias"],
    }
    close(plain()[1], ys)


@known("nas")
def nas_without_weights():
    """The tree of TensorFlow's NASCell at biases alone: there is no tanh between c' and the last product."""
    run = CellRun("nas", T=1).zeroed()
    run.state = (run.state[0], np.full((B, H), 0.3))
    b = [0.4, 0.7, -0.2, 9.0, 0.5, -0.6, 0.8, 1.1]
    run.params["bias"][:] = np.repeat(b, H)
    (_, c), ys = run()
    close(c, np.tanh(np.tanh(sigmoid(b[0]) * b[1]) + 0.3) * np.tanh(sigmoid(b[2])))
    right = np.tanh(np.tanh(b[4]) * sigmoid(b[5])) + sigmoid(np.tanh(b[6]) + sigmoid(b[7]))
    close(ys[0], np.tanh(c * np.tanh(right)))


# --- gates --------------------------------------------------------------------------------------------------------


@known("janet")
def janet_without_writing():
    run = CellRun("janet", beta=-1e3).zeroed("weight_hh", "weight_ih")
    run.state = normal(B, H)
    _, ys = run()
    close(ys[-1], run.state * sigmoid(run.params["bias"][:H]) ** 6)


@known("cfn")
def no_chaos_without_inputs():
    run = CellRun("cfn", T=40)
    run.xs *= 0
    run.state = normal(B, H)
    run.params["weight_hh"] *= 30
    _, ys = run()
    sizes = np.abs(np.concatenate([run.state[None], ys]))
    assert (np.diff(sizes, axis=0) <= 0).all()


@known("minimalrnn", "ugrnn", "ligru", "mut1", "mut2", "mut3", "rhn")
def a_shut_gate_copies(name):
    """Whatever the weights: y_T = h_0, where the gate is shut by its bias."""
    run = CellRun(name)
    run.state = normal(B, H)
    match name:
        case "minimalrnn":
            run.params["bias_u"] += OPEN
        case "rhn":
            run.params["bias"][:, H:] = SHUT
        case _:
            run.params["bias"][:H] = SHUT if name.startswith("mut") else OPEN
    close(run()[1][-1], run.state)


@known("ran")
def additive_contents():
    run = CellRun("ran").zeroed("weight_hh")
    (_, c), ys = run()
    i, f = np.split(sigmoid(run.xs @ run.params["weight_ih"].T + run.params["bias"]), 2, axis=-1)
    content = run.xs @ run.params["weight_c"].T
    true = sum(i[j] * content[j] * np.prod(f[j + 1 :], axis=0) for j in range(len(run.xs)))
    close(c, true)
    close(ys[-1], np.tanh(true))


@known("atr")
def atr_without_recurrence():
    run = CellRun("atr").zeroed("weight_hh")
    p = run.xs @ run.params["weight_ih"].T
    true = sum(sigmoid(p[j]) * p[j] * np.prod(sigmoid(p[j + 1 :]), axis=0) for j in range(len(p)))
    close(run()[1][-1], true)


@known("star")
def star_without_weights():
    run = CellRun("star", T=2).zeroed()
    run.state = normal(B, H)
    close(run()[1][-1], np.tanh(np.tanh(run.state / 2) / 2))


@known("fastrnn")
def fastrnn_averages():
    run = CellRun("fastrnn").zeroed("weight_hh", "weight_ih")
    true = sigmoid(-3) * np.tanh(run.params["bias"]) * (1 - sigmoid(3) ** 6) / (1 - sigmoid(3))
    close(run()[1][-1], np.broadcast_to(true, (B, H)))


@known("scrn")
def context_decays_exactly():
    run = CellRun("scrn", context=5, alpha=0.8)
    run.xs *= 0
    run.state = (run.state[0], normal(B, 5))
    (_, s), ys = run()
    close(s, 0.8**6 * run.state[1])
    assert ys.shape[-1] == H + 5
    np.testing.assert_array_equal(ys[-1, :, H:], s)


# --- elementwise --------------------------------------------------------------------------------------------------


@known("indrnn")
def active_units_multiply():
    run = CellRun("indrnn").zeroed("weight_ih")
    run.params["bias"] += 1
    run.state = np.abs(normal(B, H))
    u = run.params["u"]
    close(run()[1][-1], u**6 * run.state + (1 - u**6) / (1 - u))


@known("sru")
def sru_carries_on_its_highway():
    run = CellRun("sru")
    run.params["bias"][H:] = SHUT
    close(run()[1], run.xs @ run.params["weight_ih"][3 * H :].T)


@known("brc")
def bistable_above_one():
    """h = tanh(a h) has one fixed point for a <= 1 and three for a > 1: a = 1 ± tanh 1 here."""
    for sign, stays in ((1, True), (-1, False)):
        run = CellRun("brc", T=300).zeroed()
        run.params["bias"][:H] = sign
        run.state = np.full((B, H), 0.1)
        h = run()[1][-1]
        close(h, np.tanh((1 + np.tanh(sign)) * h), atol=1e-9)
        assert (h > 0.5).all() == stays


@known("qrnn")
def a_convolution_by_hand():
    run = CellRun("qrnn", width=3)
    xs, kernel = run.xs, run.params["kernel"]
    c, true = np.zeros((B, H)), []
    for t in range(len(xs)):
        mixed = sum(xs[t - k] @ kernel[k].T for k in range(3) if t >= k)
        z, f, o = np.split(mixed, 3, axis=-1)
        c = sigmoid(f) * c + (1 - sigmoid(f)) * np.tanh(z)
        true.append(sigmoid(o) * c)
    close(run()[1], np.stack(true))


@known("gilr")
def an_average_of_impulses():
    run = CellRun("gilr").zeroed("weight_ih")
    run.params["bias"] = np.repeat([np.log(3.0), 0.4], H)
    close(run()[1][-1], np.full((B, H), np.tanh(0.4) * (1 - 0.75**6)))


# --- time ---------------------------------------------------------------------------------------------------------


@known("clockwork")
def silent_modules_copy():
    run = CellRun("clockwork", T=9, modules=4)
    _, ys = run()
    for module in range(4):
        units = slice(2 * module, 2 * module + 2)
        moved = np.abs(np.diff(ys[:, :, units], axis=0)).max(axis=(1, 2)) > 0
        assert moved.tolist() == [t % 2**module == 0 for t in range(1, 9)]


@known("phased_lstm")
def shut_units_copy():
    run = CellRun("phased_lstm", leak=0.0, ratio=0.05)
    run.params["log_tau"][:] = np.log(1e6)
    run.params["shift"][:] = -5e5  # half a period from now they open
    before = (normal(B, H), normal(B, H, seed=8))
    run.state = (before, run.state[1])
    (after, _), _ = run()
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1], before[1])


@known("dilated_lstm", "dilated_gru")
def copies_take_turns(name):
    run = CellRun(name, T=9, dilation=3)
    _, ys = run()
    base = CellRun(name.removeprefix("dilated_"), T=3)
    base.params = run.params
    for turn in range(3):
        base.xs = run.xs[turn::3]
        np.testing.assert_array_equal(base()[1], ys[turn::3])


# --- orthogonal ---------------------------------------------------------------------------------------------------


@known("exprnn", "scornn", "ornn")
def recurrent_matrices_are_orthogonal(name):
    run = CellRun(name, T=500, D=1)
    U = run.model.cell.derived(OPS, run.params)["rotation"]
    close(U @ U.T, np.eye(H), atol=1e-12)
    close(np.linalg.det(U), 1.0 if name != "scornn" else np.prod(run.params["signs"]), rtol=1e-10)
    if name != "ornn":
        run.zeroed("bias", "weight_ih")
        run.state = normal(B, H)
        norms = np.linalg.norm(run()[1], axis=-1)
        close(norms, np.broadcast_to(np.linalg.norm(run.state, axis=-1), norms.shape), rtol=1e-11)


def test_the_matrix_exponential():
    angle = np.array([[0.0, -2.0], [2.0, 0.0]])
    close(expm(OPS, angle), [[np.cos(2), -np.sin(2)], [np.sin(2), np.cos(2)]])


@known("esn")
def the_spectral_radius_is_what_was_asked_for():
    run = CellRun("esn", radius=0.7, leak=0.5)
    close(np.abs(np.linalg.eigvals(run.params["weight_hh"])).max(), 0.7)
    run.zeroed("weight_ih", "weight_hh")
    run.state = normal(B, H)
    close(run()[1][-1], run.state / 2**6)
    assert run.weights().count == 0


# --- dynamical ----------------------------------------------------------------------------------------------------


@known("antisymmetric")
def singular_values_at_rest():
    run = CellRun("antisymmetric", epsilon=0.1, gamma=0.0)
    run.xs *= 0
    W = run.params["weight_hh"]
    rates = np.linalg.eigvals(W - W.T).imag
    found = np.linalg.svd(jacobian(run), compute_uv=False)
    close(np.sort(found), np.sort(np.sqrt(1 + 0.01 * rates**2)), rtol=1e-8)


@known("cornn")
def damped_volume():
    run = CellRun("cornn", dt=0.1, epsilon=2.0)
    run.params["weight_hh"][:, H:] = 0
    run.state = (normal(B, H), normal(B, H, seed=8))
    close(np.linalg.det(jacobian(run)), (1 - 0.1 * 2.0) ** H, rtol=1e-8)


@known("unicornn")
def kept_volume():
    run = CellRun("unicornn")
    run.state = (normal(B, H), normal(B, H, seed=8))
    close(np.linalg.det(jacobian(run)), 1.0, rtol=1e-8)


@known("lem")
def lem_without_time():
    run = CellRun("lem", dt=0.0)
    run.state = (normal(B, H), normal(B, H, seed=8))
    np.testing.assert_array_equal(run()[1][-1], run.state[0])
    step = CellRun("lem", T=1)
    y, z = step.state = (normal(B, H), normal(B, H, seed=8))
    drives = np.split(step.xs[0] @ step.params["weight_ih"].T + step.params["bias"], 4, axis=-1)
    first, second, of_z = np.split(y @ step.params["weight_y"].T, 3, axis=-1)
    d1, d2 = sigmoid(first + drives[0]), sigmoid(second + drives[1])
    z = (1 - d1) * z + d1 * np.tanh(of_z + drives[2])
    close(step()[1][0], (1 - d2) * y + d2 * np.tanh(z @ step.params["weight_z"].T + drives[3]))  # the new z


@known("lipschitz")
def lipschitz_is_linear_without_w():
    run = CellRun("lipschitz", gamma=0.0, beta=0.75).zeroed("M_W", "weight_ih")
    run.params["M_W"] *= 0
    run.state = normal(B, H)
    M = run.params["M_A"]
    A = 0.25 * (M + M.T) + 0.75 * (M - M.T)
    true = np.linalg.matrix_power(np.eye(H) + 0.1 * A, 6) @ run.state[0]
    close(run()[1][-1, 0], true)


@known("cfc")
def cfc_without_weights_of_time():
    """Without a way of the state back, and s = 1/2: y = (g + f)/2 of the inputs."""
    run = CellRun("cfc", T=1).zeroed("weight_hh")
    run.params["weight_heads"][2 * H :] = 0
    u = 1.7159 * np.tanh(0.666 * run.xs @ run.params["weight_ih"].T)
    g, f = np.split(np.tanh(u @ run.params["weight_heads"][: 2 * H].T), 2, axis=-1)
    close(run()[1], (g + f) / 2)


@known("ltc")
def ltc_stays_between_its_potentials():
    run = CellRun("ltc", T=50)
    run.xs *= 10
    _, ys = run()
    assert np.abs(ys).max() <= 1
    leaking = CellRun("ltc", T=200)
    leaking.params |= {name: leaking.params[name] - 1e3 for name in ("w_x", "w_h")}  # no synapse conducts
    close(leaking()[1][-1], np.broadcast_to(leaking.params["rest"], (B, H)), rtol=1e-6)


@known("lmu")
def a_constant_is_the_first_polynomial():
    run = CellRun("lmu", T=200, order=4, theta=16.0).zeroed("encode_h")
    run.xs = np.ones_like(run.xs)
    (_, m), _ = run()
    u = run.params["encode_x"].sum()
    close(m, np.broadcast_to([u, 0, 0, 0], (B, 4)), atol=1e-6)
    A, _ = delay_system(4, 16.0)
    assert np.abs(np.linalg.eigvals(A)).max() < 1


@known("hippo_legs")
def eigenvalues_and_a_constant():
    close(np.sort(np.linalg.eigvals(legs(6)[0]).real), np.arange(1, 7))
    run = CellRun("hippo_legs", order=4).zeroed("encode_h")
    run.xs = np.ones_like(run.xs)
    u = run.params["encode_x"].sum()
    (h, c), *clock = run.state
    run.state = ((h, c + np.array([u, 0, 0, 0])), *clock)
    ((_, c), *_), _ = run()
    close(c, np.broadcast_to([u, 0, 0, 0], (B, 4)))


# --- linear in the state ------------------------------------------------------------------------------------------


def convolved(us: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Σ_k kernel_k ∘ us_{t−k} by the FFT."""
    n = 2 * len(us)
    return np.fft.irfft(np.fft.rfft(us, n, axis=0) * np.fft.rfft(kernel, n, axis=0)[:, None], n, axis=0)[: len(us)]


@known("s4d")
def a_convolution_by_fft():
    run = CellRun("s4d", T=30, states=4)
    made = run.model.cell.derived(OPS, run.params)
    C = run.params["C_re"] + 1j * run.params["C_im"]
    kernel = np.stack([2 * (C * made["B_bar"] * made["A_bar"] ** k).sum(-1).real for k in range(30)])
    us = run.xs @ run.params["weight_ih"].T
    close(run()[1], convolved(us, kernel) + run.params["D"] * us, atol=1e-12)


@known("s5")
def a_convolution_of_matrices():
    run = CellRun("s5", T=12, states=4)
    made = run.model.cell.derived(OPS, run.params)
    C = run.params["C_re"] + 1j * run.params["C_im"]
    kernel = [2 * ((C * made["A_bar"] ** k) @ made["B_bar"]).real for k in range(12)]
    true = sum(run.xs[11 - k] @ kernel[k].T for k in range(12)) + run.xs[11] @ run.params["D"].T
    close(run()[1][-1], true)


@known("rglru")
def variance_is_kept():
    run = CellRun("rglru").zeroed("weight_gates")
    run.params["bias_gates"][H:] = OPEN
    run.xs = np.ones_like(run.xs)
    run.params["weight_ih"] = np.full((H, H), 1 / H)
    a, b = run.model.cell.open(OPS, run.params, run.state, run.xs).zs
    close(a**2 + b**2, np.ones_like(a))
    close(run()[1][-1], (b * (1 - a**6) / (1 - a))[0])


@known("mamba")
def a_geometric_series():
    run = CellRun("mamba", states=3).zeroed("dt_up", "D")
    run.xs = np.broadcast_to(run.xs[:1], run.xs.shape)
    u = run.xs[0] @ run.params["weight_ih"].T
    B_, C = u @ run.params["weight_B"].T, u @ run.params["weight_C"].T
    dt = np.log1p(np.exp(run.params["bias_dt"]))[:, None]
    a = np.exp(-dt * np.exp(run.params["A_log"]))
    h = (1 - a**6) / (1 - a) * dt * B_[:, None, :] * u[..., None]
    close(run()[1][-1], (h * C[:, None, :]).sum(-1))


@known("hgrn", "hgrn2")
def at_the_upper_bound_all_is_kept(name):
    run = CellRun(name, lower_bound=1.0)
    run.state = normal(*run.state.shape)
    np.testing.assert_array_equal(run()[0], run.state)


@known("gateloop")
def a_spiral():
    run = CellRun("gateloop").zeroed("weight_ih")
    run.params["bias"] = np.repeat([1.0, 1.0, 0.5, np.log(3.0), 0.7], H)
    a = 0.75 * np.exp(0.7j)
    close(run()[1][-1], np.full((B, H), (0.5 * (1 - a**6) / (1 - a)).real))


# --- matrix states ------------------------------------------------------------------------------------------------


def heads_of(x: np.ndarray, heads: int) -> np.ndarray:
    return x.reshape(*x.shape[:-1], heads, -1)


def attended(log_a: np.ndarray, k: np.ndarray, v: np.ndarray, q: np.ndarray) -> np.ndarray:
    """os of the outer recurrence in parallel: Σ_{s<=t} Σ_i q_ti k_si exp(L_ti − L_si) v_s, all (T, B, heads, ·)."""
    L = np.cumsum(np.broadcast_to(log_a, k.shape), axis=0)
    return np.stack([sum((q[t] * k[s] * np.exp(L[t] - L[s])).sum(-1, keepdims=True) * v[s] for s in range(t + 1))
                     for t in range(len(k))])  # fmt: skip


@known("retnet", "gla")
def recurrent_is_parallel(name):
    run = CellRun(name, heads=2)
    q, k, v = (heads_of(run.xs @ run.params[f"weight_{one}"].T, 2) for one in "qkv")
    if name == "retnet":
        log_a = np.log(1 - 2.0 ** np.array([-5.0, -6.0]))[:, None]
    else:
        gate = run.xs @ run.params["gate_down"].T @ run.params["gate_up"].T + run.params["gate_bias"]
        log_a = heads_of(np.log(sigmoid(gate)) / 16, 2)
    close(run()[1], attended(log_a, k, v, q / 2).reshape(6, B, H), atol=1e-12)


@known("mamba2")
def structured_duality():
    run = CellRun("mamba2", heads=2, states=3)
    x = heads_of(run.xs @ run.params["weight_x"].T, 2)
    k, q = ((run.xs @ run.params[f"weight_{one}"].T)[..., None, :] for one in "BC")
    dt = np.log1p(np.exp(run.xs @ run.params["weight_dt"].T + run.params["bias_dt"]))[..., None]
    k, q = (np.broadcast_to(one, (*dt.shape[:-1], 3)) for one in (k, q))
    true = attended(-np.exp(run.params["A_log"])[:, None] * dt, k, dt * x, q) + run.params["D"][:, None] * x
    close(run()[1], true.reshape(6, B, H), atol=1e-12)


@known("mlstm")
def the_stabiliser_cancels():
    run = CellRun("mlstm", heads=2)
    run.params["bias_gates"][:2] = 1.0
    C, n, m = (normal(*leaf.shape, seed=seed) for seed, leaf in enumerate(run.state))
    run.state = (C, n, m)
    _, ys = run()
    run.state = (C * np.exp(-4.0), n * np.exp(-4.0), m + 4.0)
    close(run()[1], ys, atol=1e-12)


@known("slstm")
def a_weighted_mean():
    run = CellRun("slstm", heads=2).zeroed("weight_ih", "weight_hh")
    run.params["bias"][2 * H :] = np.repeat([0.6, 0.4], H)
    close(run()[1][-1], np.full((B, H), np.tanh(0.6) * sigmoid(0.4)))


@known("rwkv6")
def read_before_written():
    run = CellRun("rwkv6", T=1, heads=2)
    before = 0 * run.xs
    mixed = {}
    for role in "rkv":
        gap = before - run.xs
        low = np.tanh((run.xs + gap * run.params["mix"]) @ run.params[f"mix_{role}_down"].T)
        x = run.xs + gap * (run.params[f"mix_{role}"] + low @ run.params[f"mix_{role}_up"].T)
        mixed[role] = heads_of(x @ run.params[f"weight_{role}"].T, 2)
    bonus = run.params["bonus"].reshape(2, -1)
    true = (mixed["r"] * bonus * mixed["k"]).sum(-1, keepdims=True) * mixed["v"]
    close(run()[1], true.reshape(1, B, H))


@known("rwkv7")
def without_removal_it_is_attention():
    run = CellRun("rwkv7", heads=2).zeroed("rate_up", "replacement")
    run.params["rate"] += SHUT
    opened = run.model.cell.open(OPS, run.params, run.state, run.xs)
    r, k, v, log_w, _, a = opened.zs
    assert not a.any()
    bonus = (r * run.params["bonus"].reshape(2, -1) * k).sum(-1, keepdims=True) * v
    close(run()[1], (attended(log_w, k, v, r) + bonus).reshape(6, B, H), atol=1e-12)
    before = np.concatenate([0 * run.xs[:1], run.xs[:-1]])
    shifted = run.xs + (before - run.xs) * run.params["mix_v"]
    close(v, heads_of(shifted @ run.params["weight_v"].T, 2))


@known("deltanet", "gated_deltanet")
def a_step_removes_beta(name):
    """The map of S has the determinant α^dk (1 − β) in each column."""
    run = CellRun(name, heads=2)
    opened = run.model.cell.open(OPS, run.params, run.state, run.xs)
    assert run.model.cell.elements is not None
    log_a, b, c, *_ = run.model.cell.elements(OPS, opened.params, opened.zs)
    beta = sigmoid(run.xs @ run.params["weight_beta"].T)
    maps = np.exp(log_a)[..., None] * np.eye(4) + b[..., None] * c[..., None, :]
    close(np.linalg.det(maps), np.exp(4 * log_a[..., 0]) * (1 - beta), rtol=1e-4)


@known("gated_deltaproduct")
def keys_are_replaced_one_after_the_other():
    """With β = 1 and unit keys, what the last key reads is the last value."""
    run = CellRun("gated_deltaproduct", heads=2, householders=3)
    run.xs = np.abs(run.xs)
    run.params["weight_beta"] = np.full_like(run.params["weight_beta"], 1e3)
    S, _ = run()
    k = run.xs[-1] @ run.params["weight_k"][2].T
    k = heads_of(k * sigmoid(k), 2)
    k = k / np.linalg.norm(k, axis=-1, keepdims=True)
    v = heads_of(run.xs[-1] @ run.params["weight_v"][2].T, 2)
    close((k[..., None, :] @ S)[..., 0, :], v, rtol=1e-3, atol=1e-3)


@known("ttt_linear")
def a_step_descends_its_loss():
    run = CellRun("ttt_linear", T=1, heads=1, D=3, H=3)
    W = normal(B, 1, 3, 3)
    run.state = W
    k, v = (run.xs[0] @ run.params[f"weight_{one}"].T for one in "kv")
    rate = sigmoid(run.xs[0] @ run.params["weight_beta"].T)

    def loss(W):
        z = k[0] @ W
        z = (z - z.mean()) / np.sqrt(z.var() + 1e-6)
        return 0.5 * ((k[0] + z - v[0]) ** 2).sum()

    units = 1e-6 * np.eye(9).reshape(9, 3, 3)
    slope = np.array([(loss(W[0, 0] + unit) - loss(W[0, 0] - unit)) / 2e-6 for unit in units]).reshape(3, 3)
    close(run()[0][0, 0], W[0, 0] - rate[0] * slope, rtol=1e-6, atol=1e-7)


@known("ttt_minibatch")
def a_mini_batch_descends_its_whole_loss():
    """W after b steps is W_0 less the gradient of the sum of their losses, and the next b steps start from there."""
    run = CellRun("ttt_minibatch", T=6, heads=1, norm=False, mini_batch=3, D=3, H=3)
    W = normal(B, 1, 3, 3)
    run.state = ((W, W), run.state[1])
    k, v = (run.xs @ run.params[f"weight_{one}"].T for one in "kv")
    rate = sigmoid(run.xs @ run.params["weight_beta"].T)
    W = W[:, 0]
    for start in (0, 3):
        rows = slice(start, start + 3)
        errors = np.einsum("tbi,bij->tbj", k[rows], W) - v[rows]
        W = W - np.einsum("tbi,tbj->bij", rate[rows] * k[rows], errors)
    close(run()[0][0][1][:, 0], W, atol=1e-12)


# --- one step by hand, where a cell departs from its relatives ------------------------------------------------------


def one_step(name, *zeroed, **options):
    """A run of one step from a state of standard normal numbers, with zeros in these parameters."""
    run = CellRun(name, T=1, **options)
    if zeroed:
        run.zeroed(*zeroed)
    leaves = [normal(*leaf.shape, seed=k) for k, leaf in enumerate(_all(run.state))]
    run.state = tuple(leaves) if isinstance(run.state, tuple) else leaves[0]
    return run


def _all(state):
    return state if isinstance(state, tuple) else (state,)


def apart(one, other):
    assert np.abs(one - other).max() > 0.01


@known("lstm_peephole")
def peepholes_look_at_the_old_and_the_new_cell():
    run = one_step("lstm_peephole", "weight_ih", "weight_hh", "bias")
    run.params["bias"] = np.repeat([0, 0, 0.7, 0], H)  # tanh(g) of each unit
    p_i, p_f, p_o = (run.params[f"peephole_{gate}"] * 5 for gate in "ifo")
    run.params |= {"peephole_i": p_i, "peephole_f": p_f, "peephole_o": p_o}
    _, c = run.state
    (_, new), ys = run()
    close(new, sigmoid(p_f * c) * c + sigmoid(p_i * c) * np.tanh(0.7))
    close(ys[0], sigmoid(p_o * new) * np.tanh(new))
    apart(ys[0], sigmoid(p_o * c) * np.tanh(new))


@known("lstm_proj")
def the_projection_is_what_is_shown_and_fed_back():
    run = one_step("lstm_proj", "weight_ih", "weight_hh", "bias")
    _, c = run.state
    (h, new), ys = run()
    close(new, c / 2)
    close(ys[0], np.tanh(c / 2) / 2 @ run.params["weight_hr"].T)
    close(h, ys[0])


@known("gru_v3", "mgu")
def the_gate_acts_before_the_product(name):
    run = one_step(name, "weight_ih")
    run.params["weight_hh"][:-H] = 0  # gates of their biases alone
    run.params["bias"] = 2 * normal(len(run.params["bias"]))
    gates, b = sigmoid(run.params["bias"][:-H]), run.params["bias"][-H:]
    first, last, h, U = gates[:H], gates[-H:], run.state, run.params["weight_hh"][-H:]

    def after(n):
        return last * h + (1 - last) * n if name == "gru_v3" else (1 - last) * h + last * n

    _, ys = run()
    close(ys[0], after(np.tanh((first * h) @ U.T + b)))
    apart(ys[0], after(np.tanh(first * (h @ U.T) + b)))


@known("fastgrnn")
def the_gate_and_the_candidate_share_their_product():
    run = one_step("fastgrnn")
    run.params |= {"zeta": np.array(0.0), "nu": np.array(0.0), "bias_z": normal(H)}
    h, p = run.state, run.params
    m = run.xs[0] @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias"]
    z = sigmoid(m + p["bias_z"])
    close(run()[1][0], (1 - z / 2) * np.tanh(m) + z * h)  # (1 − z)/2 + 1/2


@known("mi_rnn")
def inputs_and_states_are_multiplied():
    run = one_step("mi_rnn", D=H)
    run.params |= {"weight_ih": np.eye(H), "weight_hh": np.eye(H), "bias": np.full(H, 0.1)}
    x, h = run.xs[0], run.state
    close(run()[1][0], np.tanh(x * h + h / 2 + x / 2 + 0.1))


@known("nbrc")
def the_feedback_of_a_unit_depends_on_other_units():
    run = one_step("nbrc", "weight_ih", "bias")
    turn = np.roll(np.eye(H), 1, axis=1)  # (turn h)_i = h_{i+1}
    run.params |= {"weight_a": 2 * turn, "weight_c": -turn}
    h, near = run.state, np.roll(run.state, -1, axis=1)
    c = sigmoid(-near)
    close(run()[1][0], c * h + (1 - c) * np.tanh((1 + np.tanh(2 * near)) * h))


@known("trnn")
def the_candidate_is_not_squashed():
    """With constant gates the distance to it shrinks by f at each step."""
    run = CellRun("trnn").zeroed("weight_ih")
    run.params["bias"] = np.repeat([np.log(3.0), 5.0], H)  # f = 3/4, z = 5
    run.state = normal(B, H)
    close(run()[1][-1], 5 + 0.75**6 * (run.state - 5))


@known("antisymmetric_gated")
def the_gate_sees_the_same_product():
    run = one_step("antisymmetric_gated", "weight_ih", epsilon=0.5, gamma=0.2)
    run.params["bias"] = normal(2 * H)
    W, h, b = run.params["weight_hh"], run.state, run.params["bias"]
    turned = h @ (W - W.T - 0.2 * np.eye(H)).T
    close(run()[1][0], h + 0.5 * sigmoid(turned + b[H:]) * np.tanh(turned + b[:H]))


# --- all of them --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_answer(name):
    KNOWN[name]()


COUNTS: dict[str, Callable[[int, int], int]] = {
    "rnn": lambda D, H: H * (D + H + 2),
    "irnn": lambda D, H: H * (D + H + 2),
    "lstm": lambda D, H: 4 * H * (D + H + 2),
    "gru": lambda D, H: 3 * H * (D + H + 2),
    "mingru": lambda D, H: 2 * H * (D + 1),
    "minlstm": lambda D, H: 3 * H * (D + 1),
    "lru": lambda D, H: H * (3 * D + 2 * H + 3),
    "lstm_peephole": lambda D, H: 4 * H * (D + H + 1) + 3 * H,
    "lstm_cifg": lambda D, H: 3 * H * (D + H + 1),
    "lstm_proj": lambda D, H: 8 * H * (D + H + 1) + 2 * H * H,
    "lstm_ln": lambda D, H: 4 * H * (D + H + 1) + 10 * H,
    "multiplicative_lstm": lambda D, H: H * (5 * D + 5 * H + 4),
    "nas": lambda D, H: 8 * H * (D + H + 1),
    "gru_v3": lambda D, H: 3 * H * (D + H + 1),
    "mgu": lambda D, H: 2 * H * (D + H + 1),
    "ugrnn": lambda D, H: 2 * H * (D + H + 1),
    "minimalrnn": lambda D, H: H * (D + 2 * H + 2),
    "janet": lambda D, H: 2 * H * (D + H + 1),
    "cfn": lambda D, H: H * (3 * D + 2 * H + 2),
    "fastrnn": lambda D, H: H * (D + H + 1) + 2,
    "fastgrnn": lambda D, H: H * (D + H + 2) + 2,
    "ran": lambda D, H: H * (3 * D + 2 * H + 2),
    "atr": lambda D, H: H * (D + H),
    "ligru": lambda D, H: 2 * H * (D + H + 1),
    "star": lambda D, H: H * (2 * D + H + 2),
    "mut1": lambda D, H: H * (3 * D + 2 * H + 3),
    "mut2": lambda D, H: 3 * H * (D + H + 1),
    "mut3": lambda D, H: 3 * H * (D + H + 1),
    "mi_rnn": lambda D, H: H * (D + H + 4),
    "rhn": lambda D, H: 2 * H * (D + 3 * (H + 1)),
    "scrn": lambda D, H: H * (D + H + 16) + 16 * D,
    "indrnn": lambda D, H: H * (D + 2),
    "sru": lambda D, H: 4 * H * (D + 1),
    "brc": lambda D, H: H * (3 * D + 5),
    "nbrc": lambda D, H: H * (3 * D + 2 * H + 3),
    "qrnn": lambda D, H: 3 * H * (2 * D + 1),
    "gilr": lambda D, H: 2 * H * (D + 1),
    "trnn": lambda D, H: 2 * H * (D + 1),
    "clockwork": lambda D, H: H * (D + H + 1),
    "phased_lstm": lambda D, H: 4 * H * (D + H + 1) + 2 * H,
    "dilated_lstm": lambda D, H: 4 * H * (D + H + 2),
    "dilated_gru": lambda D, H: 3 * H * (D + H + 2),
    "esn": lambda D, H: 0,
    "exprnn": lambda D, H: H * (D + H + 1),
    "scornn": lambda D, H: H * (D + H + 1),
    "ornn": lambda D, H: H * (D + 8 + 1),
    "antisymmetric": lambda D, H: H * (D + H + 1),
    "antisymmetric_gated": lambda D, H: H * (2 * D + H + 2),
    "cornn": lambda D, H: H * (D + 2 * H + 1),
    "unicornn": lambda D, H: H * (D + 3),
    "lem": lambda D, H: 4 * H * (D + H + 1),
    "lipschitz": lambda D, H: H * (D + 2 * H + 1),
    "cfc": lambda D, H: 32 * (D + H + 1) + 4 * H * 33,
    "ltc": lambda D, H: 4 * H * (D + H) + 3 * H,
    "lmu": lambda D, H: (H + 1) * (D + H + 8) + H,
    "hippo_legs": lambda D, H: (H + 1) * (D + H) + H * 9,
    "s4d": lambda D, H: H * (D + 2 + 2 * 16),
    "s5": lambda D, H: 3 * 8 + 2 * 8 * D + 2 * H * 8 + H * D,
    "rglru": lambda D, H: H * (D + 2 * H + 3),
    "mamba": lambda D, H: H * (D + 3 * 16 + 2 * 1 + 2),
    "hgrn": lambda D, H: 3 * H * (D + 1),
    "gateloop": lambda D, H: 5 * H * (D + 1),
    "retnet": lambda D, H: 3 * H * D,
    "gla": lambda D, H: 3 * H * D + 16 * (D + H) + H,
    "mamba2": lambda D, H: D * (H + 2 * 16 + 4) + 3 * 4,
    "hgrn2": lambda D, H: 3 * H * D,
    "mlstm": lambda D, H: D * (4 * H + 2 * 4) + 2 * 4 + H,
    "slstm": lambda D, H: 4 * H * (D + H // 4 + 1),
    "rwkv6": lambda D, H: 3 * H * D + 5 * D + 9 * 8 * D + 8 * H + 2 * H,
    "rwkv7": lambda D, H: 3 * H * D + 5 * D + 2 * 8 * (D + H) + 5 * H,
    "deltanet": lambda D, H: D * (3 * H + 4),
    "gated_deltanet": lambda D, H: D * (3 * H + 8) + 8,
    "gated_deltaproduct": lambda D, H: D * (3 * H + 2 * H + 3 * 4) + 8,
    "ttt_linear": lambda D, H: D * (3 * H + 1) + 2 * H,
    "ttt_minibatch": lambda D, H: D * (3 * H + 1) + 2 * H,
}
"""Parameters that are trained, as the cells' documentation says, at their default options."""


LATER = {cell.name for family in list(rnnbench_cells.FAMILIES)[1:] for cell in rnnbench_cells.FAMILIES[family]}
"""All cells but those of the first days, which test_cells.py knows."""


def test_no_cell_is_without_a_known_answer():
    assert set(KNOWN) == LATER


def test_parameters_are_as_many_as_is_said():
    from rnnbench import Model, initialise

    assert set(COUNTS) == set(CELLS)
    found = {name: initialise(Model(CELLS[name], 12, 16), 0).count for name in COUNTS}
    assert found == {name: count(12, 16) for name, count in COUNTS.items()}
