"""Newton in time: iterations, fallback, gradients, and what is refused."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("jax")

from cell_runs import CELLS
from newton_programs import CHAOTIC, IMPLEMENTATIONS, inputs, measured, solved, verified
from rnnbench import Model, initialise, leaves
from rnnbench.model import adjoint, oracle
from rnnbench.ops import EPS
from rnnbench.worker.verification import SLACK
from rnnbench_newton import method, torch_binding
from rnnbench_newton.structure import Structure
from training_programs import build

LONG = pytest.mark.long


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize(
    ("backend", "T"),
    [
        ("torch", 64),
        ("torch", 1024),
        pytest.param("jax", 64, marks=LONG),
        pytest.param("jax", 1024, marks=LONG),
    ],
)
def test_default_cells_take_at_most_four_iterations(backend, cell, T):
    found = solved(backend, cell, "newton", T)
    assert 1 < found.value("newton.iterations").value <= 4
    assert found.value("newton.residual").value <= method.tolerance("float32")
    assert found.value("newton.fallback_share").value == 0
    assert not found.notes


LINEAR = [("mingru", "newton"), ("mingru", "newton_diag"), ("lru", "newton"), ("lru", "newton_block2")]


@pytest.mark.parametrize("backend", ["torch", pytest.param("jax", marks=LONG)])
@pytest.mark.parametrize(("cell", "variant"), LINEAR)
def test_linear_cells_take_one(backend, cell, variant):
    assert solved(backend, cell, variant, 512).value("newton.iterations").value == 1


@pytest.mark.parametrize("backend", ["torch", pytest.param("jax", marks=LONG)])
def test_a_chaotic_net_falls_back_and_is_right(backend):
    """tanh at gain 2, T=256: the account says so, and states and gradients are those of the loop."""
    options, implementation = {"recurrent": "orthogonal", "gain": 2.0}, IMPLEMENTATIONS[backend, "newton"]
    found = solved(backend, "rnn", "newton", 256, H=32, **options)
    assert found.value("newton.fallback_share").value == 1
    assert found.value("newton.iterations").value == method.ITERATIONS
    assert found.value("newton.iterations").bound == "lower"
    assert found.value("newton.residual").value > method.tolerance("float32")
    assert found.notes[0].startswith("not converged: 1 of 1 solves had a residual above 1.9e-06 after 100 iterations")
    sizes = {"input_size": 8, "hidden_size": 32, "output_size": None, "cell_options": options}
    program = build(backend, CELLS["rnn"], implementation=implementation, sizes=sizes)
    model, xs = Model(CELLS["rnn"], 8, 32, cell_options=options), inputs(256)
    weights = initialise(model, 0)
    _, true = oracle.forward(model, weights, xs)
    placed = program.put({"xs": xs, "targets": np.zeros(true.shape)})
    _, gradients, of_xs = program.loss_and_gradients(placed)
    assert implementation.account is not None
    assert implementation.account().value("newton.fallback_share").value == 1
    back = adjoint.gradients(model, weights, xs, 2 * true / true.size).gradients
    for name, gradient in {**gradients, "xs": of_xs}.items():  # chaos makes of 1e-16 some 1e-5 in 256 steps
        apart = np.linalg.norm(program.get(gradient) - back[name]) / np.linalg.norm(back[name])
        assert apart < 1e-2, (name, apart)


@LONG
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_what_fell_back_is_verified(backend):
    verdict = verified(CHAOTIC, backend, "newton", 256, H=32, dtype="float64")
    assert verdict["status"] == "ok", verdict["reason"]


@pytest.mark.parametrize(
    ("cell", "backend", "variant", "dtype"),
    [
        ("gru", "torch", "newton", "float32"),
        pytest.param("lstm", "torch", "newton_block2", "float64", marks=LONG),
        ("rnn", "torch", "newton_diag", "float32"),  # the way back takes the whole Jacobian
        ("brc", "torch", "newton_diag", "float32"),  # elementwise: its own diagonal
        ("lru", "torch", "newton_block2", "float32"),
        pytest.param("phased_lstm", "torch", "newton", "float64", marks=LONG),  # three arrays, one of them a clock
        pytest.param("gru", "jax", "newton", "float32", marks=LONG),
        pytest.param("lstm", "jax", "newton_block2", "float64", marks=LONG),
        pytest.param("rnn", "jax", "newton_diag", "float32", marks=LONG),
        pytest.param("lru", "jax", "newton_block2", "float32", marks=LONG),
    ],
)
def test_outputs_states_and_gradients_are_the_oracles(cell, backend, variant, dtype):
    found = verified(cell, backend, variant, 40, dtype=dtype)
    assert found["status"] == "ok", found["reason"]
    assert found["verified"] == "oracle"


def test_on_jax_too():
    """One program, one compilation of each way; the rest is asked of jax with `-m long`."""
    sizes = {"input_size": 5, "hidden_size": 6, "output_size": None}
    program = build("jax", CELLS["gru"], implementation=IMPLEMENTATIONS["jax", "newton"], sizes=sizes)
    model, xs = Model(CELLS["gru"], 5, 6), inputs(12, D=5)
    weights = initialise(model, 0)
    [final], true = oracle.forward(model, weights, xs)
    placed = program.put({"xs": xs, "targets": np.zeros(true.shape)})
    states, outputs = program.forward(placed["xs"])
    np.testing.assert_allclose(program.get(outputs), true, atol=1e-13)
    np.testing.assert_allclose(program.get(leaves(states)[0]), final, atol=1e-13)
    _, gradients, of_xs = program.loss_and_gradients(placed)
    back = adjoint.gradients(model, weights, xs, 2 * true / true.size)
    for name, gradient in {**gradients, "xs": of_xs}.items():
        np.testing.assert_allclose(program.get(gradient), back.gradients[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_wrong_way_back_is_found(monkeypatch):
    monkeypatch.setattr(Structure, "reversed", lambda self, ops, J: 0 * self.transposed(ops, J))
    found = verified("gru", "torch", "newton", 20)
    assert found["status"] == "wrong"
    assert "gradients" in found["reason"]


def test_too_wide_a_tolerance_is_found(monkeypatch):
    """A solver that stops at a residual of a thousandth is no gru."""
    monkeypatch.setattr(method, "ROUNDINGS", 1e-3 / EPS["float32"])
    found = verified("gru", "torch", "newton", 40)
    assert found["status"] == "wrong"
    assert "outputs" in found["reason"]


def test_the_tolerance_is_below_what_verification_allows_a_step():
    assert method.ROUNDINGS < SLACK


@pytest.mark.parametrize("variant", ["newton", "newton_diag"])
def test_after_i_iterations_the_first_i_states_are_exact(monkeypatch, variant):
    """Whatever stands for the Jacobian: nothing of a step is unknown but the step before."""
    from rnnbench_newton.torch_binding import _System

    seen = []
    judged = _System._judged
    monkeypatch.setattr(_System, "_judged", lambda self, S: seen.append(S.clone()) or judged(self, S))
    solved("torch", "rnn", variant, 40, dtype="float64", recurrent="orthogonal", gain=1.5)
    model = Model(CELLS["rnn"], 8, 16, cell_options={"recurrent": "orthogonal", "gain": 1.5})
    _, true = oracle.forward(model, initialise(model, 1), inputs(40))
    assert len(seen) > 8
    for i, states in enumerate(seen):
        np.testing.assert_allclose(states[: i + 1].numpy(), true[: i + 1], atol=1e-12)
    assert np.abs(seen[2].numpy() - true).max() > 1e-3


def test_what_cannot_be_had_is_said_in_a_sentence():
    def refusal(variant, cell, dtype="float32"):
        return IMPLEMENTATIONS["torch", variant].supports(CELLS[cell], "cpu", dtype) or "nothing"

    assert "use float32 or float64" in refusal("newton", "gru", "bfloat16")
    assert "is no pair of arrays of one size" in refusal("newton_block2", "gru")
    assert "use newton_block2" in refusal("newton_diag", "lru")
    assert refusal("newton_diag", "gru") == "nothing"


def test_jacobians_that_are_too_large_skip_the_row():
    found = measured("throughput", "gru", "torch", "newton", 4096, {"modes": ["forward"]}, H=256)
    assert found["status"] == "skipped"
    assert found["reason"] == (
        "newton: the Jacobians take 2.0 GiB at T=4096, B=2 and 256 real numbers of state, and 1 GiB are allowed; "
        "use a smaller state, batch or sequence"
    )


def test_any_probe_tells_what_the_solves_came_to(monkeypatch):
    """Of a solver that gives up after one iteration, which does not do for a gru."""
    monkeypatch.setattr(torch_binding, "ITERATIONS", 1)
    settings = {"modes": ["forward"], "processes": 1, "budget": 0.01, "width": 1.0}
    found = measured("throughput", "gru", "torch", "newton", 16, settings, H=8)
    assert found["status"] == "ok", found["reason"]
    assert found["values"]["newton.fallback_share"]["value"] == 1
    assert any(note.startswith("not converged: ") for note in found["notes"])


def test_predictability_sets_iterations_beside_the_exponent():
    settings = {"gains": [0.5, 1.2, 3.0]}
    found = measured("predictability", "rnn(recurrent=orthogonal)", "torch", "newton", 128, settings, H=32)
    assert found["status"] == "ok", found["reason"]
    curve = found["curves"]["iterations"]
    assert curve["x"] == sorted(curve["x"])
    assert curve["x"][0] < -0.6 < -0.05 < curve["x"][-1]
    assert curve["y"][0] <= 4 < curve["y"][2] < curve["y"][3] == method.ITERATIONS
    assert any("not converged" in note for note in found["notes"])
    refused = measured("predictability", "rnn", "torch", "eager", 16, settings)
    assert refused["status"] == "skipped"
    assert "does not iterate" in refused["reason"]


def test_a_net_that_forgets_at_once_has_no_exponent():
    """Of relu units that are all shut nothing is left of a perturbation: its logarithm is in no record."""
    found = measured("predictability", "indrnn", "torch", "newton_diag", 32, {"gains": [0.5]}, H=8)
    assert found["status"] == "ok", found["reason"]
    assert "lyapunov.max" not in found["values"]
    assert found["values"]["newton.iterations"]["value"] <= 10
    assert "curves" not in found
    assert any("since a perturbation vanishes altogether" in note for note in found["notes"])
