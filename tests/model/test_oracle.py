"""The truth itself, checked against calculus: difference quotients, and products known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from rnnbench import Cell
from rnnbench.cell import leaves
from rnnbench.model import Model, initialise
from rnnbench.model.oracle import OPS, directional_derivative, forward, unroll
from rnnbench_cells import lru, mingru, rnn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4))
V = RNG.normal(size=(3, 4))


@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (lambda x: float((x**2).sum()), lambda x, v: (2 * x * v).sum()),
        (lambda x: float(np.sin(x).prod()), lambda x, v: np.sin(x).prod() * (v / np.tan(x)).sum()),
        (lambda x: float(np.exp(x).sum()), lambda x, v: (np.exp(x) * v).sum()),
        (lambda x: float(np.linalg.norm(x)), lambda x, v: (x * v).sum() / np.linalg.norm(x)),
        (lambda x: float(np.tanh(10 * x).mean()), lambda x, v: (10 * v / np.cosh(10 * x) ** 2).mean()),
    ],
    ids=["square", "product", "exponential", "norm", "steep"],
)
def test_directional_derivative_is_that_of_calculus(function, derivative):
    got = directional_derivative(lambda point: function(point["x"]), {"x": X}, {"x": V})
    assert got == pytest.approx(derivative(X, V), rel=1e-8)


def test_the_error_of_the_difference_quotient_is_of_fourth_order():
    start, along = {"x": np.array(0.3)}, {"x": np.array(1.0)}

    def error(step):
        return directional_derivative(lambda p: float(np.exp(p["x"])), start, along, step) - np.exp(0.3)

    assert error(0.1) / error(0.05) == pytest.approx(16, rel=0.05)


def test_what_has_no_direction_stays_where_it_is():
    point = {"x": X, "fixed": X}
    seen = []

    def function(p):
        seen.append(p["fixed"] is X)
        return float((p["x"] * p["fixed"]).sum())

    assert directional_derivative(function, point, {"x": V}) == pytest.approx((X * V).sum())
    assert all(seen)


def test_the_point_is_not_changed():
    before = X.copy()
    directional_derivative(lambda p: float(p["x"].sum()), {"x": X}, {"x": V})
    np.testing.assert_array_equal(X, before)


def test_scaled_orthogonal_linear_cell_has_the_gradient_g_to_the_k():
    """h' = g Q h: |d(c·h_T)/dh_0| = g^T |c| whatever Q is, here in the direction of Qᵀ^T c, where it is attained."""
    g, H, T = 0.9, 6, 40
    Q, _ = np.linalg.qr(RNG.normal(size=(H, H)))

    def init(rng, D, H):
        return {"weight_hh": g * Q}, np.zeros(H)

    def step(ops, params, h, z):
        h = h @ params["weight_hh"].T
        return h, h

    cell = Cell("linear", init, step)
    c = RNG.normal(size=H)
    back = np.linalg.matrix_power(Q.T, T) @ c

    def loss(point):
        final, _ = unroll(cell)({"weight_hh": g * Q}, point["h"], np.zeros((T, 1, 1)))
        return float((final[0] * c).sum())

    slope = directional_derivative(loss, {"h": np.zeros((1, H))}, {"h": back[None] / np.linalg.norm(back)})
    assert slope == pytest.approx(g**T * np.linalg.norm(c), rel=1e-9)


def test_gradient_through_mingru_is_the_product_of_its_gates():
    model = Model(mingru, 2, 3)
    weights = initialise(model, 0)
    xs = RNG.normal(size=(9, 1, 2))
    gates, _ = mingru.projected(OPS, {k.removeprefix("layers.0."): v for k, v in weights.params.items()}, xs)

    def last(point):
        _, ys = forward(model, weights, xs, (point["h"],))
        return float(ys[-1, 0, 1])

    unit = np.array([[0.0, 1.0, 0.0]])
    slope = directional_derivative(last, {"h": np.zeros((1, 3))}, {"h": unit})
    assert slope == pytest.approx(gates[:, 0, 1].prod(), rel=1e-8)


def test_forward_starts_from_the_cells_own_state_unless_told():
    model = Model(rnn, 2, 3)
    weights = initialise(model, 0)
    xs = RNG.normal(size=(4, 5, 2))
    _, ys = forward(model, weights, xs)
    _, zeros = forward(model, weights, xs, (np.zeros((5, 3)),))
    _, ones = forward(model, weights, xs, (np.ones((5, 3)),))
    np.testing.assert_array_equal(ys, zeros)
    assert np.abs(ys - ones).max() > 0.01


def test_outputs_are_real_float64_even_where_the_state_is_complex():
    model = Model(lru, 2, 3)
    states, ys = forward(model, initialise(model, 0), RNG.normal(size=(4, 5, 2)))
    assert ys.dtype == np.float64
    assert ys.shape == (4, 5, 3)
    (state,) = leaves(states[0])
    assert state.dtype == np.complex128
    assert state.shape == (5, 3)


def test_a_cell_without_mathematics_cannot_be_the_truth():
    opaque = Cell("opaque", init=lambda rng, D, H: ({}, np.zeros(H)))
    assert not opaque.portable
    with pytest.raises(TypeError, match="cell 'opaque' has no portable mathematics"):
        unroll(opaque)({}, np.zeros((1, 2)), np.zeros((1, 1, 2)))
