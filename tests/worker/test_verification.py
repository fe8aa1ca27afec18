"""Nothing wrong is ever timed: planted faults come out `wrong`, honest implementations pass with room to spare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rnnbench.case import Case
from rnnbench.executor import Outcome
from rnnbench.isolation import rnnbench_executors
from rnnbench.registry import Registry, load
from rnnbench.runner import Runner

pytest.importorskip("torch")

CASE = Case(
    probe="throughput",
    cell="gru",
    backend="torch",
    implementation="eager",
    device="cpu",
    dtype="float32",
    seq_len=20,
    batch_size=4,
    hidden_size=8,
    input_size=5,
    layers=2,
    settings={"modes": ["forward", "train"], "budget": 0.01, "width": 0.5},
)

FAULTY = '''
"""Copies of the eager loop, each with one planted fault."""
from rnnbench import Implementation, hookimpl, supports_portable

def faulty(fault):
    def build(cell, device, dtype):
        import torch
        from rnnbench_torch.ops import torch_ops
        ops = torch_ops()

        def unroll(params, state, xs):
            if fault == "sign":  # one gate with the wrong sign
                params = {**params, "weight_hh": torch.cat([-params["weight_hh"][:1], params["weight_hh"][1:]])}
            zs = cell.projected(ops, params, xs)
            if fault == "late":  # each step sees the input of the step before
                zs = torch.cat([zs[:1], zs[:-1]])
            ys = []
            for z in zs.unbind(0):
                if fault == "detached":  # truncation nobody asked for
                    state = state.detach()
                state, y = cell.advance(ops, params, state, z)
                ys.append(y)
            if fault == "state":  # outputs right, final state stale
                state = state * 0
            if fault == "tail":  # only the last step is wrong
                ys[-1] = ys[-1] * 1.01
            return state, torch.stack(ys)

        return unroll

    return build

FAULTS = ["none", "sign", "late", "detached", "state", "tail"]

@hookimpl
def rnnbench_implementations():
    return [Implementation(f"faulty_{fault}", "torch", supports_portable, faulty(fault)) for fault in FAULTS]
'''


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> tuple[Registry, str]:
    path = tmp_path_factory.mktemp("plugins") / "faulty.py"
    path.write_text(FAULTY)
    return load([path]), str(path)


@pytest.fixture(scope="module")
def session():
    [forkserver] = [executor for executor in rnnbench_executors() if executor.name == "forkserver"]
    session = forkserver.open()
    yield session
    session.close()


@pytest.mark.parametrize(
    "fault, culprit",
    [
        ("sign", "outputs"),
        ("late", "outputs"),
        ("detached", "gradients of layers.0.weight_hh"),
        ("state", "final states"),
        ("tail", "outputs"),
    ],
)
def test_a_planted_fault_is_wrong_and_carries_no_time(faulty, session, fault, culprit):
    registry, file = faulty
    record = Runner(registry, session, (file,)).record(replace(CASE, implementation=f"faulty_{fault}"))
    assert record.status == "wrong"
    assert culprit in record.reason
    assert record.quantities == {}


def test_the_same_loop_without_a_fault_is_timed(faulty, session):
    registry, file = faulty
    record = Runner(registry, session, (file,)).record(replace(CASE, implementation="faulty_none"))
    assert (record.status, record.reason, record.verified) == ("ok", "", "oracle")
    assert (record.value("forward.time_per_step") or 0) > 0


def test_auto_passes_over_a_wrong_implementation_and_says_so(faulty, session):
    """`auto` tries the preferred one first; here a session in which that one is always found wrong."""
    registry, file = faulty

    class Doubting:
        def run(self, job, preload, timeout):
            if job["kind"] == "verify" and job["case"]["implementation"] == "native":
                return Outcome("ok", {"status": "wrong", "reason": "planted"})
            return session.run(job, preload, timeout)

        def close(self):
            pass

    record = Runner(registry, Doubting(), (file,)).record(replace(CASE, implementation="auto"))
    assert record.status == "ok"
    assert record.implementation == "eager"
    assert record.notes[0] == "auto passed over native, which is wrong: planted"


CELLS = [
    pytest.param(cell, marks=() if cell in ("gru", "lru") else pytest.mark.long)
    for cell in ("rnn", "irnn", "lstm", "gru", "mingru", "minlstm", "lru")
]


@pytest.mark.parametrize("backend", ["torch", "jax"])
@pytest.mark.parametrize("cell", CELLS)
def test_every_preferred_implementation_verifies_at_length(session, cell, backend):
    """Over 300 float32 steps the deviation stays well inside what is accepted: the tolerance is no knife's edge."""
    if backend == "jax":
        pytest.importorskip("jax")
    registry = load()
    runner = Runner(registry, session)
    case = replace(CASE, cell=cell, backend=backend, implementation="auto", seq_len=300, hidden_size=32, layers=1)
    record = runner.record(replace(case, probe="memory", settings={"modes": ["forward"]}))  # nothing here is about time
    assert (record.status, record.reason) == ("ok", "")
    [verdict] = runner.verdicts.values()
    for check in verdict.result["checks"]:
        assert check["deviation"] <= check["tolerance"] / 2, check


def test_a_cell_without_portable_mathematics_is_measured_and_says_verified_self(session, tmp_path: Path):
    path = tmp_path / "opaque.py"
    path.write_text(
        """
from rnnbench import Cell, Implementation, any_of, hookimpl
import numpy as np

def init(rng, D, H):
    return {"w": rng.normal(size=(D, H))}, np.zeros(H)

def build(cell, device, dtype):
    def unroll(params, state, xs):
        ys = state + (xs @ params["w"]).cumsum(0)
        return ys[-1], ys
    return unroll

@hookimpl
def rnnbench_cells():
    return [Cell("opaque", init)]

@hookimpl
def rnnbench_implementations():
    return [Implementation("own", "torch", any_of("opaque"), build)]
"""
    )
    record = Runner(load([path]), session, (str(path),)).record(replace(CASE, cell="opaque", implementation="auto"))
    assert (record.status, record.implementation, record.verified) == ("ok", "own", "self")


def test_weights_that_are_others_in_each_process_are_wrong(session, tmp_path: Path):
    """They are drawn by the number of the process: called twice in one, `init` gives the same."""
    path = tmp_path / "by_process.py"
    path.write_text(
        """
from rnnbench import Cell, hookimpl
import numpy as np, os

def init(rng, D, H):
    return {"w": np.random.default_rng(os.getpid()).normal(size=(H, D))}, np.zeros(H)

def step(ops, p, h, z):
    h = ops.tanh(h + z @ p["w"].T)
    return h, h

@hookimpl
def rnnbench_cells():
    return [Cell("by_process", init, step)]
"""
    )
    case = replace(CASE, probe="memory", cell="by_process", layers=1, settings={"modes": ["forward"]})
    record = Runner(load([path]), session, (str(path),)).record(case)
    assert record.status == "wrong"
    assert "gave other weights in this process than in the one that verified it" in record.reason
