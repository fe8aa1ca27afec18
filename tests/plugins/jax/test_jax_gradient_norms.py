"""ln ‖dL/ds_t‖ where the answer is known."""

import numpy as np
import pytest

pytest.importorskip("jax")

from jax_programs import inputs, leaky, matrix, program, whirl
from rnnbench import Weights
from rnnbench.cell import tree_map
from rnnbench.model import batched, oracle
from rnnbench_cells import gru, lru, lstm

B, H = 2, 6


def log_norms(cell, T, dtype="float64", cotangent=None, layers=1):
    model, weights, prog = program(cell, dtype=dtype, sizes=(3, H, None), layers=layers)
    if cotangent is None:
        cotangent = np.random.default_rng(1).standard_normal((B, H))
    batch = prog.put({"xs": inputs(T, B, 3), "cotangent": cotangent})
    found = prog.log_gradient_norms(batch["xs"], batch["cotangent"])
    assert found.dtype == np.float64
    assert found.shape == (T, B)
    return found, model, weights, cotangent


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-3)])
def test_a_scaled_rotation_shrinks_by_its_factor_at_every_step(dtype, tolerance):
    """0.5^4096 is 10^-1233, far below the smallest number of either dtype."""
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((H, H)))[0]
    found, _, _, cotangent = log_norms(matrix(0.5 * rotation), 4096, dtype)
    lags = np.arange(1, 4097)[:, None]
    true = lags * np.log(0.5) + np.log(np.linalg.norm(cotangent, axis=1))
    np.testing.assert_allclose(found, true, rtol=0, atol=tolerance)


def test_a_dead_relu_is_minus_infinity_and_not_nan():
    found, *_ = log_norms(matrix(-np.eye(H), lambda ops, h: ops.relu(h)), 8)
    assert (found == -np.inf).all()


def test_a_gradient_dies_only_where_it_dies():
    """h' = N h with N^3 = 0: lags 1 and 2 are finite, from 3 on nothing is left. A zero cotangent has nothing."""
    shift = np.diag(np.ones(2), -1)
    nilpotent = np.kron(np.eye(2), shift)
    cotangent = np.stack([np.ones(H), np.zeros(H)])
    found, *_ = log_norms(matrix(nilpotent), 5, cotangent=cotangent)
    np.testing.assert_allclose(found[:2, 0], np.log([2.0, np.sqrt(2)]))
    assert (found[2:, 0] == -np.inf).all()
    assert (found[:, 1] == -np.inf).all()


def test_a_gradient_that_overflows_is_never_a_finite_number_again():
    found, *_ = log_norms(matrix(1e200 * np.eye(H), lambda ops, h: ops.sin(h) * 1e200), 6)
    broken = ~np.isfinite(found[:, 0])
    assert broken.any()
    assert broken[np.argmax(broken) :].all()
    assert not (found == -np.inf).any()


@pytest.mark.parametrize("layers", [pytest.param(1, marks=pytest.mark.long), 2])
@pytest.mark.parametrize("cell", [lstm, gru, lru, leaky(), whirl()], ids=lambda cell: cell.name)
def test_norms_are_those_of_central_differences(cell, layers):
    """Every entry of the state after T − k steps is moved a little, complex ones in both directions."""
    T = 5
    found, model, weights, cotangent = log_norms(cell, T, layers=layers)
    xs = inputs(T, B, 3)
    states = [batched(weights.states, B, np.broadcast_to)]
    for t in range(T):
        states.append(oracle.forward(model, weights, xs[t : t + 1], states[t])[0])
    for lag in range(1, T + 1):
        true = np.log(np.sqrt(squared_norms(model, weights, xs[T - lag :], states[T - lag], cotangent)))
        np.testing.assert_allclose(found[lag - 1], true, rtol=0, atol=1e-6)


def squared_norms(model, weights: Weights, xs, states, cotangent):
    """Σ (dL/dentry)² over all entries of the states, per row of the batch."""
    total = np.zeros(B)

    def moved(layer, index, entry, by):
        leaf_number = iter(range(9))

        def move(leaf):
            leaf = np.array(leaf)
            if next(leaf_number) == index:
                leaf[:, entry] += by
            return leaf

        return tuple(tree_map(move, s) if number == layer else s for number, s in enumerate(states))

    def losses(states):
        return np.sum(cotangent * oracle.forward(model, weights, xs, states)[1][-1], axis=1)

    for layer, state in enumerate(states):
        for index, leaf in enumerate(state if isinstance(state, tuple) else (state,)):
            directions = (1, 1j) if np.iscomplexobj(leaf) else (1,)
            for entry in range(leaf.shape[1]):
                for direction in directions:
                    ahead, behind = (losses(moved(layer, index, entry, by * direction)) for by in (1e-5, -1e-5))
                    total += ((ahead - behind) / 2e-5) ** 2
    return total
