"""Sequences packed into one, and padded: each as if it were alone, on every way to run a cell."""

from __future__ import annotations

import numpy as np
import pytest

from rnnbench import Model, UsageError, Weights, batched, initialise, leaves, tree_map
from rnnbench.model import oracle
from rnnbench.registry.declared import checked
from rnnbench.worker.preflight import check_cell
from rnnbench_cells import CELLS
from rnnbench_cells.blocks import study
from rnnbench_cells.resets import resettable, resetting
from training_programs import assert_as_the_oracle, build

D, H = 3, 8
KINDS_OF = ("lstm", "lru", "gated_deltanet", "qrnn", "rwkv7", "scornn")
"""A step of two arrays, a complex linear one, a scan, two that look back, and one that derives."""


def flagged(xs, flags):
    return np.concatenate([xs, np.broadcast_to(np.asarray(flags, float)[:, None, None], (*xs.shape[:2], 1))], axis=-1)


def models(name):
    """(with flags, without), and the same weights for both."""
    with_flags, alone = Model(resetting(CELLS[name]), D + 1, H), Model(CELLS[name], D, H)
    return with_flags, initialise(with_flags, 0), alone


def of_alone(weights, alone):
    return Weights(weights.params, initialise(alone, 0).states)


@pytest.mark.parametrize("name", KINDS_OF)
def test_packed_sequences_do_not_see_each_other(name):
    packed, weights, alone = models(name)
    checked("rnnbench_cells", [packed.cell])
    check_cell(packed.cell)
    xs = np.random.default_rng(0).standard_normal((7, 2, D))
    _, ys = oracle.forward(packed, weights, flagged(xs, [1, 0, 0, 0, 1, 0, 0]))
    assert ys.shape == (7, 2, H + 1)
    parts = [oracle.forward(alone, of_alone(weights, alone), piece)[1] for piece in (xs[:4], xs[4:])]
    np.testing.assert_allclose(ys[..., :H], np.concatenate(parts), rtol=1e-10, atol=1e-13)
    _, unpacked = oracle.forward(packed, weights, flagged(xs, [1, 0, 0, 0, 0, 0, 0]))
    assert np.abs(unpacked - ys).max() > 1e-6


@pytest.mark.parametrize("name", ["lstm", "lru", "gated_deltanet"])
def test_padding_leaves_the_state_at_the_end_of_the_sequence(name):
    padded, weights, alone = models(name)
    xs = np.random.default_rng(0).standard_normal((6, 2, D))
    states, ys = oracle.forward(padded, weights, flagged(xs, [1, 0, 0, 0, -1, -1]))
    true, short = oracle.forward(alone, of_alone(weights, alone), xs[:4])
    np.testing.assert_allclose(ys[:4, :, :H], short, rtol=1e-10, atol=1e-13)
    assert not ys[4:, :, :H].any()
    for one, other in zip(leaves(states), leaves(true), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("implementation", ["eager", "associative_scan"])
def test_programs_agree_with_the_oracle(implementation):
    pytest.importorskip("torch")
    sizes = {"input_size": D + 1, "hidden_size": H, "output_size": None, "layers": 2}
    cell = resetting(CELLS["qrnn"])
    program, model = build("torch", cell, implementation=implementation, sizes=sizes), Model(cell, D + 1, H, 2)
    weights = initialise(model, 0)
    xs = flagged(np.random.default_rng(0).standard_normal((7, 2, D)), [1, 0, -1, 1, 0, 0, -1])
    assert_as_the_oracle(program, model, weights, xs, outputs=1e-12, gradients=1e-11)


LENGTHS = np.array([6, 3])
BEGINS = np.array([[1, 1], [0, 0], [0, 1], [0, 0], [1, 0], [0, 0]])
PIECES = {0: [(0, 4), (4, 6)], 1: [(0, 2), (2, 3)]}
"""Of each row of the batch, from which step to which its sequences go."""


def unrolled(backend, name, implementation, xs, **given):
    """(final states, ys) with `resets` and `lengths` as arguments."""
    cell = CELLS[name]
    if backend == "torch":
        torch = pytest.importorskip("torch")
        import rnnbench_torch as plugin
        from rnnbench_torch.ops import torch_ops as ops

        array = torch.tensor
    else:
        jax = pytest.importorskip("jax")
        import rnnbench_jax as plugin
        from rnnbench_jax.ops import jax_ops as ops

        array = jax.numpy.asarray
    made = {one.name: one for one in plugin.rnnbench_implementations()}[implementation]
    wrapped = resetting(cell)
    params, first = cell.init(np.random.default_rng(5), D, H)
    state = tree_map(lambda leaf: array(np.stack([leaf] * 2)), wrapped.bound().initial(first, D + 1))
    unroll = resettable(ops(), made.build, cell, "cpu", "float64")
    given = {key: array(value) for key, value in given.items()}
    found = unroll({key: array(value) for key, value in params.items()}, state, array(xs), **given)
    return tree_map(np.asarray, found)


@pytest.fixture
def wide():
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        yield


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(
    ("backend", "name", "implementation"),
    [("torch", "lstm", "eager"), ("torch", "mingru", "associative_scan"), ("jax", "lstm", "scan")],
)
def test_resets_and_lengths_are_arguments_of_unroll(backend, name, implementation):
    """Each sequence as if it were alone; zeros after the end, and the state is that at the end."""
    xs = np.random.default_rng(0).standard_normal((6, 2, D))
    state, ys = unrolled(backend, name, implementation, xs, resets=BEGINS, lengths=LENGTHS)
    assert ys.shape == (6, 2, H)
    for row, pieces in PIECES.items():
        for start, stop in pieces:
            alone, short = unrolled(backend, name, implementation, xs[start:stop])
            np.testing.assert_allclose(ys[start:stop, row], short[:, row], rtol=1e-10, atol=1e-13)
            if stop == LENGTHS[row]:
                for one, other in zip(leaves(state), leaves(alone), strict=True):
                    np.testing.assert_allclose(one[row], other[row], rtol=1e-10, atol=1e-13)
    assert not ys[3:, 1].any()
    assert np.abs(unrolled(backend, name, implementation, xs)[1] - ys).max() > 1e-3


def test_states_are_batched_as_ever():
    model, weights, _ = models("lstm")
    [state] = batched(weights.states, 5, np.broadcast_to)
    assert [leaf.shape for leaf in leaves(state)] == [(5, H), (5, H)]
    assert model.features == H + 1


def test_what_cannot_start_over_says_why():
    with pytest.raises(UsageError, match="'clockwork' counts its steps from the start"):
        resetting(CELLS["clockwork"])
    assert "counts its steps" in study({"target": "resets:phased_lstm"})["problems"]["resets:phased_lstm"]
    assert list(study({"target": "resets:gru"})["plugins"]) == ["resets:gru"]
    with pytest.raises(UsageError, match="the last of them the flag"):
        initialise(Model(resetting(CELLS["gru"]), 1, H), 0)
