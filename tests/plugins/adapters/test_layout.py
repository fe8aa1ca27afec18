"""The layout of a class's weights is found, and so is that there is none."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adapters_table import BEGIN, END, README, row  # noqa: E402
from rnnbench import Cell  # noqa: E402
from rnnbench.registry import load  # noqa: E402
from rnnbench_adapters import from_class  # noqa: E402
from rnnbench_adapters.classes import Unusable  # noqa: E402
from rnnbench_adapters.layout import Layout, find, nearest  # noqa: E402

CELLS = load().cells


def scrambled(order: str, transposed: bool, flipped: bool, wrong: bool = False) -> Cell:
    """A GRU of torch whose gates lie in another order, whose matrices are transposed, and whose z is 1 - z."""
    blocks = ["rzn".index(gate) for gate in order]

    def init(rng, D, H):
        params = CELLS["gru"].init(rng, D, H)[0]
        return {"kernel": params["weight_ih"], "inner": params["weight_hh"], "b": params["bias_ih"]}, np.zeros(H)

    def step(ops, params, h, x):
        def gates(array):
            parts = array.chunk(3, dim=-1)
            return [parts[blocks.index(gate)] for gate in range(3)]

        i = gates(x @ params["kernel"].T + params["b"])
        s = gates(torch.cat([h @ (b if transposed else b.T) for b in params["inner"].chunk(3)], dim=1))
        r, z = torch.sigmoid(i[0] + s[0]), torch.sigmoid(i[1] + s[1])
        n = torch.tanh(i[2] + (1 if wrong else r) * s[2])
        h = z * n + (1 - z) * h if flipped else (1 - z) * n + z * h
        return h, h

    return Cell("scrambled", init, step, framework="torch")


@pytest.mark.parametrize("order", ["rzn", "znr"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("flipped", [False, True])
def test_a_layout_is_found(order, transposed, flipped):
    layout = find(scrambled(order, transposed, flipped), CELLS["gru"]).layout
    assert layout is not None
    pairs = {(pair.own.kind, pair.own.index): pair for pair in layout.pairs}
    for place, gate in enumerate(order):
        for kind in ("input", "recurrent"):
            assert pairs[kind, place].cell.index == "rzn".index(gate)
            assert pairs[kind, place].sign == (-1.0 if flipped and gate == "z" else 1.0)
        assert pairs["recurrent", place].transposed == transposed
    assert layout.states == (0,)


def test_it_lays_weights_and_gradients_out_at_any_size():
    """The class at its weights and the cell at theirs: L(w) = ½‖cell(laid(w))‖², whose gradients are each other's."""
    layout = find(scrambled("znr", True, True), CELLS["gru"]).layout
    assert layout is not None
    layout = Layout.from_json(json.loads(json.dumps(layout.to_json())))
    rng = np.random.default_rng(0)
    empty, _ = CELLS["gru"].init(rng, 5, 8)
    own = {"kernel": rng.normal(size=(24, 5)), "inner": rng.normal(size=(24, 8)), "b": rng.normal(size=24)}
    true = {name: rng.normal(size=value.shape) for name, value in empty.items()}
    move = {name: rng.normal(size=value.shape) for name, value in own.items()}
    nearby = {name: value + move[name] for name, value in own.items()}
    laid, moved = layout.weights(own, empty), layout.weights(nearby, empty)
    along = sum(float(np.sum(true[name] * (moved[name] - laid[name]))) for name in true)
    gradients = layout.gradients(true, own)
    assert along == pytest.approx(sum(float(np.sum(gradients[name] * move[name])) for name in move))


def test_another_function_has_none():
    found = find(scrambled("rzn", False, False, wrong=True), CELLS["gru"])
    assert found.layout is None
    assert (found.step, found.where) == (1, "where all gates are alike")  # from zeros, the first step is the same
    with pytest.raises(Unusable, match="input blocks of H rows, and lstm has 4"):
        find(scrambled("rzn", False, False), CELLS["lstm"])
    with pytest.raises(Unusable, match=r"no stack of gates of H rows"):
        find(scrambled("rzn", False, False), CELLS["qrnn"])


def test_of_all_cells_the_one_it_is_is_found():
    portable = {name: cell for name, cell in CELLS.items() if cell.portable}
    found = nearest(scrambled("znr", True, True), portable)
    assert found is not None
    assert found[0] == "gru"
    assert nearest(scrambled("rzn", False, False, wrong=True), portable) is None


LIBRARY = {
    "torchrecurrent:MGUCell": "mgu",
    "torchrecurrent:PeepholeLSTMCell": "lstm_peephole",
    "torchrecurrent:coRNNCell": "cornn(dt=0.1)",
    "torchrecurrent:LEMCell": None,  # it uses the old cell state where the paper uses the new one
}


@pytest.mark.parametrize("target, cell", LIBRARY.items(), ids=LIBRARY)
def test_what_the_classes_of_a_library_are(target, cell):
    pytest.importorskip("torchrecurrent", reason="torchrecurrent is not installed")
    found = nearest(from_class(target), {name: cell for name, cell in CELLS.items() if cell.portable})
    assert (found and found[0]) == cell


def test_the_page_holds_what_is_found():
    """One row of each library; `python tests/adapters_table.py` writes all of them."""
    targets = ["torch.nn:GRUCell"]
    for library, target in (("flax", "flax.nnx:GRUCell"), ("torchrecurrent", "torchrecurrent:BRCell")):
        try:
            __import__(library)
        except ImportError:
            continue
        targets.append(target)
    written = README.read_text().partition(BEGIN)[2].partition(END)[0].splitlines()
    cells = {name: cell for name, cell in CELLS.items() if cell.portable}
    for target in targets:
        assert row(target, cells) in written
