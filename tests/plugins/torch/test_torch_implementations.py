"""Every torch implementation computes the function the NumPy float64 oracle computes, forwards and backwards."""

import numpy as np
import pytest

pytest.importorskip("torch")

import rnnbench_torch
from rnnbench import Cell, Implementation, Model, ProgramSpec
from rnnbench.cell import leaves
from rnnbench.model import Weights, initialise, oracle
from rnnbench_cells import FAMILIES
from rnnbench_torch import TorchBackend

CELLS = {cell.name: cell for cell in FAMILIES["first"]}
IMPLEMENTATIONS = {impl.name: impl for impl in rnnbench_torch.rnnbench_implementations()}
FORWARD = {"float64": 1e-9, "float32": 1e-4}
GRADIENT = {"float64": 1e-7, "float32": 1e-3}  # the oracle's own difference quotient is good to about 1e-9
T, B, D, H = 19, 3, 5, 4

SERVED = [
    (cell.name, impl.name)
    for cell in CELLS.values()
    for impl in IMPLEMENTATIONS.values()
    if impl.name != "compiled" and impl.differentiable and impl.supports(cell, "cpu", "float32") is None
]


def sum_with(ops, outputs, batch):
    return ops.sum(outputs * batch["cotangent"])


def program(cell: Cell, implementation: Implementation, dtype: str, layers: int = 1, device: str = "cpu"):
    model = Model(cell, D, H, layers, output_size=3)
    weights = initialise(model, 0)
    # States other than zero, so that a forgotten initial state shows.
    states = tuple(
        tuple(leaf + 0.3 for leaf in state) if isinstance(state, tuple) else state + 0.3 for state in weights.states
    )
    weights = Weights(weights.params, states)
    spec = ProgramSpec(model, weights, implementation, device, dtype, loss=sum_with, threads=1)
    return model, weights, TorchBackend().build(spec)


def inputs(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((T, B, D))


def close(found: np.ndarray, true: np.ndarray | float, tolerance: float) -> None:
    np.testing.assert_allclose(found, true, rtol=tolerance, atol=tolerance)


def forward_agrees(model, weights, prog, dtype):
    states, outputs = prog.forward(prog.put({"xs": inputs()})["xs"])
    true_states, true = oracle.forward(model, weights, inputs())
    close(prog.get(outputs), true, FORWARD[dtype])
    for state, true_state in zip(states, true_states, strict=True):
        for leaf, true_leaf in zip(leaves(state), leaves(true_state), strict=True):
            assert prog.get(leaf).shape == true_leaf.shape
            close(prog.get(leaf), true_leaf, FORWARD[dtype])


def gradients_agree(model, weights, prog, dtype):
    rng = np.random.default_rng(1)
    cotangent = rng.standard_normal((T, B, 3))
    loss, gradients, xs_gradient = prog.loss_and_gradients(prog.put({"xs": inputs(), "cotangent": cotangent}))

    def true_loss(point):
        _, outputs = oracle.forward(model, Weights(point, weights.states), point["xs"])
        return float(np.sum(outputs * cotangent))

    point = {**weights.params, "xs": inputs()}
    close(prog.get(loss), true_loss(point), FORWARD[dtype] * 100)
    found = {**gradients, "xs": xs_gradient}
    assert set(found) == set(point)
    for name, array in found.items():
        direction = rng.standard_normal(point[name].shape)
        true = oracle.directional_derivative(true_loss, point, {name: direction})
        assert float(np.sum(prog.get(array) * direction)) == pytest.approx(
            true, rel=GRADIENT[dtype], abs=GRADIENT[dtype]
        )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("cell", "implementation"), SERVED)
def test_outputs_final_states_and_gradients_are_the_oracles(cell, implementation, dtype):
    built = program(CELLS[cell], IMPLEMENTATIONS[implementation], dtype)
    forward_agrees(*built, dtype)
    gradients_agree(*built, dtype)


@pytest.mark.parametrize("implementation", ["eager", "native", "associative_scan"])
def test_stacked_layers(implementation):
    cell = CELLS["lru" if implementation == "associative_scan" else "lstm"]
    built = program(cell, IMPLEMENTATIONS[implementation], "float64", layers=3)
    forward_agrees(*built, "float64")
    gradients_agree(*built, "float64")


