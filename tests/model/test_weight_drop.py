"""Recurrent dropout: DropConnect on hidden-to-hidden weights, one mask per training step."""

import numpy as np
import pytest

from marks import BACKENDS, by_torch
from quick_jax import quick_compilation  # noqa: F401
from rnnbench import Cell
from rnnbench.backend import Optimizer
from rnnbench_cells import FAMILIES, gru, lru, lstm, mingru, minlstm, rnn
from training_programs import H, T, batch, build, stepped

RATE = 0.4
WEIGHT = "layers.0.weight_hh"


def dropped(backend, cell=gru, rate=RATE, **spec):
    return build(backend, cell, sizes={"recurrent_dropout": rate}, seed=3, **spec)


def test_cells_with_a_matrix_from_state_to_state_say_so():
    assert {cell.name for cell in (rnn, gru, lstm) if cell.recurrent == ("weight_hh",)} == {"rnn", "gru", "lstm"}
    assert all(cell.recurrent == () for cell in (mingru, minlstm, lru))
    for cell in FAMILIES["first"]:
        params, _ = cell.init(np.random.default_rng(0), 3, 4)
        assert all(params[name].shape[-1] == 4 for name in cell.recurrent)


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropped_entries_have_exactly_no_gradient_and_about_the_rate_is_dropped(backend):
    program = dropped(backend)
    zero = [stepped(program, batch())[1][WEIGHT] == 0 for _ in range(40)]
    assert np.mean(zero) == pytest.approx(RATE, abs=0.04)  # 40 masks of 75 entries: 4.5 standard errors
    assert not np.array_equal(zero[0], zero[1])  # a mask per step


@by_torch
def test_other_parameters_are_never_dropped(backend):
    gradients = stepped(dropped(backend), batch())[1]
    assert all((found != 0).all() for name, found in gradients.items() if name != WEIGHT)


def summing():
    """h' = h + w, y = h': every step adds the weight it sees."""

    def init(rng, D, H):
        return {"weight": rng.uniform(1, 2, H)}, np.zeros(H)

    def step(ops, params, h, x):
        h = h + params["weight"]
        return h, h

    return Cell("summing", init, step, recurrent=("weight",))


def total(ops, outputs, batch):
    """Σ_t y_t."""
    return ops.sum(outputs)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("spec", [{}, {"bptt": "truncated", "segment": 2}, {"bptt": "checkpointed", "segment": 2}])
def test_one_mask_holds_for_the_whole_sequence_and_keeps_the_mean(backend, spec):
    """y_t = t·w/(1 − p) or 0, so the loss is T(T+1)/2·w times 0 or 2, and nothing between."""
    sizes = {"output_size": None, "hidden_size": 1, "recurrent_dropout": 0.5}
    program = build(
        backend, summing(), sizes=sizes, loss=total, optimizer=Optimizer("sgd", lr=1e-300), seed=1, **spec
    )  # fmt: skip
    weight = program.parameters()["layers.0.weight"][0]
    placed = program.put({"xs": np.zeros((T, 1, 4))})
    found = program.get(program.train_steps([placed] * 200)) / (weight * T * (T + 1) / 2)
    assert set(np.round(found, 9)) == {0.0, 2.0}
    assert found.mean() == pytest.approx(1.0, abs=0.28)  # 4 standard errors


@by_torch
def test_one_mask_holds_for_all_micro_batches(backend):
    program = dropped(backend, micro_batches=4)
    zero = stepped(program, batch())[1][WEIGHT] == 0
    assert 0.2 < zero.mean() < 0.6  # were there four masks, 0.4⁴ = 2.6 % would be


@by_torch
def test_evaluation_uses_the_whole_weights_and_a_step_leaves_the_dropped_ones_as_they_are(backend):
    data, thin, plain = batch(), dropped(backend, rate=0.9), build(backend, gru)
    assert thin.evaluate(thin.put(data)) == plain.evaluate(plain.put(data))
    before = thin.parameters()[WEIGHT]
    gradient = stepped(thin, data)[1][WEIGHT]
    np.testing.assert_array_equal(thin.parameters()[WEIGHT][gradient == 0], before[gradient == 0])
    assert (before[gradient == 0] != 0).all()


def test_torchs_fused_kernels_are_trained_with_it_too():
    pytest.importorskip("torch")
    found = [dropped("torch", lstm, implementation=name) for name in ("native", "eager")]
    gradients = [stepped(program, batch())[1] for program in found]
    assert (gradients[0][WEIGHT] == 0).any()
    for name, truth in gradients[1].items():
        np.testing.assert_allclose(gradients[0][name], truth, rtol=1e-9, atol=1e-13)
    assert gradients[0][WEIGHT].shape == (4 * H, H)
