"""The shipped cells against independent truths: torch.nn, recurrences written out by hand, closed forms."""

from __future__ import annotations

import cmath
import contextlib
import math
from types import SimpleNamespace

import numpy as np
import pytest

import rnnbench_cells
from rnnbench.cell import leaves, tree_map
from rnnbench.errors import UsageError
from rnnbench.model import Model, initialise
from rnnbench.model.oracle import directional_derivative, unroll
from rnnbench.ops import numpy_ops
from rnnbench.registry.spelling import checked
from rnnbench_cells import gru, irnn, lru, lstm, mingru, minlstm, rnn

CELLS = {cell.name: cell for cell in rnnbench_cells.FAMILIES["first"]}
LINEAR = [cell for cell in CELLS.values() if cell.linear is not None]
T, B, D, H = 5, 3, 5, 4
OPS = numpy_ops()

every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
every_linear_cell = pytest.mark.parametrize("cell", LINEAR, ids=[cell.name for cell in LINEAR])


def drawn(cell, D=D, H=H, seed=0, **options):
    """Weights of the cell and a random state, so that a wrong use of the state cannot hide behind zeros."""
    params, state = cell.init(np.random.default_rng(seed), D, H, **options)
    rng = np.random.default_rng(seed + 1)

    def random(leaf):
        real = rng.normal(size=(B, *leaf.shape))
        return real + 1j * rng.normal(size=real.shape) if np.iscomplexobj(leaf) else real

    return params, tree_map(random, state)


def inputs(T=T, D=D, seed=2):
    return np.random.default_rng(seed).normal(size=(T, B, D))


# --- what every cell promises -------------------------------------------------------------------------------------


def test_the_seven_cells_are_there():
    assert list(CELLS) == ["rnn", "irnn", "lstm", "gru", "mingru", "minlstm", "lru"]
    assert [cell.name for cell in LINEAR] == ["mingru", "minlstm", "lru"]


@every_cell
def test_parameters_are_real_float64_and_the_state_has_no_batch_axis(cell):
    params, state = cell.init(np.random.default_rng(0), D, H)
    assert all(array.dtype == np.float64 and np.isfinite(array).all() for array in params.values())
    assert all(leaf.shape == (H,) and not leaf.any() for leaf in leaves(state))
    assert cell.source


