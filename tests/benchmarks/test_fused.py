"""Generated kernels against every other implementation: `pytest -m long -s tests/benchmarks/test_fused.py` prints it.

All competitors are alive in one process per size and take turns in random order; what counts is the median of the
ratios within a cycle, so that the machine's changes hit both sides. With one thread the CPU's own time is taken, which
other processes hardly change; with more it is the clock's, and the machine has to be quiet.

RNNBENCH_FUSED_THREADS (1 by default), RNNBENCH_FUSED_CYCLES (15), RNNBENCH_FUSED_STEPS (1024) and RNNBENCH_FUSED_SIZES
("B,H B,H ...") say how; `-k "gru and train"` takes a part. The floor is the least time of `limit share`, by the same
functions: products of the steps at the measured speed of their own shape, activations, and all else at the speed of a
large product (`rnnbench.machine.roofline`). A loss and an optimiser are not in it, so it is the kernel alone, backward
given a cotangent, whose share of it counts; that of the whole pass is printed beside it.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from rnnbench import Backend, Model, Optimizer, ProgramSpec, initialise, tree_map
from rnnbench.machine.roofline import Limit, limit
from rnnbench.model import Pass
from rnnbench.model.costs import count
from rnnbench.registry import load
from rnnbench.worker.ceilings import Kind, best_of, measure, measure_products

pytestmark = pytest.mark.long

THREADS = int(os.environ.get("RNNBENCH_FUSED_THREADS", "1"))
CYCLES = int(os.environ.get("RNNBENCH_FUSED_CYCLES", "15"))
SIZES = [
    (B, H)
    for given in [os.environ.get("RNNBENCH_FUSED_SIZES")]
    for B, H in (
        [tuple(map(int, each.split(","))) for each in given.split()]
        if given
        else [(B, H) for H in (32, 128, 512) for B in (1, 16, 32, 128)]
    )
]
T, D = int(os.environ.get("RNNBENCH_FUSED_STEPS", "1024")), 32
CLOCK = time.process_time if THREADS == 1 else time.perf_counter
LEAST = {("rnn", "native"): 2.0, ("gru", "native"): 2.0, ("lstm", "native"): 1.0, "scan": 2.0}
"""How many times as fast `fused` has to train, where the floor leaves room for that."""

SHARE = 0.6
"""Of the floor, at least."""

COLUMNS = (
    "cell",
    "pass",
    "threads",
    "B, H",
    "µs a step",
    "native",
    "scan",
    "oneDNN lstm",
    "share of the floor",
    "binds",
)
"""native and oneDNN's lstm: over torch/fused; scan: over jax/fused; the share: of the kernel, and of the whole pass."""

COMPETITORS = [("torch", "fused"), ("torch", "native"), ("jax", "fused"), ("jax", "scan")]
ONEDNN = "oneDNN lstm"
"""The one recurrence of torch's whose kernel is not a loop of ATen's: what every other cell is held against too."""


def calls(cell: str, B: int, H: int, mode: Pass) -> dict[str, Callable[[], object]]:
    """Competitor -> one pass, ready and warm."""
    registry = load()
    rng = np.random.default_rng(0)
    batch = {"xs": rng.standard_normal((T, B, D)), "targets": rng.standard_normal((T, B, H))}
    found = {}
    named = {f"{backend}/{name}": (cell, backend, name) for backend, name in COMPETITORS}
    for label, (which, backend, name) in {**named, ONEDNN: ("lstm", "torch", "native")}.items():
        if label == ONEDNN and cell == "lstm":
            continue
        model = Model(registry.cells[which], D, H)
        weights = initialise(model, 0)
        implementation = registry.implementations[backend, name]
        spec = ProgramSpec(
            model, weights, implementation, "cpu", "float32", optimizer=Optimizer("sgd"), threads=THREADS
        )
        program = registry.backends[backend].build(spec)
        placed = program.put(batch)
        found[label] = {
            "forward": lambda program=program, placed=placed: program.forward(placed["xs"]),
            "train": lambda program=program, placed=placed: program.train_step(placed),
        }[mode]
    found["kernel"] = kernel(cell, B, H, mode)
    for call in found.values():
        call()
    return found


