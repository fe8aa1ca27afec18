"""onnxruntime's recurrent operators: forward passes of the cells they stand for, and nothing that takes gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from cell_runs import CELLS
from rnnbench import Model, Skipped, initialise
from rnnbench.cell import leaves
from rnnbench.model import Weights, oracle
from rnnbench.registry import load
from rnnbench.worker.conformance import kit_case
from rnnbench.worker.resolve import resolve
from rnnbench.worker.verification import verify
from rnnbench_torch import onnx_runtime
from training_programs import build

installed = pytest.mark.skipif(onnx_runtime.missing() is not None, reason=str(onnx_runtime.missing()))
SIZES = {"input_size": 3, "hidden_size": 5, "output_size": None, "layers": 2}


def test_what_it_does_not_run(monkeypatch):
    supports = onnx_runtime.implementation.supports
    assert supports(CELLS["mgu"], "cpu", "float32") == "it serves only rnn, irnn, lstm, gru"
    assert "float32 alone" in str(supports(CELLS["gru"], "cpu", "float64"))
    assert "the device is cuda" in str(supports(CELLS["gru"], "cuda", "float32"))
    monkeypatch.setattr(onnx_runtime, "NEEDED", ("onnx", "no_such_runtime"))
    onnx_runtime.missing.cache_clear()
    try:
        assert "no_such_runtime not installed: pip install 'rnnbench[onnx]'" in str(onnx_runtime.missing())
    finally:
        onnx_runtime.missing.cache_clear()


@installed
@pytest.mark.parametrize("name", onnx_runtime.OPERATORS)
def test_it_agrees_with_the_oracle_at_several_sizes_and_from_any_state(name):
    model = Model(CELLS[name], **SIZES)
    drawn = initialise(model, 0)
    program = build("torch", CELLS[name], implementation=onnx_runtime.implementation, sizes=SIZES, dtype="float32")
    for T, B in ((7, 2), (4, 3)):
        xs = np.random.default_rng(T).standard_normal((T, B, 3))
        states, first = program.forward(program.put({"xs": xs})["xs"])
        states, second = program.forward(program.put({"xs": xs})["xs"], states)
        finals, wanted = oracle.forward(model, drawn, np.concatenate([xs, xs]))
        np.testing.assert_allclose(np.concatenate([program.get(first), program.get(second)]), wanted, atol=2e-6)
        for one, other in zip(states, finals, strict=True):
            for mine, true in zip(leaves(one), leaves(other), strict=True):
                np.testing.assert_allclose(program.get(mine), true, atol=2e-6)


@installed
def test_it_takes_no_gradient_and_the_weights_as_they_are_now():
    program = build("torch", CELLS["gru"], implementation=onnx_runtime.implementation, sizes=SIZES, dtype="float32")
    batch = program.put({"xs": np.ones((4, 2, 3)), "targets": np.zeros((4, 2, 5))})
    with pytest.raises(Skipped, match="it has no gradients"):
        program.loss_and_gradients(batch)
    before = program.get(program.forward(batch["xs"])[1])
    import torch

    with torch.no_grad():
        program._params["layers.1.bias_ih"].add_(1)  # pyright: ignore[reportAttributeAccessIssue]
    weights = Weights(program.parameters(), initialise(Model(CELLS["gru"], **SIZES), 0).states)
    after = program.get(program.forward(batch["xs"])[1])
    _, wanted = oracle.forward(Model(CELLS["gru"], **SIZES), weights, np.ones((4, 2, 3)))
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_allclose(after, wanted, atol=2e-6)


@installed
def test_its_verdict_says_forward_and_the_other_gru_of_onnx_is_wrong(monkeypatch):
    context = resolve(kit_case("gru", "torch", "onnxruntime", "cpu", "float32"), load())
    found = verify(context)
    assert (found["verified"], found.get("status")) == ("forward", None)
    assert [check["name"] for check in found["checks"]] == ["outputs", "final states", "final states"]
    other = replace(onnx_runtime.OPERATORS["gru"], attributes={"linear_before_reset": 0})
    monkeypatch.setitem(onnx_runtime.OPERATORS, "gru", other)
    assert verify(context)["status"] == "wrong"
