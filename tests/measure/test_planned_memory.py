"""Peaks of programs whose memory is known, each in a fresh process with a fixed allocator."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marks import resident_memory
from rnnbench.case import Case
from rnnbench.isolation import rnnbench_executors
from rnnbench.registry import load
from rnnbench.runner import Runner

pytest.importorskip("torch")

MIB = 2**20
COSTS = '''
"""torch's GRU beside a block of memory that is held in the forward or the backward pass, or freed at once."""
from rnnbench import Implementation, any_of, hookimpl

def build_with(where, size):
    def build(cell, device, dtype):
        import torch
        from rnnbench_torch import native

        run = native.build(cell, device, dtype)
        block = lambda: torch.ones(size * 2**20 // 4)

        class Back(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x.clone()

            @staticmethod
            def backward(ctx, gradient):
                kept = block()
                return gradient + 0 * kept[0]

        def unroll(params, state, xs):
            kept = block() if where in ("forward", "freed") else None
            if where == "freed":
                kept = None
            final, ys = run(params, state, xs)
            if kept is not None:
                ys = ys + 0 * kept[0]
            return final, Back.apply(ys) if where == "backward" else ys

        return unroll

    return build

@hookimpl
def rnnbench_implementations():
    return [
        Implementation(f"{where}{size}", "torch", any_of("gru"), build_with(where, size))
        for where in ("none", "forward", "backward", "freed") for size in (0, 1, 8, 64, 1024)
    ]
'''
SETTINGS = {"modes": ["forward", "train"]}
CASE = Case("memory", "gru", "torch", "none0", "cpu", "float32", 16, 4, 16, 8, threads=1, settings=SETTINGS)


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugins") / "costs.py"
    path.write_text(COSTS)
    [forkserver] = [executor for executor in rnnbench_executors() if executor.name == "forkserver"]
    session = forkserver.open()
    runner = Runner(load([path]), session, (str(path),))

    def peak(implementation: str) -> dict[str, float]:
        record = runner.record(replace(CASE, implementation=implementation))
        assert (record.status, record.reason) == ("ok", "")
        assert record.details["allocator"]["MALLOC_ARENA_MAX"] == "1"
        return {mode: record.value(f"{mode}.peak_memory.process") or 0.0 for mode in ("forward", "train")}

    yield peak
    session.close()


@pytest.mark.parametrize(
    "size", [1, 8, pytest.param(64, marks=pytest.mark.long), pytest.param(1024, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("where", ["forward", "backward", "freed"])
@resident_memory
def test_a_planted_block_is_found_in_the_pass_that_takes_it(peaks, where, size):
    """A block that is freed before the pass begins need not add to what the pass holds later: the peak is the larger of
    the two at least, and their sum at most.
    """
    base, found = peaks("none0"), peaks(f"{where}{size}")
    for mode in ("forward", "train"):
        planted = 0 if where == "backward" and mode == "forward" else size * MIB
        room, most = max(0.02 * size * MIB, 256 * 1024), base[mode] + planted
        least = max(base[mode], planted) if where == "freed" else most
        assert least - room <= found[mode] <= most + room, mode