def kernel(cell: str, B: int, H: int, mode: Pass) -> Callable[[], object]:
    """What torch/fused does without a loss and an optimiser."""
    import torch

    registry = load()
    unroll = registry.implementations["torch", "fused"].build(registry.cells[cell], "cpu", "float32")
    drawn, state = registry.cells[cell].init(np.random.default_rng(0), D, H)
    params = {name: torch.tensor(array, dtype=torch.float32).requires_grad_() for name, array in drawn.items()}
    states = tree_map(lambda leaf: torch.zeros(B, *leaf.shape), state)
    xs, cotangent = torch.randn(T, B, D), torch.randn(T, B, H) / (T * B * H)

    def forward() -> None:
        with torch.no_grad():
            unroll(params, states, xs)

    def train() -> None:
        _, ys = unroll(params, states, xs)
        torch.autograd.grad(ys, list(params.values()), cotangent)

    return {"forward": forward, "train": train}[mode]


@cache
def device_ceilings() -> dict[str, float]:
    return best("ceilings", lambda backend: measure(backend, "cpu", "float32", THREADS))


@cache
def product_ceilings(B: int, H: int) -> dict[str, float]:
    return best("products", lambda backend: measure_products(backend, "cpu", "float32", THREADS, B, H))


def best(kind: Kind, measured: Callable[[Backend], dict[str, float]]) -> dict[str, float]:
    return best_of(kind, [measured(load().backends[name]) for name in ("torch", "jax")])


def floor(cell: str, B: int, H: int, mode: Pass, seconds: float) -> Limit:
    """What of a pass that took so long is its least time, and what binds."""
    cost = count(Model(load().cells[cell], D, H), T, B, "float32", mode)
    return limit(cost, seconds, device_ceilings() | product_ceilings(B, H))


def cycles(found: dict[str, Callable[[], object]], budget: float = 20.0) -> dict[str, list[float]]:
    """Seconds of each call, cycle by cycle, in a new order each time; at least three cycles."""
    times: dict[str, list[float]] = {name: [] for name in found}
    ends = time.perf_counter() + budget
    for cycle in range(CYCLES):
        if cycle >= 3 and time.perf_counter() > ends:
            break
        for name in random.sample(list(found), len(found)):
            started = CLOCK()
            found[name]()
            times[name].append(CLOCK() - started)
    return times


def ratio(times: dict[str, list[float]], one: str, other: str) -> float:
    """The median of `one` over `other` within a cycle."""
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))


@pytest.mark.parametrize("mode", ["forward", "train"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_speed(cell, mode):
    pytest.importorskip("torch")
    pytest.importorskip("jax")
    missed = []
    print(f"\nT={T}, D={D}, medians over the cycles; B, H whose products or device ceilings are doubtful end in ?\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for B, H in SIZES:
        times = cycles(calls(cell, B, H, mode))
        seconds = {name: statistics.median(each) for name, each in times.items()}
        ratios = {name: ratio(times, name, "torch/fused") for name in times}
        kernel_floor, whole_floor = (floor(cell, B, H, mode, seconds[name]) for name in ("kernel", "torch/fused"))
        native, scan = ratios["torch/native"], ratios["jax/scan"] / ratios["jax/fused"]
        doubt = "?" if device_ceilings()["disturbed"] or product_ceilings(B, H)["disturbed"] else ""
        row = (
            cell,
            mode,
            THREADS,
            f"{B}, {H}{doubt}",
            f"{seconds['torch/fused'] / T * 1e6:.1f}",
            f"{native:.2f}",
            f"{scan:.2f}",
            f"{ratios[ONEDNN]:.2f}" if ONEDNN in ratios else "",
            f"{kernel_floor.share:.0%} ({whole_floor.share:.0%})",
            kernel_floor.binds,
        )
        print(f"| {' | '.join(map(str, row))} |", flush=True)
        if mode == "train":
            for other, found_ratio, least in [("native", native, LEAST[cell, "native"]), ("scan", scan, LEAST["scan"])]:
                if found_ratio < least <= found_ratio / whole_floor.share:  # no kernel can be faster than the floor
                    missed.append(f"B={B} H={H}: {found_ratio:.2f} times as fast as {other}, not {least:g}")
            if kernel_floor.share < SHARE:
                missed.append(f"B={B} H={H}: {kernel_floor.share:.0%} of the floor, not {SHARE:.0%}")
    assert not missed, "\n".join(missed)