@every_cell
def test_same_seed_same_weights_other_seed_other_weights(cell):
    first, again, other = (cell.init(np.random.default_rng(seed), D, H)[0] for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert any(not np.array_equal(first[name], other[name]) for name in first)


@every_cell
def test_declared_options_are_those_of_init(cell):
    params, _ = cell.init(np.random.default_rng(0), D, H)
    explicit, _ = cell.init(np.random.default_rng(0), D, H, **cell.options)
    assert all(np.array_equal(params[name], explicit[name]) for name in params)


@every_cell
def test_project_sees_one_time_step_at_a_time(cell):
    params, _ = drawn(cell)
    xs = inputs()
    changed = xs.copy()
    changed[3] += 1
    for before, after in zip(
        leaves(cell.projected(OPS, params, xs)), leaves(cell.projected(OPS, params, changed)), strict=True
    ):
        assert before.shape[:2] == (T, B)
        differs = np.abs(after - before).reshape(T, -1).max(1) > 0
        assert differs.tolist() == [t == 3 for t in range(T)]


@every_cell
def test_two_halves_give_the_whole(cell):
    params, state = drawn(cell)
    xs = inputs()
    run = unroll(cell)
    whole_state, whole = run(params, state, xs)
    middle, first = run(params, state, xs[:3])
    end, second = run(params, middle, xs[3:])
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-12, atol=1e-14)
    for a, b in zip(leaves(end), leaves(whole_state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@every_cell
def test_sequences_of_a_batch_do_not_see_each_other(cell):
    params, state = drawn(cell)
    xs = inputs()
    _, whole = unroll(cell)(params, state, xs)
    _, alone = unroll(cell)(params, tree_map(lambda leaf: leaf[1:2], state), xs[:, 1:2])
    np.testing.assert_allclose(alone, whole[:, 1:2], rtol=1e-12, atol=1e-14)


# --- one mathematics on every framework ---------------------------------------------------------------------------


def _numpy():
    return SimpleNamespace(ops=OPS, put=np.asarray, context=contextlib.nullcontext)


def _torch():
    torch = pytest.importorskip("torch")
    from rnnbench_torch.ops import torch_ops

    return SimpleNamespace(ops=torch_ops(), put=lambda a: torch.tensor(np.array(a)), context=contextlib.nullcontext)


def _jax():
    jax = pytest.importorskip("jax")
    from rnnbench_jax.ops import jax_ops

    # With x64 on, an accidental float64 shows; with it off JAX would silently make it float32.
    return SimpleNamespace(ops=jax_ops(), put=jax.numpy.asarray, context=lambda: jax.enable_x64(True))


@pytest.fixture(params=[_numpy, _torch, _jax], ids=["numpy", "torch", "jax"])
def framework(request):
    return request.param()


def loop(ops, cell, params, state, xs):
    """(all states, all outputs) by the portable step."""
    zs = cell.projected(ops, params, xs)
    states, ys = [], []
    for t in range(xs.shape[0]):
        state, y = cell.advance(ops, params, state, tree_map(lambda part, t=t: part[t], zs))
        states.append(state)
        ys.append(y)
    return zs, states, ops.stack(ys)


def cast(array, dtype):
    return array.astype(f"complex{2 * int(dtype[5:])}" if np.iscomplexobj(array) else dtype)


def on(framework, dtype, params, state, xs):
    def move(array):
        return framework.put(cast(array, dtype))

    return {name: move(array) for name, array in params.items()}, tree_map(move, state), move(xs)


@every_cell
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-5)])
def test_same_numbers_on_every_framework(cell, framework, dtype, tolerance):
    params, state = drawn(cell)
    final, expected = unroll(cell)(params, state, inputs())
    with framework.context():
        _, states, ys = loop(framework.ops, cell, *on(framework, dtype, params, state, inputs()))
        np.testing.assert_allclose(np.asarray(ys), expected, rtol=tolerance, atol=tolerance)
        for leaf, truth in zip(leaves(states[-1]), leaves(final), strict=True):
            np.testing.assert_allclose(np.asarray(leaf), truth, rtol=tolerance, atol=tolerance)


@every_cell
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_precision_stays_what_it_was(cell, framework, dtype):
    params, state = drawn(cell)
    allowed = {dtype, f"complex{2 * int(dtype[5:])}"}
    with framework.context():
        zs, states, ys = loop(framework.ops, cell, *on(framework, dtype, params, state, inputs()))
        assert np.asarray(ys).dtype == dtype
        for before, after in zip(leaves(state), leaves(states[-1]), strict=True):
            assert np.asarray(after).dtype == cast(before, dtype).dtype
        assert {str(np.asarray(leaf).dtype) for leaf in leaves(zs)} <= allowed


@every_cell
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_gradients_are_those_of_the_mathematics(cell, name):
    """The framework differentiates the portable step; the truth is a difference quotient of the NumPy run."""
    params, state = drawn(cell)
    xs = inputs()
    rng = np.random.default_rng(7)
    direction = {key: rng.normal(size=array.shape) for key, array in params.items()}
    direction["xs"] = rng.normal(size=xs.shape)
    weights = rng.normal(size=(T, B, H))

    def truth(point):
        _, ys = unroll(cell)({key: point[key] for key in params}, state, point["xs"])
        return float((weights * ys).sum())

    expected = directional_derivative(truth, {**params, "xs": xs}, direction)
    gradients = {"torch": _torch_gradients, "jax": _jax_gradients}[name](cell, params, state, xs, weights)
    assert set(gradients) == set(direction)
    assert sum((gradients[key] * direction[key]).sum() for key in direction) == pytest.approx(expected, rel=1e-7)


def _torch_gradients(cell, params, state, xs, weights):
    framework = _torch()
    moved, state, xs = on(framework, "float64", params, state, xs)
    for tensor in (*moved.values(), xs):
        tensor.requires_grad_()
    _, _, ys = loop(framework.ops, cell, moved, state, xs)
    (framework.put(weights) * ys).sum().backward()
    return {key: tensor.grad.numpy() for key, tensor in {**moved, "xs": xs}.items()}


