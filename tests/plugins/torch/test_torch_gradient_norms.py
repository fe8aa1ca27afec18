"""ln ‖dL/ds_t‖ in cases whose answer is known."""

import time

import numpy as np
import pytest

from marks import real_clock

pytest.importorskip("torch")

from rnnbench import Cell, Model, ProgramSpec
from rnnbench.model import initialise
from rnnbench_cells import lru, lstm
from rnnbench_torch import TorchBackend, eager


def program(cell: Cell, D: int = 3, H: int = 6, layers: int = 1, dtype: str = "float64", **options):
    model = Model(cell, D, H, layers, cell_options=options)
    weights = initialise(model, 0)
    spec = ProgramSpec(model, weights, eager.implementation, "cpu", dtype, threads=1)
    return weights, TorchBackend().build(spec)


def norms(prog, T: int, B: int = 2, D: int = 3, H: int = 6):
    rng = np.random.default_rng(0)
    batch = {"xs": rng.standard_normal((T, B, D)), "cotangent": rng.standard_normal((B, H))}
    placed = prog.put(batch)
    return batch, prog.log_gradient_norms(placed["xs"], placed["cotangent"])


def orthogonal(gain: float) -> Cell:
    """h' = gain·Q h + x_0 with orthogonal Q."""

    def init(rng, D, H):
        q, _ = np.linalg.qr(rng.standard_normal((H, H)))
        return {"weight": gain * q}, np.zeros(H)

    def step(ops, params, h, z):
        h = h @ params["weight"].T + z[:, :1]
        return h, h

    return Cell("orthogonal", init, step)


@pytest.mark.parametrize(("gain", "dtype"), [(0.5, "float64"), (0.5, "float32"), (1.0, "float64"), (2.0, "float64")])
def test_a_scaled_rotation_shrinks_by_its_gain_at_every_step(gain, dtype):
    """0.5^4096 is 10^-1233: far below the smallest number of either dtype."""
    T = 4096 if gain < 1 else 100  # where they grow, the states themselves leave the finite numbers
    _, prog = program(orthogonal(gain), dtype=dtype)
    batch, found = norms(prog, T)
    lags = np.arange(1, T + 1)[:, None]
    expected = lags * np.log(gain) + np.log(np.linalg.norm(batch["cotangent"], axis=1))
    assert found.shape == (T, 2)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 if dtype == "float64" else 1e-3)


def test_a_dead_gradient_is_minus_infinity_from_there_on():
    """ReLU of something negative: exactly zero for one sequence, alive for the other."""

    def init(rng, D, H):
        return {"weight": np.eye(H)}, np.ones(H)

    def step(ops, params, h, z):
        h = ops.relu(h @ params["weight"].T + z[:, :1])
        return h, h

    _, prog = program(Cell("relu", init, step))
    T = 12
    xs = np.zeros((T, 2, 3))
    xs[7, 0] = -100.0  # kills sequence 0 at its eighth step, lag 5 from the end
    placed = prog.put({"xs": xs, "cotangent": np.ones((2, 6))})
    found = prog.log_gradient_norms(placed["xs"], placed["cotangent"])
    # After the death h = 0, where torch's ReLU has slope 0 as well.
    assert np.all(found[4:, 0] == -np.inf)
    assert not np.any(np.isnan(found))
    np.testing.assert_allclose(found[:, 1], 0.5 * np.log(6), atol=1e-12)


def test_a_state_that_nothing_depends_on_has_no_gradient():
    def step(ops, params, h, z):
        y = ops.tanh(z[:, :1] + 0.0 * h)
        return y, z[:, :1] * params["ones"]

    cell = Cell("memoryless", lambda rng, D, H: ({"ones": np.ones(H)}, np.zeros(H)), step)
    _, prog = program(cell)
    _, found = norms(prog, 5)
    assert np.all(found == -np.inf)


def test_an_overflow_is_not_finite_from_there_on_and_only_in_its_row():
    def step(ops, params, h, z):
        h = h * z[:, :1] * params["ones"]
        return h, h

    cell = Cell("product", lambda rng, D, H: ({"ones": np.ones(H)}, np.ones(H)), step)
    _, prog = program(cell)
    xs = np.ones((10, 2, 3))
    xs[4, 0] = np.inf
    placed = prog.put({"xs": xs, "cotangent": np.ones((2, 6))})
    found = prog.log_gradient_norms(placed["xs"], placed["cotangent"])
    assert np.all(np.isfinite(found[:5, 0]))
    assert not np.any(np.isfinite(found[5:, 0]))
    assert np.all(np.isfinite(found[:, 1]))


def test_complex_states_count_by_modulus():
    """LRU: dL/dh_{T-k} = conj(λ)^{k} C^H c, of which torch's gradient is the conjugate convention; moduli agree."""
    weights, prog = program(lru)
    batch, found = norms(prog, 40)
    p = {name.removeprefix("layers.0."): array for name, array in weights.params.items()}
    decay = np.exp(-np.exp(p["nu_log"]))
    last = np.abs(batch["cotangent"] @ (p["C_re"] + 1j * p["C_im"]))
    for lag in (1, 2, 40):
        np.testing.assert_allclose(found[lag - 1], np.log(np.linalg.norm(last * decay**lag, axis=1)), rtol=1e-10)


def test_all_layers_count_and_sequences_do_not_mix():
    """Against torch's own backward through the whole sequence, two layers of (h, c)."""
    import torch

    from rnnbench.model import advance_model, batched
    from rnnbench_torch.ops import torch_ops

    weights, prog = program(lstm, layers=2)
    batch, found = norms(prog, 6)
    params = {name: torch.tensor(array) for name, array in weights.params.items()}
    states = batched(tuple(tuple(torch.tensor(leaf) for leaf in s) for s in weights.states), 2, torch.broadcast_to)
    visited = []
    y = torch.tensor(0.0)
    for x in torch.tensor(batch["xs"]):
        # Copies: layer 0's h is also what layer 1 reads at the same step, a path that is not through the state.
        states = tuple(tuple(leaf.clone().requires_grad_() for leaf in s) for s in states)
        visited.append([leaf for s in states for leaf in s])
        states, y = advance_model(Model(lstm, 3, 6, 2), torch_ops(), params, states, x)
    total = (y * torch.tensor(batch["cotangent"])).sum()
    for lag in range(1, 7):
        gradients = torch.autograd.grad(total, visited[-lag], retain_graph=True, materialize_grads=True)
        true = torch.cat(gradients, dim=1).norm(dim=1).log()
        np.testing.assert_allclose(found[lag - 1], true.numpy(), atol=1e-12)


@real_clock
def test_the_time_grows_with_the_length_and_no_faster():
    _, prog = program(lstm, D=16, H=128, dtype="float32")

    def seconds(T: int) -> float:
        started = time.process_time()
        norms(prog, T, B=16, D=16, H=128)
        return time.process_time() - started

    assert min(seconds(400) for _ in range(2)) < 10 * min(seconds(100) for _ in range(2))
