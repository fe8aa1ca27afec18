"""Generated kernels through jax: jitted, differentiated, batched."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax

import fused_cells
from fused_jobs import kit, verified
from rnnbench import leaves
from rnnbench_cells import FAMILIES
from rnnbench_fused import jax_binding
from rnnbench_fused.kernel import supports
from rnnbench_jax import scan

CELLS = {cell.name: cell for cell in (*FAMILIES["first"], *fused_cells.CELLS)}
SERVED = [name for name, cell in CELLS.items() if supports(cell, "cpu", "float32") is None]


KITS = [
    pytest.param(cell, dtype, id=f"{cell} {dtype}", marks=() if quick else pytest.mark.long)
    for cell in SERVED
    for dtype in ("float32", "float64")
    for quick in [f"{cell} {dtype}" in ("gru float64", "rnn float32", "counted float32")]
]


@pytest.mark.parametrize(("cell", "dtype"), KITS)
def test_the_kit_is_passed(cell, dtype):
    found = kit(cell, "jax", dtype)
    assert found["status"] == "ok", found["reason"]
    assert found["verified"] == "oracle"


def test_truncated_and_checkpointed_gradients():
    for bptt in ("truncated", "checkpointed"):
        found = verified("lstm", "jax", "float32", 13, 3, 2, 8, 1, bptt=bptt, segment=5)
        assert found["status"] == "ok", found["reason"]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "counted", "memoryless"])
def test_gradients_are_those_of_scan(cell):
    """With respect to everything, and to parameters alone; jitted and not."""
    rng = np.random.default_rng(0)
    params, state = CELLS[cell].init(rng, 3, 8)
    params = {name: np.asarray(array, np.float32) for name, array in params.items()}
    state = tuple(np.asarray(rng.normal(0, 0.5, (2, *leaf.shape)), np.float32) for leaf in leaves(state))
    if cell == "rnn":
        [state] = state
    xs = rng.standard_normal((6, 2, 3)).astype(np.float32)

    def loss_of(module):
        unroll = module.build(CELLS[cell], "cpu", "float32")

        def loss(params, state, xs):
            final, ys = unroll(params, state, xs)
            return (ys * np.linspace(-1, 1, 8, dtype=np.float32)).sum() + sum((each**2).sum() for each in leaves(final))

        return loss

    true = jax.grad(loss_of(scan), (0, 1, 2))(params, state, xs)
    found = jax.jit(jax.grad(loss_of(jax_binding), (0, 1, 2)))(params, state, xs)
    alone = jax.grad(loss_of(jax_binding))(params, state, xs)
    for one, other in zip(jax.tree.leaves((true, true[0])), jax.tree.leaves((found, alone)), strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-5, atol=2e-5)


def test_many_models_at_once():
    """vmap runs them one after the other."""
    rng = np.random.default_rng(0)
    drawn = [CELLS["rnn"].init(rng, 3, 8) for _ in range(2)]
    params = {name: np.stack([one[name] for one, _ in drawn]).astype(np.float32) for name in drawn[0][0]}
    state, xs = np.zeros((2, 4, 8), np.float32), rng.standard_normal((2, 5, 4, 3)).astype(np.float32)
    found, true = (
        jax.vmap(module.build(CELLS["rnn"], "cpu", "float32"))(params, state, xs) for module in (jax_binding, scan)
    )
    np.testing.assert_allclose(found[1], true[1], rtol=1e-5, atol=1e-6)
