"""Classes of torch become cells: how they are made and called is found by trying, what cannot be says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rnnbench_adapters import from_class  # noqa: E402
from rnnbench_adapters.classes import Unusable  # noqa: E402
from rnnbench_adapters.loading import load_class, matching  # noqa: E402
from rnnbench_adapters.study import describe, perform  # noqa: E402

FILE = str(Path(__file__).parents[2] / "support/torch_classes.py")
FOUND = {
    "Leaky": {"kind": "cell", "call": "x, s", "returns": "s", "mode": "train"},
    "StateFirst": {"kind": "cell", "call": "s, x", "returns": "y, s", "sizes": ["inputs", "units"]},
    "Spread": {"kind": "cell", "call": "x, *s", "returns": "y, *s", "start": "init_hidden"},
    "BatchFirst": {"kind": "layer", "call": "x, s", "returns": "y, s", "batch_first": True},
    "NoState": {"kind": "layer", "call": "x", "returns": "y", "batch_first": False},
    "Dropped": {"kind": "cell", "mode": "eval"},
    "HalfDetached": {"kind": "cell", "call": "x, s"},
    "Renamed": {"kind": "cell", "call": "x, s"},
    "StoppedGru": {"kind": "cell", "call": "x, s"},
}
REFUSED = {
    "Noisy": r"draws random numbers: .* when called again, also after `.eval\(\)`",
    "Remembers": "keeps something between calls: it gives other outputs for the same inputs",
    "RemembersItsState": "keeps something between calls: it gives other outputs for the same inputs",
    "WritesInPlace": "writes into the state that it is given",
    "CountsSteps": "its state holds whole numbers",
    "Detached": "has no gradient: its output does not reach any of its parameters",
    "AddsItsInput": "needs D = H; wrap it in a class with a projection from D",
    "EqualSizes": "needs D = H; wrap it in a class with a projection from D",
    "OtherState": r"no call .* gave an output of H = 5 features and a state",
    "MixedRows": "a changed row of the batch moves the outputs of another",
    "Bidirectional": "is not causal: outputs before a step move",
    "OneSize": "is made with one size, 'dim', so it needs D = H; wrap it",
    "LearnedStart": "starts from a state other than zeros, .* give it a method `initial_state",
    "Memoryless": "does not depend on earlier steps, so it is not recurrent",
    "LastOutput": r"gives outputs of shape \(2, 5\) instead of \(7, 2, 5\)",
    "NeedsMore": "its constructor needs input_size, hidden_size, heads; wrap it",
    "NoModule": "is a class of none of the libraries that are known: torch, keras, flax",
    "Leakey": "has no 'Leakey'. Did you mean 'Leaky'?",
    "torch": "'torch' of .* is no class but a module",
}


def cell_of(name: str) -> Any:
    return from_class(f"{FILE}:{name}")


@pytest.mark.parametrize("name, expected", FOUND.items(), ids=FOUND)
def test_how_a_class_is_called_is_found(name, expected):
    protocol = describe(load_class(f"{FILE}:{name}"), f"{FILE}:{name}")["protocol"]
    assert {key: protocol[key] for key in expected} == expected


@pytest.mark.parametrize("name, message", REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_a_cell_says_why(name, message):
    with pytest.raises(Unusable, match=message):
        cell_of(name)


def test_init_follows_its_seed_and_leaves_the_generators_alone():
    cell = cell_of("Leaky")
    before = torch.random.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"]
    params, state = cell.init(np.random.default_rng(1), 3, 4, alpha=0.1)
    again, _ = cell.init(np.random.default_rng(1), 3, 4, alpha=0.1)
    other, _ = cell.init(np.random.default_rng(2), 3, 4, alpha=0.1)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state(legacy=False)["state"]["key"])
    assert torch.get_default_dtype() == torch.float32
    assert set(params) == {"wx.weight", "wx.bias", "wh.weight"}  # neither the buffer nor what is not trained
    assert all(np.array_equal(params[name], again[name]) for name in params)
    assert not np.array_equal(params["wh.weight"], other["wh.weight"])
    assert np.array_equal(state, np.zeros(4))
    assert cell.options == {"alpha": 0.5}


def test_a_step_is_the_class_itself_with_the_parameters_given():
    cell = cell_of("Leaky")
    params, _ = cell.init(np.random.default_rng(1), 3, 4, alpha=0.25)
    tensors = {name: torch.tensor(value).requires_grad_() for name, value in params.items()}
    x, h = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    after, y = cell.step(None, tensors, h, x)
    inside = x @ tensors["wx.weight"].T + tensors["wx.bias"] + h @ tensors["wh.weight"].T
    assert torch.allclose(after, 0.25 * h + 0.75 * torch.tanh(inside) * 0.5, atol=1e-15)
    assert y is after
    [gradient] = torch.autograd.grad(y.sum(), tensors["wh.weight"])
    assert gradient.abs().max() > 0
    single = {name: value.detach().float() for name, value in tensors.items()}
    assert cell.step(None, single, h.float(), x.float())[1].dtype == torch.float32


def test_the_first_state_is_what_the_class_makes():
    params, state = cell_of("Spread").init(np.random.default_rng(0), 3, 4)
    assert [leaf.tolist() for leaf in state] == [[1.0] * 4] * 2
    assert "inner.weight_ih" in params


def test_a_layer_goes_step_by_step_as_it_goes_at_once():
    cell = cell_of("BatchFirst")
    params, state = cell.init(np.random.default_rng(0), 3, 4)
    tensors = {name: torch.tensor(value) for name, value in params.items()}
    xs, h = torch.randn(6, 2, 3, dtype=torch.float64), torch.zeros(2, 4, dtype=torch.float64)
    assert state.shape == (1, 4)  # one layer of torch.nn.GRU
    final, ys = cell.unroll(tensors, h[:, None], xs)
    h, stepped = h[:, None], []
    for x in xs:
        h, y = cell.step(None, tensors, h, x)
        stepped.append(y)
    assert torch.allclose(torch.stack(stepped), ys, atol=1e-12)
    assert torch.allclose(h, final, atol=1e-12)
    assert cell_of("NoState").step is None


def test_what_was_found_is_a_plugin_file_that_can_be_read():
    found = perform({"target": f"{FILE}:*"})
    assert set(found["plugins"]) == {f"torch_classes.py:{name}" for name in FOUND}
    assert {name.rpartition(":")[2] for name in found["problems"]} == set(REFUSED) - {"Leakey", "torch"}
    text = found["plugins"]["torch_classes.py:Leaky"]
    scope: dict = {}
    exec(compile(text, "plugin", "exec"), scope)  # noqa: S102
    [cell] = scope["rnnbench_cells"]()
    assert (cell.name, cell.framework, cell.options) == ("torch_classes.py:Leaky", "torch", {"alpha": 0.5})


def test_a_pattern_stands_for_classes():
    assert matching("torch.nn:*RNNCell") == ["torch.nn:RNNCell"]
    assert perform({"target": "torch.nn:*Nothing"})["problems"] == {
        "torch.nn:*Nothing": "no class has a name like this"
    }


@pytest.mark.parametrize("name, portable", [("RNNCell", "rnn"), ("GRUCell", "gru"), ("LSTMCell", "lstm")])
def test_the_cells_of_torch_are_the_portable_ones(name, portable):
    from rnnbench.model import Model, Weights, oracle
    from rnnbench.registry import load

    cell: Any = from_class(f"torch.nn:{name}")
    params, _ = cell.init(np.random.default_rng(3), 3, 4)
    model = Model(load().cells[portable], 3, 4)
    xs = np.random.default_rng(4).standard_normal((7, 2, 3))
    first = np.zeros(4)
    weights = Weights(
        {f"layers.0.{k}": v for k, v in params.items()}, ((first, first) if portable == "lstm" else first,)
    )
    _, true = oracle.forward(model, weights, xs)
    tensors = {key: torch.tensor(value) for key, value in params.items()}
    state, ys = torch.zeros(2, 4, dtype=torch.float64), []
    state = (state, state) if portable == "lstm" else state
    for x in torch.tensor(xs):
        state, y = cell.step(None, tensors, state, x)
        ys.append(y.numpy())
    assert np.abs(np.stack(ys) - true).max() < 1e-14


def test_a_library_of_cells_comes_in():
    pytest.importorskip("torchrecurrent", reason="torchrecurrent is not installed")
    cell: Any = from_class("torchrecurrent:MGUCell")
    params, state = cell.init(np.random.default_rng(0), 3, 4)
    assert {name: value.shape for name, value in params.items()}["weight_hh"] == (8, 4)
    assert state.shape == (4,)
    assert "bias" in cell.options