@pytest.mark.parametrize(("cell", "implementation"), SERVED)
def test_split_law(cell, implementation):
    """f(x[:t]) then f(x[t:]) from its final states is f(x)."""
    _, _, prog = program(CELLS[cell], IMPLEMENTATIONS[implementation], "float64", layers=2)
    xs = prog.put({"xs": inputs()})["xs"]
    _, whole = prog.forward(xs)
    states, first = prog.forward(xs[:7])
    _, second = prog.forward(xs[7:], states)
    close(np.concatenate([prog.get(first), prog.get(second)]), prog.get(whole), 1e-12)


@pytest.mark.parametrize(("cell", "implementation"), SERVED)
def test_sequences_of_a_batch_do_not_see_each_other(cell, implementation):
    _, _, prog = program(CELLS[cell], IMPLEMENTATIONS[implementation], "float64")
    other = inputs()
    other[:, 1] = inputs(seed=1)[:, 1]
    _, before = prog.forward(prog.put({"xs": inputs()})["xs"])
    _, after = prog.forward(prog.put({"xs": other})["xs"])
    close(prog.get(after)[:, [0, 2]], prog.get(before)[:, [0, 2]], 1e-12)
    assert not np.allclose(prog.get(after)[:, 1], prog.get(before)[:, 1])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("cell", "implementation"), [pair for pair in SERVED if pair[0] != "lru"])
def test_half_precision_runs_and_is_near(cell, implementation, dtype):
    model, weights, prog = program(CELLS[cell], IMPLEMENTATIONS[implementation], dtype)
    _, outputs = prog.forward(prog.put({"xs": inputs()})["xs"])
    _, true = oracle.forward(model, weights, inputs())
    assert prog.get(outputs).dtype == {"bfloat16": np.float32, "float16": np.float16}[dtype]
    np.testing.assert_allclose(prog.get(outputs), true, atol=0.1)


def constant_rate(form: str) -> Cell:
    """h_t = a h_{t-1} + x_t with the one `a` in different shapes, all of which the contract allows."""

    def init(rng, D, H):
        return {"rate": rng.uniform(0.5, 0.9, H), "weight": rng.standard_normal((H, D))}, np.ones(H)

    def linear(ops, params, zs):
        b = zs @ params["weight"].T
        shape = {"(T, B, H)": b.shape, "(1, 1, H)": (1, 1, b.shape[-1]), "(T, 1, H)": (b.shape[0], 1, b.shape[-1])}[
            form
        ]
        return ops.broadcast_to(params["rate"], shape), b

    return Cell(f"constant_rate {form}", init, linear=linear)


@pytest.mark.parametrize("implementation", ["eager", "associative_scan"])
@pytest.mark.parametrize("form", ["(T, B, H)", "(1, 1, H)", "(T, 1, H)"])
def test_coefficients_of_a_linear_cell_may_broadcast(form, implementation):
    built = program(constant_rate(form), IMPLEMENTATIONS[implementation], "float64")
    forward_agrees(*built, "float64")
    gradients_agree(*built, "float64")


def test_what_an_implementation_cannot_run_it_says():
    lru, lstm, mingru = CELLS["lru"], CELLS["lstm"], CELLS["mingru"]
    eager, compiled, native, scan = (
        IMPLEMENTATIONS[name] for name in ("eager", "compiled", "native", "associative_scan")
    )
    assert "no portable step" in (eager.supports(Cell("empty", lru.init), "cpu", "float32") or "")
    assert "no complex bfloat16" in (eager.supports(lru, "cpu", "bfloat16") or "")
    assert "complex" in (compiled.supports(lru, "cpu", "float32") or "")
    assert "rnn, irnn, lstm, gru" in (native.supports(mingru, "cpu", "float32") or "")
    assert "not linear" in (scan.supports(lstm, "cpu", "float32") or "")
    assert "no complex float16" in (scan.supports(lru, "cpu", "float16") or "")


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("cell", "implementation"), SERVED)
def test_on_cuda_too(cell, implementation, dtype):
    reason = TorchBackend().devices()["cuda"]
    if reason is not None:
        pytest.skip(reason)
    built = program(CELLS[cell], IMPLEMENTATIONS[implementation], dtype, layers=2, device="cuda")
    forward_agrees(*built, dtype)
    gradients_agree(*built, dtype)
