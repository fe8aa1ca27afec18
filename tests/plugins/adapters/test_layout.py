"""The layout of a class's weights is found, and so is that there is none."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adapters_table import BEGIN, END, README, table  # noqa: E402
from rnnbench import Cell  # noqa: E402
from rnnbench.registry import load  # noqa: E402
from rnnbench_adapters.classes import Unusable  # noqa: E402
from rnnbench_adapters.layout import find, gates_of  # noqa: E402

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
    layout, _ = find(scrambled(order, transposed, flipped), CELLS["gru"], 3)
    assert layout.equal
    assert layout.inputs == layout.recurrent == tuple(order.index(gate) for gate in "rzn")
    assert layout.transposed == transposed
    assert layout.negated == (1 if flipped else None)


def test_another_function_has_none():
    layout, _ = find(scrambled("rzn", False, False, wrong=True), CELLS["gru"], 3)
    assert not layout.equal
    assert layout.steps == 1  # from a state of zeros, the first step is the same
    with pytest.raises(Unusable, match="not stacked gate by gate"):
        gates_of(CELLS["lru"])


def test_the_page_holds_what_is_found():
    """One row of each library; `python tests/adapters_table.py` writes all of them."""
    pairs = [("torch.nn:GRUCell", "gru")]
    for library, pair in (("flax", ("flax.nnx:GRUCell", "gru")), ("equinox", ("equinox.nn:LSTMCell", "lstm"))):
        try:
            __import__(library)
        except ImportError:
            continue
        pairs.append(pair)
    written = README.read_text().partition(BEGIN)[2].partition(END)[0].splitlines()
    for line in table(pairs).splitlines()[2:]:
        assert line in written
