"""torch.compile of a chunk of steps. Every compilation takes seconds, so few cells are compiled here."""

import numpy as np
import pytest

pytest.importorskip("torch")

from rnnbench import Cell, Model, Optimizer, ProgramSpec
from rnnbench.model import initialise, oracle
from rnnbench_cells import gru, lstm, mingru
from rnnbench_torch import TorchBackend, compiled, eager

REASON = compiled.missing_compiler("cpu")
T, B, D, H = 3 * compiled.CHUNK, 2, 3, 4

pytestmark = [
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
    # Inductor warns about its own code, and dynamo about its own look at `.grad`.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]


def small() -> Cell:
    """h' = tanh(V x + W h), of this file alone, so that no test lives off another's compilation."""

    def init(rng, D, H):
        return {"v": rng.standard_normal((H, D)), "w": rng.standard_normal((H, H)) / H}, np.full(H, 0.1)

    def step(ops, params, h, z):
        h = ops.tanh(z + h @ params["w"].T)
        return h, h

    return Cell("small", init, step, project=lambda ops, params, xs: xs @ params["v"].T)


def program(cell, implementation, dtype="float64", layers=1):
    model = Model(cell, D, H, layers)
    weights = initialise(model, 0)
    spec = ProgramSpec(model, weights, implementation, "cpu", dtype, optimizer=Optimizer("sgd"), threads=1)
    return model, weights, TorchBackend().build(spec)


def batch():
    rng = np.random.default_rng(0)
    return {"xs": rng.standard_normal((T, B, D)), "targets": rng.standard_normal((T, B, H))}


def same_as_eager(cell, layers=1):
    model, weights, prog = program(cell, compiled.implementation, layers=layers)
    _, _, reference = program(cell, eager.implementation, layers=layers)
    placed = prog.put(batch())
    _, outputs = prog.forward(placed["xs"])
    np.testing.assert_allclose(prog.get(outputs), oracle.forward(model, weights, batch()["xs"])[1], atol=1e-9)
    found, true = prog.loss_and_gradients(placed), reference.loss_and_gradients(placed)
    np.testing.assert_allclose(prog.get(found[2]), prog.get(true[2]), atol=1e-12)
    for name in true[1]:
        np.testing.assert_allclose(prog.get(found[1][name]), prog.get(true[1][name]), atol=1e-12)
    return prog, placed


def test_one_compilation_per_mode_whatever_the_number_of_calls_and_layers(monkeypatch):
    monkeypatch.setattr(compiled, "CHUNK", 2)  # less to compile
    prog, placed = same_as_eager(small(), layers=2)
    assert prog.compilations() == 2  # inference, training
    prog.forward(placed["xs"])
    prog.train_step(placed)
    prog.train_step(placed)
    assert prog.compilations() == 2


@pytest.mark.long
@pytest.mark.parametrize("cell", [lstm, gru, mingru], ids=lambda cell: cell.name)
def test_shipped_cells(cell):
    same_as_eager(cell)


@pytest.mark.parametrize(
    ("steps", "length"), [(1, 1), (compiled.CHUNK, compiled.CHUNK), (10 * compiled.CHUNK, compiled.CHUNK), (97, 1)]
)
def test_chunks_divide_the_sequence(steps, length):
    assert compiled.chunk_length(steps) == length


def test_a_missing_compiler_is_said(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no-such-compiler" in (compiled.implementation.supports(lstm, "cpu", "float32") or "")
