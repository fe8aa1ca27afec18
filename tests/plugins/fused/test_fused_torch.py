"""Generated kernels through torch: against the oracle, against autograd, at awkward sizes and with planted faults."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import fused_cells
import rnnbench_fused.kernel
from fused_jobs import kit, verified
from rnnbench import Model, ProgramSpec, initialise, leaves, tree_map
from rnnbench_cells import FAMILIES
from rnnbench_fused import torch_binding
from rnnbench_fused.kernel import supports
from rnnbench_torch import TorchBackend, eager

CELLS = {cell.name: cell for cell in (*FAMILIES["first"], *fused_cells.CELLS)}
SERVED = [name for name, cell in CELLS.items() if supports(cell, "cpu", "float32") is None]


# All cells in both dtypes with `-m long`: a kernel takes about a second to compile.
QUICK = {f"{cell} float64" for cell in ("lstm", "attending", "multiplicative", "memoryless", "smoothing")}
KITS = [
    pytest.param(cell, dtype, id=f"{cell} {dtype}", marks=() if quick else pytest.mark.long)
    for cell in SERVED
    for dtype in ("float32", "float64")
    for quick in [f"{cell} {dtype}" in QUICK]
]


@pytest.mark.parametrize(("cell", "dtype"), KITS)
def test_the_kit_is_passed(cell, dtype):
    found = kit(cell, "torch", dtype)
    assert found["status"] == "ok", found["reason"]
    assert found["verified"] == "oracle"


AWKWARD = [
    (1, 1, 1, 1, 1),
    (3, 2, 1, 17, 2),  # more columns than one vector, fewer than two
    (5, 1, 3, 420, 2),  # one row and much to do: columns are shared by threads
    (9, 21, 4, 33, 2),  # rows are shared, unevenly
    (5, 300, 2, 9, 2),  # more rows than a chunk has
]


@pytest.mark.parametrize("sizes", AWKWARD, ids=str)
@pytest.mark.parametrize("cell", ["gru", pytest.param("peephole", marks=pytest.mark.long)])
def test_awkward_sizes(cell, sizes):
    found = verified(cell, "torch", "float64", *sizes)
    assert found["status"] == "ok", found["reason"]


HEADS = [(4, 3, 2, 8, 1), (5, 2, 3, 34, 2), (300, 9, 2, 10, 2)]


@pytest.mark.parametrize("sizes", HEADS, ids=str)
def test_a_matrix_per_head(sizes):
    """Heads of widths that no vector has, rows and heads shared by threads, several chunks."""
    found = verified("slstm(heads=2)", "torch", "float64", *sizes)
    assert found["status"] == "ok", found["reason"]


def test_columns_shared_by_threads_are_as_right_as_rows():
    found = verified("peephole", "torch", "float64", 4, 3, 3, 260, 2)
    assert found["status"] == "ok", found["reason"]


def test_truncated_and_checkpointed_gradients():
    for bptt in ("truncated", "checkpointed"):
        found = verified("gru", "torch", "float64", 13, 3, 2, 8, 1, bptt=bptt, segment=5)
        assert found["status"] == "ok", found["reason"]


@pytest.mark.parametrize(
    "cell", ["lstm", "mingru", *(pytest.param(cell, marks=pytest.mark.long) for cell in ("rnn", "gru", "minlstm"))]
)
def test_gradcheck(cell):
    """torch's own check, of every input: parameters, states, xs."""
    rng = np.random.default_rng(0)
    params, state = CELLS[cell].init(rng, 2, 3)
    unroll = torch_binding.build(CELLS[cell], "cpu", "float64")
    names, count = list(params), len(leaves(state))

    def function(xs, *arrays):
        states, given = arrays[:count], dict(zip(names, arrays[count:], strict=True))
        final, ys = unroll(given, states if isinstance(state, tuple) else states[0], xs)
        return ys, *leaves(final)

    arrays = [rng.normal(0, 0.5, (4, 2, 2)), *(rng.normal(0, 0.5, (2, 3)) for _ in range(count)), *params.values()]
    inputs = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]
    assert torch.autograd.gradcheck(function, inputs)


def both(cell, xs, state, params):
    """(outputs and final states, gradients) of the reference and of the kernel."""
    found = []
    for module in (eager, torch_binding):
        leaf = [each.detach().clone().requires_grad_() for each in (xs, *leaves(state), *params.values())]
        states = tuple(leaf[1 : 1 + len(leaves(state))])
        given = dict(zip(params, leaf[1 + len(states) :], strict=True))
        final, ys = module.build(cell, "cpu", "float64")(
            given, states if isinstance(state, tuple) else states[0], leaf[0]
        )
        loss = (ys * torch.linspace(-1, 1, ys.numel(), dtype=ys.dtype).reshape(ys.shape)).sum()
        loss = loss + sum((each**2).sum() for each in leaves(final))
        found.append(([ys, *leaves(final)], torch.autograd.grad(loss, leaf, materialize_grads=True)))
    return found


def placed(cell, B, D, H):
    params, state = cell.init(np.random.default_rng(0), D, H)
    params = {name: torch.tensor(array) for name, array in params.items()}
    return params, tree_map(lambda leaf: torch.randn(B, *leaf.shape, dtype=torch.float64), state)