def _jax_gradients(cell, params, state, xs, weights):
    framework = _jax()
    import jax

    with framework.context():
        moved, state, xs = on(framework, "float64", params, state, xs)

        def loss(moved, xs):
            return (framework.put(weights) * loop(framework.ops, cell, moved, state, xs)[2]).sum()

        gradients, of_xs = jax.jit(jax.grad(loss, argnums=(0, 1)))(moved, xs)
        return {key: np.asarray(array) for key, array in {**gradients, "xs": of_xs}.items()}


# --- rnn, irnn, lstm, gru: torch's own modules take the weights as they are ---------------------------------------


def torch_module(cell):
    torch = pytest.importorskip("torch")
    classes = {
        "rnn": torch.nn.RNN,
        "irnn": lambda *a, **k: torch.nn.RNN(*a, nonlinearity="relu", **k),
        "lstm": torch.nn.LSTM,
        "gru": torch.nn.GRU,
    }
    return torch, classes[cell.name](D, H, dtype=torch.float64)


conventional = pytest.mark.parametrize("cell", [rnn, irnn, lstm, gru], ids=lambda cell: cell.name)


@conventional
def test_torch_module_on_the_same_weights(cell):
    torch, module = torch_module(cell)
    params, state = drawn(cell)
    if cell is irnn:  # its own weights keep ReLU away from the kink, and W_hh = I would hide a transposition
        params, _ = drawn(rnn)
    module.load_state_dict({f"{name}_l0": torch.tensor(array) for name, array in params.items()})
    initial = tree_map(lambda leaf: torch.tensor(leaf)[None], state)
    with torch.no_grad():
        expected, final = module(torch.tensor(inputs()), initial)
    got_state, got = unroll(cell)(params, state, inputs())
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-12, atol=1e-14)
    for leaf, truth in zip(leaves(got_state), leaves(final), strict=True):
        np.testing.assert_allclose(leaf, truth[0].numpy(), rtol=1e-12, atol=1e-14)


@conventional
def test_parameters_have_torch_names_and_shapes(cell):
    _, module = torch_module(cell)
    params, _ = drawn(cell)
    assert {f"{name}_l0": array.shape for name, array in params.items()} == {
        name: tuple(tensor.shape) for name, tensor in module.state_dict().items()
    }


@pytest.mark.parametrize("cell", [rnn, lstm, gru], ids=lambda cell: cell.name)
def test_initial_weights_are_uniform_as_in_torch(cell):
    size = 400
    params, _ = cell.init(np.random.default_rng(0), size, size)
    bound = size**-0.5
    for array in params.values():
        assert np.abs(array).max() <= bound
        assert np.abs(array).max() > 0.9 * bound
        assert array.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)


# --- rnn and irnn --------------------------------------------------------------------------------------------------


def test_orthogonal_recurrence_keeps_every_length():
    params, _ = rnn.init(np.random.default_rng(0), D, 30, recurrent="orthogonal", gain=1.1)
    W = params["weight_hh"]
    np.testing.assert_allclose(W @ W.T, 1.1**2 * np.eye(30), atol=1e-13)


def test_orthogonal_matrices_are_drawn_without_preference():
    """Haar measure: the trace has mean 0 and variance 1 (Diaconis & Shahshahani 1994); unsigned QR fails this."""
    traces = [
        np.trace(rnn.init(np.random.default_rng(seed), 1, 8, recurrent="orthogonal")[0]["weight_hh"])
        for seed in range(1000)
    ]
    assert abs(np.mean(traces)) < 4 / math.sqrt(1000)
    assert np.var(traces) == pytest.approx(1, abs=0.2)


def test_irnn_remembers_for_ever():
    params, _ = irnn.init(np.random.default_rng(0), D, H)
    memory = np.abs(np.random.default_rng(1).normal(size=(B, H)))
    final, _ = unroll(irnn)(params, memory, np.zeros((50, B, D)))
    np.testing.assert_array_equal(final, memory)


def test_irnn_with_half_the_identity_halves():
    params, _ = irnn.init(np.random.default_rng(0), D, H, gain=0.5)
    final, _ = unroll(irnn)(params, np.ones((B, H)), np.zeros((3, B, D)))
    np.testing.assert_array_equal(final, np.full((B, H), 0.125))


