"""Classes of flax and equinox become cells, equal to calling the library itself."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from rnnbench_adapters import from_class  # noqa: E402
from rnnbench_adapters.classes import Unusable  # noqa: E402

D, H, B = 3, 4, 2
MORE_LINEN = ("LSTMCell", "SimpleCell", "MGUCell")


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
    ["GRUCell", "OptimizedLSTMCell", *(pytest.param(name, marks=pytest.mark.long) for name in MORE_LINEN)],
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


@pytest.mark.parametrize("name", ["GRUCell", "LSTMCell"])
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


def test_a_class_that_is_no_cell_says_why():
    pytest.importorskip("equinox", reason="equinox is not installed")
    with pytest.raises(Unusable, match=r"no call|cannot be made"):
        from_class("equinox.nn:Linear")
