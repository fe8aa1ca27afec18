"""∂s_t/∂s_{t−1} on either backend, against central differences of the oracle and against each other."""

import numpy as np
import pytest

from gradient_programs import built, inputs
from marks import BACKENDS, by_torch
from rnnbench import Cell
from rnnbench.cell import leaves
from rnnbench.model import batched, oracle
from rnnbench_cells import gru, lru, lstm, mingru


def flat(states):
    """(B, n) real numbers, a complex entry as its real part followed by its imaginary part."""
    parts = []
    for leaf in (leaf for state in states for leaf in leaves(state)):
        pairs = np.stack([leaf.real, leaf.imag], axis=-1) if np.iscomplexobj(leaf) else np.asarray(leaf)
        parts.append(pairs.reshape(len(leaf), -1))
    return np.concatenate(parts, axis=1)


def rebuilt(vector, like):
    """`flat` undone for one batch, written apart from the plugins."""
    position = 0

    def take(leaf):
        nonlocal position
        size = leaf[0].size * (2 if np.iscomplexobj(leaf) else 1)
        piece = vector[:, position : position + size]
        position += size
        return (piece[:, ::2] + 1j * piece[:, 1::2] if np.iscomplexobj(leaf) else piece).reshape(leaf.shape)

    return tuple(tuple(map(take, state)) if isinstance(state, tuple) else take(state) for state in like)


def swap(ops, params, state, x):
    """Two leaves of different shapes, one of them complex, that act on each other."""
    h, c = state
    new_h = ops.tanh(ops.real(c) + 0.5 * h) + x[:, :1]
    return (new_h, c * 1j + h * params["w"]), new_h


MIXED = Cell("mixed", lambda rng, D, H: ({"w": rng.standard_normal(H)}, (np.zeros(H), np.ones(H) * (0.2 + 0.1j))), swap)


@by_torch
@pytest.mark.parametrize("cell", [lstm, gru, lru, mingru, MIXED], ids=lambda cell: cell.name)
def test_the_jacobian_is_that_of_central_differences(cell, backend):
    """Two layers, so that the lower one's state also moves the upper one's; the last of four steps, two sequences."""
    model, weights, program = built(cell, backend, layers=2)
    xs = inputs(4)
    last, found = program.state_jacobians(program.put({"xs": xs})["xs"])
    states = oracle.forward(model, weights, xs[:3])[0]
    point = flat(states)
    n = point.shape[1]
    assert found.shape == (4, 2, n, n)
    assert found.dtype == np.float64
    step = 1e-6
    for j in range(n):
        ends = []
        for sign in (1, -1):
            moved = point.copy()
            moved[:, j] += sign * step
            ends.append(flat(oracle.forward(model, weights, xs[3:], rebuilt(moved, states))[0]))
        np.testing.assert_allclose(found[3, :, :, j], (ends[0] - ends[1]) / (2 * step), rtol=0, atol=1e-8)
    reached = tuple(tuple(map(program.get, leaves(state))) for state in last)
    np.testing.assert_allclose(flat(reached), flat(oracle.forward(model, weights, xs)[0]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sequence_may_come_in_pieces(backend):
    _, _, program = built(lstm, backend)
    xs = program.put({"xs": inputs(7)})["xs"]
    _, whole = program.state_jacobians(xs)
    states, first = program.state_jacobians(xs[:3])
    _, second = program.state_jacobians(xs[3:], states)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=0, atol=1e-14)


@pytest.mark.parametrize("cell", [lstm, lru], ids=lambda cell: cell.name)
def test_torch_and_jax_agree(cell):
    found = []
    for backend in ("torch", "jax"):
        pytest.importorskip(backend)
        _, _, program = built(cell, backend)
        found.append(program.state_jacobians(program.put({"xs": inputs(9)})["xs"])[1])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-14)


def test_the_initial_state_is_where_it_starts():
    """s_1 = (1 + s_0)² has slope 2(1 + s_0); s_0 = 0.5 is not the zero that most cells start from."""
    pytest.importorskip("torch")
    cell = Cell(
        "square",
        lambda rng, D, H: ({"one": np.ones(H)}, np.full(H, 0.5)),
        lambda ops, p, h, x: ((p["one"] + h) ** 2, h),
    )
    _, weights, program = built(cell, "torch", H=1)
    _, found = program.state_jacobians(program.put({"xs": inputs(1)})["xs"])
    np.testing.assert_allclose(found[0, :, 0, 0], 3.0)
    assert flat(batched(weights.states, 2, np.broadcast_to)).shape == (2, 1)
