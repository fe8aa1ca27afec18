"""A learnt table between the inputs and the first layer."""

import numpy as np
import pytest

from marks import BACKENDS
from rnnbench import Model
from rnnbench.model import advance_model, batched, initialise, oracle, run_model
from rnnbench.ops import numpy_ops
from rnnbench.worker.verification import against_oracle, projection_loss
from rnnbench_cells import gru, lru
from training_programs import B, D, H, O, T, build, stepped

E = 3
OPS = numpy_ops()


def model_of(cell, layers=1):
    return Model(cell, D, H, layers, O, embedding=E)


def one_hot(seed=0):
    ids = np.random.default_rng(seed).integers(0, D, (T, B))
    return ids, np.eye(D)[ids]


def test_the_product_with_one_hot_inputs_is_the_lookup():
    model = model_of(gru)
    weights = initialise(model, 0)
    ids, xs = one_hot()
    looked_up = weights.params["embedding.weight"][ids]
    below = {name: array for name, array in weights.params.items() if name != "embedding.weight"}
    states = batched(weights.states, B, np.broadcast_to)
    unroll = oracle.unroll(gru)
    found = run_model(model, unroll, weights.params, states, xs)
    expected = run_model(model, unroll, below, states, looked_up)
    np.testing.assert_array_equal(found[1], expected[1])


def test_the_first_layer_sees_its_features_and_others_are_drawn_as_before():
    weights, plain = initialise(model_of(gru), 0), initialise(Model(gru, E, H, output_size=O), 0)
    assert weights.params["embedding.weight"].shape == (D, E)
    assert weights.count == plain.count + D * E
    for name, array in plain.params.items():
        np.testing.assert_array_equal(weights.params[name], array)


def test_its_rows_are_standard_normal():
    table = initialise(Model(gru, 400, 2, embedding=100), 0).params["embedding.weight"]
    assert (table.mean(), table.std()) == (pytest.approx(0, abs=0.02), pytest.approx(1, abs=0.02))


@pytest.mark.parametrize("cell", [gru, lru])
def test_single_steps_see_it_too(cell):
    model = model_of(cell, layers=2)
    weights, (_, xs) = initialise(model, 0), one_hot()
    states = batched(weights.states, B, np.broadcast_to)
    _, truth = oracle.forward(model, weights, xs)
    for x, outputs in zip(xs, truth, strict=True):
        states, y = advance_model(model, OPS, weights.params, states, x)
        head = y @ weights.params["head.weight"].T + weights.params["head.bias"]
        np.testing.assert_allclose(head, outputs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_programs_with_one_compute_what_the_oracle_does_and_train_it(backend):
    sizes = {"embedding": E}
    model = model_of(gru)
    program = build(backend, gru, sizes=sizes, loss=projection_loss)
    checks = against_oracle(program, model, initialise(model, 0), one_hot()[1], "float64")
    assert [check.sentence() for check in checks if not check.passed] == []
    ids = np.minimum(one_hot()[0], D - 2)  # the last row is never looked up
    gradient = stepped(program, {"xs": np.eye(D)[ids], "cotangent": np.ones((T, B, O))})[1]["embedding.weight"]
    assert (gradient[: D - 1] != 0).all()
    assert (gradient[D - 1] == 0).all()
