"""Chunks and prefixes against the plain loop, in NumPy and by the implementations; and what they keep in memory."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from cell_runs import CELLS
from rnnbench import Cell, Model, initialise, leaves, scans, tree_map
from rnnbench.errors import PluginError
from rnnbench.model import adjoint, oracle
from rnnbench.ops import numpy_ops
from rnnbench.registry.declared import checked
from rnnbench.worker.preflight import check_cell
from training_programs import build

OPS = numpy_ops()
T, B, HEADS, DK, DV = 9, 2, 3, 4, 5


def drawn(kind, rows, decay, seed=0):
    rng = np.random.default_rng(seed)
    widths = {"log_a": DK if rows else 1, "v": DV}
    found = [rng.standard_normal((T, B, HEADS, widths.get(name, DK))) for name in scans.ELEMENTS[kind]]
    found[0] = -decay * np.abs(found[0])
    return tuple(found), rng.standard_normal((B, HEADS, DK, DV))


@pytest.mark.parametrize("kind", ["outer", "delta"])
@pytest.mark.parametrize("rows", [False, True], ids=["one decay", "a decay per row"])
@pytest.mark.parametrize("decay", [0.0, 0.3, 400.0])
def test_a_chunk_is_its_steps(kind, rows, decay):
    """Also where the decay is e^−400 a step, which no ratio of products would survive."""
    elements, S = drawn(kind, rows, decay)
    end, os = scans.chunk(OPS, kind, S, elements)
    for t in range(T):
        S, o = scans.step(OPS, kind, S, tuple(one[t] for one in elements))
        np.testing.assert_allclose(os[t], o, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(end, S, rtol=1e-9, atol=1e-9)


def test_padding_changes_nothing():
    elements, S = drawn("delta", True, 0.3)
    longer = scans.padded(OPS, elements, 4)
    assert [len(one) for one in longer] == [12] * 6
    np.testing.assert_allclose(scans.chunk(OPS, "delta", S, longer)[0], scans.chunk(OPS, "delta", S, elements)[0])


def product(ops, earlier, later):
    return (later[0] @ earlier[0],)


@pytest.mark.parametrize("length", range(1, 10))
def test_prefixes_keep_the_order(length):
    """Products of matrices, which do not commute."""
    (matrices,) = (np.random.default_rng(1).standard_normal((length, 2, 2)),)
    [found] = scans.prefixes(OPS, partial(product, OPS), (matrices,))
    whole = np.eye(2)
    for t in range(length):
        whole = matrices[t] @ whole
        np.testing.assert_allclose(found[t], whole)


def log_space(combine=None):
    """ln h_t = ln(a_t h_{t−1} + b_t) as pairs (ln a, ln b): the log-space scan of Heinsen 2023, arXiv:2311.06281."""

    def init(rng, D, H):
        return {"W": rng.standard_normal((2 * H, D))}, (np.zeros(H), np.full(H, -5.0))

    def elements(ops, p, zs):
        k = zs @ p["W"].T
        H = k.shape[-1] // 2
        return ops.logsigmoid(k[..., :H]), k[..., H:]

    def joined(ops, earlier, later):
        both = ops.stack([later[0] + earlier[1], later[1]], axis=0)
        return earlier[0] + later[0], ops.logsumexp(both, axis=0)

    return Cell(
        "log_space",
        init,
        scan="semigroup",
        elements=elements,
        combine=combine or joined,
        output=lambda ops, p, hs, zs: ops.exp(hs[1]),
    )


CHUNKED = {
    "rwkv6": {"heads": 2},
    "mlstm": {"heads": 2},
    "gated_deltaproduct": {"heads": 2, "householders": 3},
    "ttt_minibatch": {"heads": 2, "mini_batch": 5},
}
"""Cells with a `chunk` of their own."""


def started(cell, length):
    """(cell, what it is given, a state that is no longer the first one), NumPy."""
    rng = np.random.default_rng(3)
    params, first = cell.init(rng, 3, 8)
    start = tree_map(lambda leaf: np.stack([leaf, leaf]), cell.initial(first, 3))
    xs = rng.standard_normal((length + 3, B, 3))
    opened = cell.open(OPS, params, start, xs[:3])
    return opened.params, opened.close(stepped(cell, opened)[0]), xs[3:]


def stepped(cell, opened):
    state, ys = opened.state, []
    for t in range(len(leaves(opened.zs)[0])):
        state, y = cell.advance(OPS, opened.params, state, tree_map(lambda z, t=t: z[t], opened.zs))
        ys.append(y)
    return state, np.stack(ys)


@pytest.mark.parametrize("name", CHUNKED)
@pytest.mark.parametrize("length", [1, 4, 5])
def test_a_chunk_of_a_cell_is_its_steps(name, length):
    """Wherever it begins: three steps lie behind it, so that a mini-batch of ttt begins inside."""
    options = CHUNKED[name]
    cell = replace(CELLS[name].bound(options), init=partial(CELLS[name].init, **options))
    params, start, xs = started(cell, length)
    opened = cell.open(OPS, params, start, xs)
    assert cell.chunk is not None
    found = cell.chunk(OPS, opened.params, opened.state, opened.zs)
    for one, true in zip(leaves(found), leaves(stepped(cell, opened)), strict=True):
        np.testing.assert_allclose(one, true, rtol=1e-9, atol=1e-12)


def test_a_chunk_that_is_not_its_steps_is_told():
    def forgetful(ops, p, state, zs):
        assert CELLS["mlstm"].chunk is not None
        return state, CELLS["mlstm"].chunk(ops, p, state, zs)[1]

    check_cell(CELLS["mlstm"])
    with pytest.raises(PluginError, match=r"`chunk` \(test_scans.py:\d+\) does not come to what 6 steps come to"):
        check_cell(replace(CELLS["mlstm"], chunk=forgetful))


CHUNKS = {
    "delta": (CELLS["gated_deltanet"], "chunkwise", 70),
    "outer": (CELLS["gla"], "chunkwise", 40),
    "mlstm": (replace(CELLS["mlstm"], chunk_steps=4), "chunkwise", 10),
    "rwkv6": (replace(CELLS["rwkv6"], chunk_steps=4), "chunkwise", 10),
    "deltaproduct": (CELLS["gated_deltaproduct"], "chunkwise", 40),
    "ttt": (CELLS["ttt_minibatch"], "chunkwise", 20),
    "semigroup": (log_space(), "prefix_scan", 7),
}
QUICK = {"torch": set(CHUNKS) - {"deltaproduct"}, "jax": {"outer", "semigroup"}}
"""jax compiles the others for five to ten seconds each; in the backward pass of deltaproduct, XLA's pool of two threads
waited for itself once, for ever.
"""


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        pytest.param(backend, name, marks=() if name in QUICK[backend] else pytest.mark.long)
        for backend in QUICK
        for name in CHUNKS
    ],
)
def test_implementations_agree_with_the_oracle(backend, name):
    """Over more than one chunk, the last of them padded or shorter."""
    pytest.importorskip(backend)
    cell, implementation, length = CHUNKS[name]
    sizes = {"input_size": 3, "hidden_size": 8, "output_size": None}
    program = build(backend, cell, implementation=implementation, sizes=sizes)
    model = Model(cell, **sizes)
    weights, xs = initialise(model, 0), np.random.default_rng(1).standard_normal((length, 1, 3))
    _, true = oracle.forward(model, weights, xs)
    _, outputs = program.forward(program.put({"xs": xs})["xs"])
    np.testing.assert_allclose(program.get(outputs), true, rtol=1e-8, atol=1e-10)
    _, gradients, of_xs = program.loss_and_gradients(program.put({"xs": xs, "targets": np.zeros(true.shape)}))
    back = adjoint.gradients(model, weights, xs, 2 * true / true.size)
    for name, gradient in {**gradients, "xs": of_xs}.items():
        np.testing.assert_allclose(program.get(gradient), back.gradients[name], rtol=1e-7, atol=1e-10)


def kept(name, implementation, length):
    """Numbers that torch keeps for the way back."""
    torch = pytest.importorskip("torch")
    import rnnbench_torch

    sizes: dict[str, Any] = {"input_size": 4, "hidden_size": 128}
    cell = Model(CELLS[name], **sizes).cell
    weights = initialise(Model(cell, **sizes), 0)
    params = {name[9:]: torch.tensor(array, requires_grad=True) for name, array in weights.params.items()}
    state = tree_map(lambda leaf: torch.tensor(leaf)[None], weights.states[0])
    made = {one.name: one for one in rnnbench_torch.rnnbench_implementations()}
    unroll = made[implementation].build(cell, "cpu", "float64")
    seen: dict[int, Any] = {}

    def pack(tensor):
        seen[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = unroll(params, state, torch.randn(length, 1, 4, dtype=torch.float64))
    del result
    return sum(one.untyped_storage().nbytes() // 8 for one in seen.values())


@pytest.mark.parametrize("name", ["retnet", "mlstm"])
def test_a_chunk_keeps_keys_and_values_instead_of_states(name):
    """heads·dk·dv = 4,096 numbers a step and state; q, k, v and what they are made of come to 128 each."""
    by_chunks, by_steps = ((kept(name, one, 512) - kept(name, one, 256)) / 256 for one in ("chunkwise", "eager"))
    assert by_steps > 4096
    assert by_chunks < 4096 / 4


def test_a_combination_that_is_not_associative_is_told():
    check_cell(log_space())
    with pytest.raises(PluginError, match=r"`combine` \(test_scans.py:\d+\) is not associative"):
        check_cell(log_space(lambda ops, earlier, later: (earlier[0] + later[0], earlier[1] - later[1])))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scan": "outre"}, "`scan` is 'outre'; it is one of outer, delta, semigroup"),
        ({"scan": None}, "has one of `scan` and `elements`"),
        ({"combine": None}, "`combine` goes with"),
        ({"step": lambda ops, p, h, z: (h, h)}, "'step' and 'elements'; keep one"),
        ({"chunk": lambda ops, params, state, zs: (state, zs)}, "`chunk` goes beside `step`"),
        ({"chunk_steps": 0}, "`chunk_steps` is 0; give the most steps"),
    ],
)
def test_a_scan_that_is_declared_wrongly_is_told(changes, message):
    with pytest.raises(PluginError, match=message):
        checked("rnnbench_cells", [replace(log_space(), **changes)])


def test_elements_of_the_wrong_shape_are_told():
    def short(ops, p, zs):
        log_a, k, v, q = zs
        return log_a, k, v[..., :1], q

    with pytest.raises(PluginError, match=r"`elements` .* returned v of shape .*; it must be \(6, 3, 4, 2\)"):
        check_cell(replace(CELLS["retnet"], elements=short))
    with pytest.raises(PluginError, match=r"outer needs \(log_a, k, v, q\)"):
        check_cell(replace(CELLS["retnet"], elements=lambda ops, p, zs: zs[:2]))
