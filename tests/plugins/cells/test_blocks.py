"""Blocks around cells: by hand, causal, cut anywhere, counted, and on a framework; by their names in a suite."""

from __future__ import annotations

import numpy as np
import pytest

from rnnbench import Model, Weights, initialise
from rnnbench.model import oracle
from rnnbench.model.costs import count
from rnnbench.registry.declared import checked
from rnnbench.worker.preflight import check_cell
from rnnbench_cells import CELLS
from rnnbench_cells.blocks import KINDS, block, study
from training_programs import assert_as_the_oracle, build

H = 8
INSIDE = ("lstm", "mingru", "gated_deltanet", "rwkv6", "clockwork", "qrnn", "scrn")
"""A step, linear, a scan, one that looks back, one that derives and asks for the time, outputs of another size."""


def made(kind, cell="lstm", D=H, layers=1, **options):
    return Model(block(kind, CELLS[cell]), D, H, layers, cell_options=options)


def inputs(T=6, D=H):
    return np.random.default_rng(1).standard_normal((T, 2, D))


def own(weights):
    return {name.removeprefix("layers.0."): array for name, array in weights.params.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", INSIDE)
def test_any_cell_goes_into_any_block(kind, cell):
    """The contract is kept, later inputs change nothing before them, and a sequence may be cut anywhere."""
    wrapped = block(kind, CELLS[cell])
    checked("rnnbench_cells", [wrapped])
    check_cell(wrapped)
    model = made(kind, cell, D=5, layers=2)
    weights, xs = initialise(model, 0), inputs(D=5)
    _, whole = oracle.forward(model, weights, xs)
    assert whole.shape == (6, 2, H)
    middle, first = oracle.forward(model, weights, xs[:2])
    np.testing.assert_allclose(first, whole[:2], rtol=1e-9, atol=1e-12)
    _, rest = oracle.forward(model, weights, xs[2:], middle)
    np.testing.assert_allclose(rest, whole[2:], rtol=1e-9, atol=1e-12)


def silenced(kind):
    """The block with nothing on its branches: y = r."""
    model = made(kind)
    weights = initialise(model, 0)
    ends = ("weight_o", "weight_1", "weight_d")
    params = {name: 0 * a if name.endswith(ends) else a for name, a in weights.params.items()}
    return model, Weights(params, weights.states)


@pytest.mark.parametrize("kind", KINDS)
def test_without_its_branches_a_block_is_the_identity(kind):
    model, weights = silenced(kind)
    np.testing.assert_array_equal(oracle.forward(model, weights, inputs())[1], inputs())


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_mamba_by_hand():
    model = made("mamba", "mamba", states=3)
    weights, xs = initialise(model, 0), inputs()
    p = own(weights)
    u = p["norm"] * xs / np.sqrt((xs**2).mean(-1, keepdims=True) + 1e-5)
    a, z = u @ p["weight_a"].T, u @ p["weight_z"].T
    mixed = np.stack([sum(p["conv"][j] * a[t - j] for j in range(4) if t >= j) for t in range(6)])
    inner = Model(CELLS["mamba"], 2 * H, 2 * H, cell_options={"states": 3})
    named = {"layers.0." + name.removeprefix("cell."): array for name, array in p.items() if name.startswith("cell.")}
    _, y = oracle.forward(inner, Weights(named, initialise(inner, 0).states), mixed * sigmoid(mixed))
    true = xs + (y * z * sigmoid(z)) @ p["weight_o"].T
    np.testing.assert_allclose(oracle.forward(model, weights, xs)[1], true, rtol=1e-10)


def test_griffin_has_as_many_parameters_as_its_figure():
    """W_a, W_z, W_o and four taps; the MLP's three of 3H; two gains; and the cell at H = D."""
    inside = initialise(Model(CELLS["rglru"], H, H), 0).count
    assert initialise(made("griffin", "rglru"), 0).count == 3 * H * H + 4 * H + 9 * H * H + 2 * H + inside


def test_its_operations_are_counted():
    """Products of `residual` around a cell are the cell's and one more, 2H² a step."""
    inside, around = (count(one, 4, 1, "float32", "forward") for one in (Model(CELLS["lstm"], H, H), made("residual")))
    assert around.matmul_flops == inside.matmul_flops + 4 * 2 * H * H


def test_a_block_on_torch():
    pytest.importorskip("torch")
    sizes = {"input_size": 5, "hidden_size": H, "output_size": None}
    cell = block("xlstm", CELLS["rwkv6"])
    program, model = build("torch", cell, sizes=sizes), Model(cell, 5, H)
    weights, xs = initialise(model, 0), inputs(D=5)
    assert_as_the_oracle(program, model, weights, xs, outputs=1e-11, gradients=1e-10)


def test_a_name_brings_a_plugin_and_a_misspelled_one_is_told():
    found = study({"target": "griffin:rglru"})
    assert list(found["plugins"]) == ["griffin:rglru"]
    named: dict = {}
    exec(found["plugins"]["griffin:rglru"], named)  # noqa: S102
    assert [cell.name for cell in named["rnnbench_cells"]()] == ["griffin:rglru"]
    assert "there is no cell 'rglu'" in study({"target": "griffin:rglu"})["problems"]["griffin:rglu"]
    assert "there is no block 'grifin'" in study({"target": "grifin:rglru"})["problems"]["grifin:rglru"]
    assert study({"target": "torch.nn:GRU"}) == {"plugins": {}, "problems": {}}
