"""Classes of flax and equinox become cells, equal to calling the library itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from rnnbench_adapters import from_class  # noqa: E402
from rnnbench_adapters.classes import Unusable  # noqa: E402

D, H, B = 3, 4, 2
MORE_LINEN = ("GRUCell", "LSTMCell", "SimpleCell", "MGUCell")
FILE = Path(__file__).parents[2] / "support/jax_classes.py"
REFUSED = {
    "Drops": "draws random numbers in a step",
    "AddsItsInput": "needs D = H; wrap it in a class with a projection from D",
    "OtherState": "no call .* gave an output of H = 5 features and a state",
    "Stopped": "has no gradient: its output does not reach any of its parameters",
}


def stepped(cell):
    """(params, new state, y) of one step in float64 from a state that is not zero."""
    params, state = cell.init(np.random.default_rng(0), D, H)
    with jax.enable_x64(True):
        x = jax.numpy.linspace(-1, 1, B * D).reshape(B, D)
        leaves = state if isinstance(state, tuple) else (state,)
        filled = tuple(jax.numpy.full((B, *leaf.shape), 0.1 * (i + 1)) for i, leaf in enumerate(leaves))
        before = filled if isinstance(state, tuple) else filled[0]
        after, y = cell.step(None, {k: jax.numpy.asarray(v) for k, v in params.items()}, before, x)
    return params, before, x, after, y


@pytest.mark.parametrize(
    "name",
    ["OptimizedLSTMCell", *(pytest.param(name, marks=pytest.mark.long) for name in MORE_LINEN)],
)
def test_linen_cells(name):
    linen = pytest.importorskip("flax.linen", reason="flax is not installed")
    cell = from_class(f"flax.linen:{name}")
    params, before, x, after, y = stepped(cell)
    nested: dict = {}
    for key, value in params.items():
        module, _, own = key.partition(".")
        nested.setdefault(module, {})[own] = value
    with jax.enable_x64(True):
        carry, out = getattr(linen, name)(features=H).apply({"params": nested}, before, x)
        assert np.allclose(out, y, atol=1e-14)
        for one, other in zip(jax.tree.leaves(carry), jax.tree.leaves(after), strict=True):
            assert np.allclose(one, other, atol=1e-14)
    assert cell.framework == "jax"


def test_nnx_cells():
    pytest.importorskip("flax.nnx", reason="flax is not installed")
    _, _, _, after, y = stepped(from_class("flax.nnx:GRUCell"))
    assert np.array_equal(after, y)


@pytest.mark.parametrize("name", ["GRUCell", pytest.param("LSTMCell", marks=pytest.mark.long)])
def test_equinox_cells(name):
    eqx = pytest.importorskip("equinox", reason="equinox is not installed")
    cell = from_class(f"equinox.nn:{name}")
    params, before, x, after, y = stepped(cell)
    with jax.enable_x64(True):
        module = getattr(eqx.nn, name)(D, H, key=jax.random.key(0))
        for key, value in params.items():
            module = eqx.tree_at(lambda m, key=key: getattr(m, key), module, jax.numpy.asarray(value))
        out = jax.vmap(module)(x, before)
        for one, other in zip(jax.tree.leaves(out), jax.tree.leaves(after), strict=True):
            assert np.allclose(one, other, atol=1e-14)
    assert np.allclose(y, jax.tree.leaves(out)[0])
    assert cell.options == {"use_bias": True}


def test_haiku_cells():
    hk = pytest.importorskip("haiku", reason="dm-haiku is not installed")
    cell = from_class("haiku:LSTM")
    params, before, x, after, y = stepped(cell)
    nested = {"lstm/linear": {name.rpartition(".")[2]: value for name, value in params.items()}}
    with jax.enable_x64(True):
        own = hk.without_apply_rng(hk.transform(lambda x, s: hk.LSTM(H)(x, s)))
        out, carry = own.apply(nested, x, hk.LSTMState(*before))
    assert np.allclose(out, y, atol=1e-14)
    assert np.allclose(carry.cell, after[1], atol=1e-14)


def test_memax_layers_stand_behind_a_matrix_and_go_step_by_step_as_at_once():
    pytest.importorskip("memax", reason="memax is not installed")
    cell: Any = from_class("memax.equinox.train_utils:GRU")
    params, state = cell.init(np.random.default_rng(0), D, H)
    assert params["front.weight"].shape == (H, D)
    with jax.enable_x64(True):
        xs = jax.numpy.asarray(np.random.default_rng(1).standard_normal((5, B, D)))
        arrays = {name: jax.numpy.asarray(value) for name, value in params.items()}
        start = tuple(jax.numpy.zeros((B, *leaf.shape)) for leaf in state)
        final, ys = cell.unroll(arrays, start, xs)
        after, stepwise = start, []
        for x in xs:
            after, y = cell.step(None, arrays, after, x)
            stepwise.append(y)
        assert np.allclose(np.stack(stepwise), ys, atol=1e-13)
        assert np.allclose(after[0], final[0], atol=1e-13)


def test_a_class_that_is_no_cell_says_why():
    pytest.importorskip("equinox", reason="equinox is not installed")
    with pytest.raises(Unusable, match=r"no call|cannot be made"):
        from_class("equinox.nn:Linear")


@pytest.mark.parametrize("name, message", REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_a_cell_says_why(name, message):
    for library in ("flax", "equinox"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    with pytest.raises(Unusable, match=message):
        from_class(f"{FILE}:{name}")