def test_irnn_initial_weights():
    params, _ = irnn.init(np.random.default_rng(0), 200, 100)
    assert params["weight_ih"].std() == pytest.approx(0.001, rel=0.02)
    np.testing.assert_array_equal(params["weight_hh"], np.eye(100))
    assert not params["bias_ih"].any()
    assert not params["bias_hh"].any()


# --- lstm and gru --------------------------------------------------------------------------------------------------


def test_lstm_parameter_count():
    weights = initialise(Model(lstm, input_size=123, hidden_size=320, output_size=10), 0)
    cell_only = sum(array.size for name, array in weights.params.items() if name.startswith("layers."))
    assert cell_only == 569_600
    assert cell_only + weights.params["head.weight"].size == 572_800


@pytest.mark.parametrize(("bias", "half_life"), [(0, 1.0), (1, 2.21), (2, 5.46), (5, 103.2)])
def test_lstm_half_life_by_forget_bias(bias, half_life):
    params, _ = drawn(lstm)
    params = {name: np.zeros_like(array) for name, array in params.items()}
    params["bias_hh"][H : 2 * H] = bias
    start = np.full((B, H), 0.7)
    (_, c), _ = unroll(lstm)(params, (np.zeros((B, H)), start), inputs(T=20))
    steps = -20 * math.log(2) / np.log(c / start)
    np.testing.assert_allclose(steps, math.log(2) / math.log1p(math.exp(-bias)), rtol=1e-11)
    np.testing.assert_allclose(steps, half_life, rtol=5e-3)


def test_forget_bias_is_the_sum_of_the_two_biases():
    plain, _ = drawn(lstm)
    biased, _ = drawn(lstm, forget_bias=5.0)
    total = biased["bias_ih"] + biased["bias_hh"]
    np.testing.assert_array_equal(total[H : 2 * H], 5.0)
    others = [*range(H), *range(2 * H, 4 * H)]
    np.testing.assert_array_equal(total[others], (plain["bias_ih"] + plain["bias_hh"])[others])
    np.testing.assert_array_equal(biased["weight_hh"], plain["weight_hh"])


def test_gru_with_zero_weights_halves():
    params, _ = drawn(gru)
    params = {name: np.zeros_like(array) for name, array in params.items()}
    _, ys = unroll(gru)(params, np.ones((B, H)), inputs())
    np.testing.assert_array_equal(ys[:, 0, 0], 0.5 ** np.arange(1, T + 1))


# --- the linear cells, written out one number at a time ------------------------------------------------------------


@every_linear_cell
def test_advance_is_the_linear_recurrence(cell):
    params, state = drawn(cell)
    zs, states, ys = loop(OPS, cell, params, state, inputs())
    a, b = cell.linear(OPS, params, zs)
    assert a.shape == b.shape == (T, B, H)
    h, hs = state, []
    for t in range(T):
        h = a[t] * h + b[t]
        hs.append(h)
    np.testing.assert_allclose(np.stack(states), np.stack(hs), rtol=1e-14)
    np.testing.assert_allclose(ys, cell.shown(OPS, params, np.stack(hs), zs), rtol=1e-13)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def affine(params, row, x):
    return math.fsum(w * v for w, v in zip(params["weight_ih"][row], x, strict=True)) + params["bias_ih"][row]


def test_mingru_by_hand():
    params, state = drawn(mingru)
    xs = inputs()
    _, ys = unroll(mingru)(params, state, xs)
    for unit in range(H):
        h = state[0, unit]
        for t in range(T):
            z = sigmoid(affine(params, unit, xs[t, 0]))
            h = (1 - z) * h + z * affine(params, H + unit, xs[t, 0])
            assert ys[t, 0, unit] == pytest.approx(h, rel=1e-12)


def test_minlstm_by_hand():
    params, state = drawn(minlstm)
    xs = inputs()
    _, ys = unroll(minlstm)(params, state, xs)
    for unit in range(H):
        h = state[0, unit]
        for t in range(T):
            f, i = (sigmoid(affine(params, row, xs[t, 0])) for row in (unit, H + unit))
            h = f / (f + i) * h + i / (f + i) * affine(params, 2 * H + unit, xs[t, 0])
            assert ys[t, 0, unit] == pytest.approx(h, rel=1e-12)


