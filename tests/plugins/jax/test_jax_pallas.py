"""The Pallas kernel against a loop, in blocks and beside them; what is interpreted is verified and never measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax")

import jax

import plugins_blocks
from report_records import timing
from rnnbench.case import Case
from rnnbench.executor import Session
from rnnbench.record import Record
from rnnbench.registry import load
from rnnbench.report import render
from rnnbench.runner import Runner
from rnnbench_cells import gru, lru, mingru
from rnnbench_jax import associative_scan
from rnnbench_jax.linear_recurrence import recurrence
from rnnbench_jax.pallas import BLOCK, PALLAS, prefixes

PLUGIN = Path(plugins_blocks.__file__)
CASE = Case("throughput", "mingru", "jax", "pallas", "cpu", "float32", 24, 4, 16, 8, threads=1)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = load([]).executors["inline"].open()
    yield session
    session.close()


def run(session: Session, *files: Path, **fields: object) -> Record:
    registry = load(files)
    case = replace(CASE, **fields)
    case = replace(case, settings={**vars(registry.probes[case.probe].settings()), "modes": ["forward"]})
    return Runner(registry, session, tuple(map(str, files)), 300.0).record(case)


@pytest.mark.parametrize(("T", "dtype"), [(1, "float64"), (BLOCK, "float64"), (2 * BLOCK + 7, "float64")])
def test_the_kernel_and_its_gradient_are_the_loops(T: int, dtype: str) -> None:
    rng = np.random.default_rng(T)
    a, b = 0.9 * rng.uniform(-1, 1, (T, 3, 50)), rng.standard_normal((T, 3, 50))
    h, weight = rng.standard_normal((3, 50)), rng.standard_normal((T, 3, 50))
    hs, states = [], h
    for t in range(T):
        hs.append(states := a[t] * states + b[t])
    true = np.stack(hs)
    cotangents, later = np.empty_like(true), np.zeros_like(h)
    for t in reversed(range(T)):  # λ_t = g_t + a_{t+1}·λ_{t+1}
        cotangents[t] = later = weight[t] + (a[t + 1] if t + 1 < T else 0) * later

    with jax.enable_x64(True):
        states_of = recurrence(partial(prefixes, "cpu"))
        found = jax.jit(states_of)(a, b, h)
        gradients = jax.jit(jax.grad(lambda *all: (states_of(*all) * weight).sum(), (0, 1, 2)))(a, b, h)
    np.testing.assert_allclose(found, true, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradients[1], cotangents, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradients[0], cotangents * np.stack([h, *true[:-1]]), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradients[2], a[0] * cotangents[0], rtol=1e-12, atol=1e-12)


def test_half_precision_is_computed_in_float32() -> None:
    """A sum of 200 ones: in bfloat16 it would stop at 256 only, but lose the half of each 1.5 on the way."""
    ones = jax.numpy.ones((200, 1, 1), "bfloat16")
    found = prefixes("cpu", ones, 1.5 * ones, reverse=False)
    assert found.dtype == "bfloat16"
    assert abs(float(found[-1, 0, 0]) - 300) <= 1  # the nearest bfloat16 numbers are 2 apart


def test_it_says_what_it_cannot_run_and_where_it_is_interpreted() -> None:
    assert "not linear" in str(PALLAS.supports(gru, "cuda", "float32"))
    assert "complex" in str(PALLAS.supports(lru, "cuda", "float32"))
    assert "float64" in str(PALLAS.supports(mingru, "tpu:v5e", "float64"))
    assert PALLAS.supports(mingru, "cuda:h100", "float64") is None
    assert [PALLAS.interpreter(device) for device in ("cpu", "cuda", "cuda:h100", "tpu")] == [
        *("Pallas's interpreter", None, None, None)
    ]


def test_an_interpreted_program_is_verified_beyond_its_block_and_has_no_number(session: Session) -> None:
    record = run(session)
    assert (record.status, record.verified, record.implementation) == ("interpreted", "oracle", "pallas")
    assert not record.quantities and record.complete
    assert record.details["verified"]["steps"] > BLOCK
    assert "Pallas's interpreter" in record.reason and "not measured" in record.reason
    scan = {"mode": "forward", "backend": "jax", "implementation": "scan", "seq_len": 24}
    others = [timing(seconds, cell=cell, **scan) for cell, seconds in {"lstm": 2e-6, "gru": 1e-6}.items()]
    text = render([*others, record], "table")
    rows = [line for line in text.splitlines() if line.startswith("mingru")]
    assert rows and all(row.split()[-1] == "interpreted" and "jax/pallas" in row for row in rows)
    said = "interpreted ×1: throughput mingru jax/pallas cpu T=24: pallas runs in Pallas's interpreter"
    assert said in " ".join(text.split()), "however wide the terminal is"
    assert not [line for line in text.splitlines() if "mingru" in line and ("*" in line or "µs" in line)]


def test_a_state_that_is_lost_between_blocks_is_wrong(session: Session) -> None:
    """Control: the same fault in a kernel that does not say how long its blocks are goes unnoticed at a few steps."""
    forgetful, silent = (run(session, PLUGIN, implementation=name) for name in ("forgetful", "silent"))
    assert forgetful.status == "wrong", forgetful.reason
    assert silent.status == "interpreted" and silent.details["verified"]["steps"] < BLOCK


def test_auto_takes_nothing_that_would_be_interpreted(session: Session) -> None:
    """Though the kernels of a plugin file stand first among what it may take."""
    from rnnbench.registry.availability import candidates, considered

    registry = load([PLUGIN])
    auto = replace(CASE, implementation="auto")
    assert candidates(auto, registry)[0] == ["scan", "associative_scan"]
    assert candidates(replace(auto, implementation="forgetful"), registry)[0] == ["forgetful"]
    best = replace(auto, implementation="best")
    assert not {"pallas", "forgetful", "silent"} & set(candidates(best, registry)[0])
    assert "whose times are not the kernel's" in considered(best, registry)[1]["pallas"]
    assert associative_scan.ASSOCIATIVE_SCAN.interpreter("cpu") is None
