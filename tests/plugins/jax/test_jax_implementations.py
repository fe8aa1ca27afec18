"""Every JAX implementation computes what the NumPy float64 oracle computes, forwards and backwards."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax

from jax_programs import IMPLEMENTATIONS, B, H, O, T, inputs, leaky, program, whirl
from rnnbench import Weights
from rnnbench.cell import leaves
from rnnbench.model import oracle
from rnnbench_cells import FAMILIES, gru, lru, lstm
from rnnbench_jax import associative_scan
from rnnbench_jax.linear_recurrence import recurrence

CELLS = {cell.name: cell for cell in (*FAMILIES["first"], leaky(), whirl())}
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}

QUICK = ("lstm", "mingru", "lru", "leaky", "whirl")
"""What is compiled by default, for seconds each: two states, two linear ones, real and complex, two cells of a user."""
served = pytest.mark.parametrize(
    ("cell", "implementation"),
    [
        pytest.param(
            cell, impl.name, id=f"{cell.name}-{impl.name}", marks=() if cell.name in QUICK else pytest.mark.long
        )
        for cell in CELLS.values()
        for impl in IMPLEMENTATIONS.values()
        if impl.supports(cell, "cpu", "float32") is None
    ],
)
kinds = pytest.mark.parametrize(
    ("cell", "implementation"),
    [(lstm, "scan"), pytest.param(lru, "scan", marks=pytest.mark.long), (lru, "associative_scan")],
    ids=["step", "linear", "associative"],
)


def close(found, true, dtype):
    scale = max(1.0, float(np.abs(true).max()))
    assert found.shape == true.shape
    np.testing.assert_allclose(found, true, rtol=0, atol=TOLERANCE[dtype] * scale)


@served
def test_outputs_final_states_and_gradients_are_the_oracles(cell, implementation):
    agrees(cell, implementation, "float64", 1)


@kinds
def test_so_are_those_of_stacked_layers(cell, implementation):
    agrees(cell, implementation, "float64", 2)


@pytest.mark.parametrize(
    ("cell", "implementation"), [(lstm, "scan"), pytest.param(lru, "associative_scan", marks=pytest.mark.long)]
)
def test_so_they_are_in_float32(cell, implementation):
    agrees(cell, implementation, "float32", 1)


def agrees(cell, implementation, dtype, layers):
    model, weights, prog = program(cell, implementation, dtype, layers=layers)
    xs = inputs()
    states, outputs = prog.forward(prog.put({"xs": xs})["xs"])
    true_states, true_outputs = oracle.forward(model, weights, xs)
    assert outputs.dtype == dtype
    close(prog.get(outputs), true_outputs, dtype)
    for state, true_state in zip(states, true_states, strict=True):
        for leaf, true_leaf in zip(leaves(state), leaves(true_state), strict=True):
            close(prog.get(leaf), true_leaf, dtype)
    gradients_agree(weights, model, prog, xs, dtype)


def gradients_agree(weights, model, prog, xs, dtype):
    """Along a random direction for each parameter and for the inputs; the oracle is good to 1e-11 of the loss."""
    rng = np.random.default_rng(1)
    cotangent = rng.standard_normal((T, B, O))
    loss, gradients, of_xs = prog.loss_and_gradients(prog.put({"xs": xs, "cotangent": cotangent}))

    def true_loss(point):
        outputs = oracle.forward(model, Weights(point, weights.states), point["xs"])[1]
        return float(np.sum(outputs * cotangent))

    point = {**weights.params, "xs": xs}
    found = {**gradients, "xs": of_xs}
    assert set(found) == set(point)
    close(prog.get(loss), np.array(true_loss(point)), dtype)
    for name, array in found.items():
        direction = rng.standard_normal(point[name].shape)
        true = oracle.directional_derivative(true_loss, point, {name: direction}, step=1e-4)
        got = prog.get(array)
        assert got.shape == direction.shape, name
        size = max(1.0, abs(float(loss)), float(np.linalg.norm(got * direction)))
        assert float(np.sum(got * direction)) == pytest.approx(true, abs=TOLERANCE[dtype] * size), name


@kinds
def test_a_sequence_in_two_parts_is_the_sequence(cell, implementation):
    _, _, prog = program(cell, implementation, layers=2)
    xs = prog.put({"xs": inputs()})["xs"]
    states, outputs = prog.forward(xs)
    middle, first = prog.forward(xs[:7])
    last, second = prog.forward(xs[7:], middle)
    np.testing.assert_allclose(np.concatenate([first, second]), outputs, rtol=0, atol=1e-12)
    for one, other in zip(jax.tree.leaves(last), jax.tree.leaves(states), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


@kinds
def test_a_sequence_does_not_see_its_neighbours_in_the_batch(cell, implementation):
    _, _, prog = program(cell, implementation)
    xs = inputs()
    other = xs.copy()
    other[:, 1] += 1
    before, after = (prog.get(prog.forward(prog.put({"xs": each})["xs"])[1]) for each in (xs, other))
    np.testing.assert_array_equal(before[:, [0, 2]], after[:, [0, 2]])
    assert (before[:, 1] != after[:, 1]).any()


def test_a_parallel_scan_says_why_it_cannot_run_a_gru():
    reason = IMPLEMENTATIONS["associative_scan"].supports(gru, "cpu", "float32")
    assert reason is not None
    assert "'gru' is not linear" in reason


# --- the recurrence h_t = a_t·h_{t-1} + b_t itself, and its hand-written gradient ---------------------------------


def draw(T, kind):
    rng = np.random.default_rng(T)

    def normal(*shape):
        real = rng.standard_normal(shape)
        return real + 1j * rng.standard_normal(shape) if kind == "complex" else real

    return 0.7 * normal(T, B, H), normal(T, B, H), normal(B, H), normal(T, B, H)


@pytest.mark.parametrize("kind", [pytest.param("real", marks=pytest.mark.long), "complex"])
@pytest.mark.parametrize("T", [1, pytest.param(2, marks=pytest.mark.long), 7, 16])
def test_the_parallel_scan_is_the_loop(T, kind):
    a, b, h, weight = draw(T, kind)

    def loop(a, b, h):
        def step(h, ab):
            return (h := ab[0] * h + ab[1]), h

        return jax.lax.scan(step, h, (a, b))[1]

    def states_and_gradients(recurrence):
        def loss(*arguments):
            hs = recurrence(*arguments)
            return (hs * weight).real.sum(), hs

        return jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(a, b, h)

    with jax.enable_x64(True):
        gradients, found = states_and_gradients(recurrence(associative_scan.prefixes))
        true_gradients, true = states_and_gradients(loop)
    np.testing.assert_allclose(found, true, rtol=1e-11, atol=1e-11)
    for one, other in zip(gradients, true_gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


def test_a_zero_decay_cuts_the_past_off_without_dividing_by_it():
    a, b, h, _ = draw(5, "real")
    a[2] = 0

    def last(h):
        hs = recurrence(associative_scan.prefixes)(a, b, h)
        return hs[-1].sum(), hs

    with jax.enable_x64(True):
        of_start, hs = jax.jit(jax.grad(last, has_aux=True))(h)
    np.testing.assert_allclose(hs[2], b[2], rtol=1e-12)
    assert np.isfinite(hs).all()
    assert not of_start.any()