@pytest.mark.parametrize("closed", [-800.0, 800.0])
def test_minlstm_survives_both_gates_shut_or_open(closed, framework):
    params, state = drawn(minlstm)
    params = {"weight_ih": params["weight_ih"] * 0, "bias_ih": np.repeat([closed, closed, 3.0], H)}
    with framework.context():
        _, _, ys = loop(framework.ops, minlstm, *on(framework, "float32", params, state * 0, inputs()))
        np.testing.assert_allclose(np.asarray(ys)[:, 0, 0], 3 * (1 - 0.5 ** np.arange(1, T + 1)), rtol=1e-6)


def test_lru_by_hand():
    params, state = drawn(lru)
    xs = inputs()
    _, ys = unroll(lru)(params, state, xs)
    h = list(state[0])
    for t in range(T):
        for n in range(H):
            lam = cmath.exp(-math.exp(params["nu_log"][n]) + 1j * math.exp(params["theta_log"][n]))
            Bx = sum((params["B_re"][n, d] + 1j * params["B_im"][n, d]) * xs[t, 0, d] for d in range(D))
            h[n] = lam * h[n] + math.exp(params["gamma_log"][n]) * Bx
        for o in range(H):
            Ch = sum((params["C_re"][o, n] + 1j * params["C_im"][o, n]) * h[n] for n in range(H))
            skip = sum(params["D"][o, d] * xs[t, 0, d] for d in range(D))
            assert ys[t, 0, o] == pytest.approx(Ch.real + skip, rel=1e-11)


def test_lru_state_decays_with_the_eigenvalues():
    params, state = drawn(lru)
    final, _ = unroll(lru)(params, state, np.zeros((20, B, D)))
    radius = np.exp(-np.exp(params["nu_log"]))
    np.testing.assert_allclose(np.abs(final), np.abs(state) * radius**20, rtol=1e-11)


def test_lru_eigenvalues_fill_the_ring():
    params, _ = lru.init(np.random.default_rng(0), 1, 4000, r_min=0.5, r_max=0.9, max_phase=1.0)
    radius, phase = np.exp(-np.exp(params["nu_log"])), np.exp(params["theta_log"])
    assert radius.min() >= 0.5
    assert radius.max() <= 0.9
    assert (radius**2).mean() == pytest.approx((0.5**2 + 0.9**2) / 2, rel=0.01)  # uniform by area
    assert phase.max() <= 1.0
    assert phase.mean() == pytest.approx(0.5, rel=0.05)


def test_lru_normalisation_keeps_the_variance_of_white_noise():
    """Stationary E|h|² = γ² |B|² / (1 - |λ|²) must be |B|², row by row, whatever λ."""
    params, _ = lru.init(np.random.default_rng(0), 3, 1000)
    radius = np.exp(-np.exp(params["nu_log"]))
    np.testing.assert_allclose(np.exp(2 * params["gamma_log"]) / (1 - radius**2), 1, rtol=1e-9)


# --- bad options ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rnn(recurrent=orthogonl)", "Did you mean 'orthogonal'"),
        ("rnn(gain=nan)", "'gain' must be a finite number, found nan"),
        ("irnn(gain=inf)", "'gain' must be a finite number, found inf"),
        ("lstm(forget_bias=nan)", "'forget_bias' must be a finite number"),
        ("lru(r_min=0.9, r_max=0.5)", "0 <= r_min < r_max <= 1, found r_min=0.9, r_max=0.5"),
        ("lru(max_phase=0)", "0 < max_phase <= 2π"),
        ("lru(max_phase=nan)", "0 < max_phase <= 2π"),
        ("lru(r_max=nan)", "found r_min=0, r_max=nan"),
    ],
)
def test_impossible_options_say_what_is_possible(text, message):
    cell = CELLS[text.partition("(")[0]]
    options = checked(text, "cell", cell.options)
    with pytest.raises(UsageError) as caught:
        cell.init(np.random.default_rng(0), D, H, **options)
    assert message in str(caught.value)
