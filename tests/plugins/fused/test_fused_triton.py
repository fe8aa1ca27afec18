"""The traced step as Triton kernels, in Triton's interpreter: against autograd and the oracle, with planted faults; and
as a GPU that is not here would have them compiled."""

import dataclasses
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import fused_cells
from fused_jobs import verified
from rnnbench import leaves, tree_map
from rnnbench.case import Case
from rnnbench.registry import load
from rnnbench.runner import Runner
from rnnbench_cells import FAMILIES
from rnnbench_fused import triton_binding
from rnnbench_fused.kernel import sizes_of, traced_at
from rnnbench_fused.plan import plan
from rnnbench_fused.triton_source import triton_source, variable
from rnnbench_torch import eager

CELLS = {cell.name: cell.bound() for family in FAMILIES.values() for cell in family}
CELLS |= {cell.name: cell for cell in fused_cells.CELLS}
installed = pytest.mark.skipif(find_spec("triton") is None, reason='needs Triton: pip install "rnnbench[triton]"')
QUICK = ("lstm", "gru", "slstm", "attending", "counted", "rough", "smooth", "memoryless")


def both(cell, T, B, D, H):
    """(outputs and final states, gradients) of the reference and of the kernels, in float64."""
    torch.manual_seed(0)
    params, state = cell.init(np.random.default_rng(0), D, H)
    state = tree_map(lambda leaf: torch.tensor(leaf) + 0.5 * torch.randn(B, *leaf.shape, dtype=torch.float64), state)
    arrays = (torch.randn(T, B, D, dtype=torch.float64), *leaves(state), *map(torch.tensor, params.values()))
    found = []
    for module in (eager, triton_binding):
        leaf = [each.detach().clone().requires_grad_() for each in arrays]
        states = tuple(leaf[1 : 1 + len(leaves(state))])
        given = dict(zip(params, leaf[1 + len(states) :], strict=True))
        unroll = module.build(cell, "cpu", "float64")
        final, ys = unroll(given, states if isinstance(state, tuple) else states[0], leaf[0])
        loss = (ys * torch.linspace(-1, 1, ys.numel(), dtype=ys.dtype).reshape(ys.shape)).sum()
        loss = loss + sum((each**2).sum() for each in leaves(final))
        gradients = torch.autograd.grad(loss, leaf, materialize_grads=True)
        found.append([*(each.detach() for each in (ys, *leaves(final))), *gradients])
    return found


SERVED = [
    name for name, cell in CELLS.items() if find_spec("triton") and not triton_binding.supports(cell, "cpu", "float32")
]


@installed
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in SERVED]
)
def test_outputs_states_and_gradients_are_those_of_the_loop(name):
    for one, other in zip(*both(CELLS[name], 5, 3, 4, 8), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-12)


@installed
@pytest.mark.parametrize(
    "sizes",
    [(4, 19, 3, 70), (1, 1, 1, 1), (4, 0, 2, 5)],
    ids=["several blocks of rows and columns", "ones", "no rows"],
)
def test_awkward_sizes(sizes):
    for one, other in zip(*both(CELLS["gru"], *sizes), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-12)


@installed
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_the_oracle_agrees(dtype):
    found = verified("lstm", "torch", dtype, 9, 3, 2, 8, 1, implementation="triton")
    assert found["status"] == "ok", found["reason"]
    assert found["verified"] == "oracle"


FAULTS = {
    "a gate without its activation": ("def tanh(x):\n", "def tanh(x):\n    return x\n"),
    "the state a step late": ("states_0 + (t * B + rows)", "states_0 + (0 * B + rows)"),
    "a matrix transposed": ("None] * 8 + ", "None] + 8 * "),
    "the first steps left out of backward": ("t = T - 1 - s", "t = tl.maximum(T - 1 - s, 1)"),
}


@installed
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_generated_code_is_found(fault, monkeypatch):
    right, wrong = FAULTS[fault]

    def faulty(planned, double):
        source = triton_source(planned, double)
        assert right in source.text
        return dataclasses.replace(source, text=source.text.replace(right, wrong))

    monkeypatch.setattr(triton_binding, "triton_source", faulty)
    found = verified("gru", "torch", "float32", 5, 3, 2, 8, 1, implementation="triton")
    assert found["status"] == "wrong", found


@installed
def test_what_is_interpreted_is_verified_and_has_no_number():
    registry = load([])
    case = Case("throughput", "gru", "torch", "triton", "cpu", "float32", 24, 4, 16, 8, threads=1)
    case = replace(case, settings={**vars(registry.probes["throughput"].settings()), "modes": ["train"]})
    session = registry.executors["forkserver"].open()
    try:
        record = Runner(registry, session, (), 300.0).record(case)
    finally:
        session.close()
    assert (record.status, record.verified, record.implementation) == ("interpreted", "oracle", "triton")
    assert not record.quantities
    assert "Triton's interpreter" in record.reason and "not measured" in record.reason


@installed
@pytest.mark.long
@pytest.mark.parametrize("name", ["lstm", "slstm", "attending", "counted", "rough", "smooth"])
@pytest.mark.parametrize("H", [32, 128], ids=["matrices that fit", "matrices in blocks"])
def test_the_compiler_takes_it_for_a_gpu_that_is_not_here(name, H):
    """It asks more of a program than the interpreter: shapes of masks, variables that keep their type."""
    import triton  # pyright: ignore[reportMissingImports]
    from triton.backends.compiler import GPUTarget  # pyright: ignore[reportMissingImports]
    from triton.compiler import ASTSource  # pyright: ignore[reportMissingImports]

    params, state = CELLS[name].init(np.random.default_rng(0), 4, H)
    source = triton_source(plan(traced_at(CELLS[name], sizes_of(params, state, 4))), double=False)
    kernels = triton_binding._kernels(source.text, interpreted=False)
    for stage in (source.forward, source.backward):
        types = {"T": "i32", "B": "i32", **{variable(array): "*fp32" for array in stage.arrays}}
        text = ASTSource(kernels[stage.name], types, {})
        made = triton.compile(text, target=GPUTarget("cuda", 80, 32), options=triton_binding.OPTIONS)
        assert ".target sm_80" in made.asm["ptx"]


def test_it_says_what_it_cannot_run_and_where_it_is_interpreted(monkeypatch):
    monkeypatch.setattr(triton_binding, "find_spec", lambda name: None)
    assert "pip install" in str(triton_binding.supports(CELLS["gru"], "cuda", "float32"))
    assert "not for tpu" in str(triton_binding.supports(CELLS["gru"], "tpu", "float32"))
    assert "not in complex64" in str(triton_binding.supports(CELLS["gru"], "cuda", "complex64"))
    assert [triton_binding.interpreter(device) for device in ("cpu", "cuda")] == ["Triton's interpreter", None]