def test_arrays_that_are_not_contiguous():
    """Inputs (B, T, D) seen as (T, B, D), a parameter that is a transposed view, a state spread over the batch."""
    cell = CELLS["gru"]
    params, _ = placed(cell, 3, 4, 8)
    params["weight_hh"] = params["weight_hh"].T.contiguous().T
    xs = torch.randn(3, 7, 4, dtype=torch.float64).transpose(0, 1)
    state = torch.randn(8, dtype=torch.float64).expand(3, 8)
    for one, other in zip(*both(cell, xs, state, params), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    unroll = torch_binding.build(cell, "cpu", "float64")
    torch.testing.assert_close(unroll(params, state, xs)[1], eager.build(cell, "cpu", "float64")(params, state, xs)[1])


@pytest.mark.parametrize("shape", [(0, 3), (4, 0)], ids=["no steps", "no rows"])
def test_nothing_to_do(shape):
    cell = CELLS["lstm"]
    params, state = placed(cell, shape[1], 2, 5)
    xs = torch.randn(*shape, 2, dtype=torch.float64, requires_grad=True)
    final, ys = torch_binding.build(cell, "cpu", "float64")(params, state, xs)
    assert ys.shape == (*shape, 5)
    for one, other in zip(leaves(final), leaves(state), strict=True):
        torch.testing.assert_close(one, other)


def test_the_backward_pass_can_be_run_again_and_without_a_gradient_of_xs():
    cell = CELLS["lstm"]
    params, state = placed(cell, 2, 3, 4)
    params = {name: array.requires_grad_() for name, array in params.items()}
    _, ys = torch_binding.build(cell, "cpu", "float64")(params, state, torch.randn(5, 2, 3, dtype=torch.float64))
    one, other = (torch.autograd.grad(ys.sum(), list(params.values()), retain_graph=True) for _ in range(2))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_nan_and_infinity_come_through():
    cell = CELLS["rough"]
    params, state = placed(cell, 2, 3, 20)
    xs = torch.randn(3, 2, 3, dtype=torch.float64)
    xs[1, 1, 0] = float("nan")
    (true, _), (found, _) = both(cell, xs, state, params)
    torch.testing.assert_close(found, true, equal_nan=True)
    assert found[0][1:, 1].isnan().all()
    assert found[0][:, 0].isfinite().all()


def test_training_is_the_same_as_with_the_reference():
    """Several optimiser steps by the harness's own program, not the unroll alone."""
    model = Model(CELLS["gru"], 3, 8, layers=2, output_size=2)
    weights = initialise(model, 0)
    rng = np.random.default_rng(0)
    batch = {"xs": rng.standard_normal((6, 4, 3)), "targets": rng.standard_normal((6, 4, 2))}
    losses = []
    for implementation in (eager.implementation, torch_binding.implementation):
        program = TorchBackend().build(ProgramSpec(model, weights, implementation, "cpu", "float64", threads=1))
        losses.append([float(program.train_step(program.put(batch))) for _ in range(4)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)
    assert losses[0][0] != losses[0][3]


FAULTS = {
    "another activation": ("= vtanh(", "= vsigmoid("),
    "the last chunk alone": ("*(V *)to += sums[d][0]", "*(V *)to = sums[d][0]"),
    "rows of one thread alone": ("g < teams", "g < 1"),
    "the state a step late": ("((first + t - 1) * c->B", "((first + t) * c->B"),
    "no gradient of the bias": ("add_up(sum_0, dconstant_0", "if (0) add_up(sum_0, dconstant_0"),
    "a matrix transposed": ("transposed ? from[(j + c) * k + row]", "transposed ? from[row * k + j + c]"),
}


HEAD_FAULTS = {
    "every head by the first matrix": ("b + head * PACKED(k, n)", "b"),
    "a gradient for the first head alone": ("+ head * PAD_ROWS", "+ 0 * PAD_ROWS"),
}


def quick(faults, count):
    """The first of them by default, the others with `-m long`: each kernel is compiled anew."""
    return [pytest.param(one, marks=pytest.mark.long if number >= count else ()) for number, one in enumerate(faults)]


@pytest.mark.parametrize("fault", quick(HEAD_FAULTS, 1))
def test_a_fault_in_products_per_head_is_found(fault, monkeypatch):
    right, wrong = HEAD_FAULTS[fault]
    emit = rnnbench_fused.kernel.emit

    def faulty(plan, double):
        source = emit(plan, double)
        assert right in source.text
        return dataclasses.replace(source, text=source.text.replace(right, wrong))

    monkeypatch.setattr(rnnbench_fused.kernel, "emit", faulty)
    assert verified("slstm(heads=2)", "torch", "float32", 5, 2, 3, 8, 1)["status"] == "wrong"


@pytest.mark.parametrize("fault", quick(FAULTS, 3))
def test_a_fault_in_the_generated_code_is_found(fault, monkeypatch):
    right, wrong = FAULTS[fault]
    emit = rnnbench_fused.kernel.emit

    def faulty(plan, double):
        source = emit(plan, double)
        assert right in source.text
        return dataclasses.replace(source, text=source.text.replace(right, wrong))

    sizes = (300, 24, 4, 16, 2)  # several chunks and two threads
    if fault == "another activation":
        assert verified("lstm", "torch", "float32", *sizes)["status"] == "ok"
    monkeypatch.setattr(rnnbench_fused.kernel, "emit", faulty)
    found = verified("lstm", "torch", "float32", *sizes)
    assert found["status"] == "wrong", found
