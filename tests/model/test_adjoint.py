"""The exact gradients that programs are held against: by difference quotients, and in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from rnnbench.model import Model, Weights, initialise, oracle, reverse
from rnnbench.model.adjoint import ForwardPass, gradients
from rnnbench.registry import load

CELLS = ["rnn", "irnn", "lstm", "gru", "mingru", "minlstm", "lru"]


@pytest.mark.parametrize("sizes", [(None, None), (3, 6)], ids=["bare", "head and embedding"])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_two_layers_are_those_of_difference_quotients(cell, sizes):
    outputs, embedding = sizes
    model = Model(load().cells[cell], 4, 5, 2, outputs, embedding=embedding)
    weights, rng = initialise(model, 0), np.random.default_rng(0)
    xs, cotangent = rng.standard_normal((9, 3, 4)), rng.standard_normal((9, 3, outputs or 5))
    run = ForwardPass(model, weights, xs)
    found = run.back(cotangent)
    np.testing.assert_allclose(run.outputs, oracle.forward(model, weights, xs)[1], atol=1e-14)
    if cell in ("rnn", "irnn", "lstm", "gru"):
        assert found.kinked == (cell == "irnn")

    def loss(point):
        params = {name: array for name, array in point.items() if name != "xs"}
        return float((oracle.forward(model, Weights(params, weights.states), point["xs"])[1] * cotangent).sum())

    point = {**weights.params, "xs": xs}
    for name, array in point.items():
        direction = {name: rng.standard_normal(array.shape)}
        step = 1e-8 if cell == "irnn" else 1e-5  # its inputs are of 0.001: a longer one crosses kinks
        expected = oracle.directional_derivative(loss, point, direction, step)
        got = float((found.gradients[name] * direction[name]).sum())
        assert got == pytest.approx(expected, rel=1e-6, abs=1e-6), name


def test_a_cut_leaves_the_gradient_of_each_segment_alone():
    """h' = h/2 + x: without a cut dL/dx_t = Σ_k 2^−k, with one only up to the border."""
    from rnnbench import Cell

    def init(rng, D, H):
        return {"a": np.full(H, 0.5)}, np.zeros(H)

    cell = Cell("half", init, lambda ops, p, h, z: (p["a"] * h + z, p["a"] * h + z))
    model = Model(cell, 1, 1)
    xs, cotangent = np.ones((6, 1, 1)), np.ones((6, 1, 1))
    whole = gradients(model, initialise(model, 0), xs, cotangent).gradients["xs"].ravel()
    cut = gradients(model, initialise(model, 0), xs, cotangent, segment=4).gradients["xs"].ravel()
    np.testing.assert_allclose(whole, [2 - 2.0**-k for k in (5, 4, 3, 2, 1, 0)])
    np.testing.assert_allclose(cut, [2 - 2.0**-k for k in (3, 2, 1, 0, 1, 0)])


@pytest.mark.parametrize("equal", [True, False])
def test_a_step_that_asks_whether_numbers_are_equal_is_followed(equal):
    """Units that work every second step, as of a clockwork cell: == and != of traced arrays compare their values."""
    from rnnbench import Cell

    def init(rng, D, H):
        return {"U": rng.normal(0, 0.5, (H, H))}, (np.zeros(H), np.zeros(1))

    def step(ops, p, state, x):
        h, t = state
        rest = t - 2 * ops.floor(t / 2)
        mask = rest == 0 if equal else rest != 1
        h = ops.where(mask, ops.tanh(x + h @ p["U"].T), h)
        return (h, t + 1), h

    model = Model(Cell("clock", init, step), 4, 4)
    weights, rng = initialise(model, 0), np.random.default_rng(0)
    xs, cotangent = rng.standard_normal((7, 3, 4)), rng.standard_normal((7, 3, 4))
    found = gradients(model, weights, xs, cotangent).gradients
    [(name, U)] = weights.params.items()
    direction, small = rng.standard_normal(U.shape), 1e-6

    def loss(shift):
        shifted = Weights({name: U + shift * direction}, weights.states)
        return float((oracle.forward(model, shifted, xs)[1] * cotangent).sum())

    expected = (loss(small) - loss(-small)) / (2 * small)
    assert float((found[name] * direction).sum()) == pytest.approx(expected, rel=1e-6)


OPERATIONS = {
    "broadcast": lambda ops, x, w: ops.sum((x + w[0]) * (x / (2 + w[1] ** 2)) ** 2),
    "matmul": lambda ops, x, w: ops.sum(ops.tanh(x @ w.T) ** 3),
    "stacked matmul": lambda ops, x, w: ops.sum((ops.stack([x, 2 * x]) @ w.T) ** 2),
    "slices": lambda ops, x, w: ops.sum(ops.concat([x[:, :2] * 3, x[:, ::2]], axis=1) ** 2) + ops.sum(w[[0, 0, 1]]),
    "choices": lambda ops, x, w: ops.sum(ops.where(x > 0, x, 2 * x) + ops.maximum(x, w) + abs(x) + ops.clip(w, -1, 1)),
    "shapes": lambda ops, x, w: ops.sum(ops.permute_dims(ops.reshape(x, (2, 3, 1)), (1, 0, 2)) * ops.arange(3)),
    "means": lambda ops, x, w: ops.sum(ops.mean(x, axis=0, keepdims=True) * w) + ops.mean(ops.square(x)),
    "activations": lambda ops, x, w: ops.sum(
        ops.silu(x) + ops.softplus(x) * ops.logsigmoid(w) + ops.relu(x) + ops.sigmoid(w)
    ),
    "logsumexp": lambda ops, x, w: ops.sum(ops.logsumexp(x * w, 1)) + ops.sum(ops.max(x, axis=1)),
    "complex": lambda ops, x, w: (
        ops.sum(ops.real(ops.exp(1j * x) * (w + 2j * x) / (3 + 1j * w))) + ops.sum(ops.imag(x * 1j))
    ),
    "sums": lambda ops, x, w: (
        ops.sum(ops.cumulative_sum(x, axis=1) * w) + ops.sum(ops.roll(x, 1, 1) * ops.flip(w, axis=0))
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_the_derivative_of_a_difference_quotient(name):
    rng = np.random.default_rng(4)
    point = {"x": rng.standard_normal((2, 3)), "w": rng.standard_normal((2, 3))}
    value, pullback = reverse.vjp(OPERATIONS[name], point["x"], point["w"])
    found = dict(zip(point, pullback(1.0), strict=True))

    def function(at):
        return float(np.real(OPERATIONS[name](reverse.NUMPY, at["x"], at["w"])))

    assert float(np.real(value)) == pytest.approx(function(point))
    for array in point:
        direction = {array: rng.standard_normal((2, 3))}
        expected = oracle.directional_derivative(function, point, direction, 1e-6)
        assert float((found[array] * direction[array]).sum()) == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_what_has_no_known_derivative_is_named():
    with pytest.raises(reverse.Untraceable, match=r"ops\.sort"):
        reverse.vjp(lambda ops, x: ops.sum(ops.sort(x)), np.ones(3))
