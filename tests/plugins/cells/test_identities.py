"""Cells at special weights are other cells: in NumPy always, on the frameworks as `rnnbench verify` runs it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rnnbench_cells
from cell_runs import CELLS
from rnnbench.model import oracle
from rnnbench.registry import Registry, load
from rnnbench.worker.conformance import kit_case
from rnnbench.worker.reductions import pair, run_reductions
from rnnbench.worker.resolve import resolve
from rnnbench_cells.identities import IDENTITIES

BACKENDS = {"torch": "eager", "jax": "scan"}
ALL = [(name, number) for name, found in IDENTITIES.items() for number in range(len(found))]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load(())


def context_of(name, registry, backend="torch", dtype="float64"):
    return resolve(kit_case(name, backend, BACKENDS[backend], "cpu", dtype), registry)


def deviation(context, reduction, registry) -> float:
    own, ours, other, theirs = pair(context, reduction, registry)
    xs = context.inputs("verification")
    _, got = oracle.forward(own.model, ours, xs)
    _, wanted = oracle.forward(other.model, theirs, xs)
    assert np.abs(wanted).max() > 1e-3
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize(("name", "number"), ALL, ids=[f"{name} {number}" for name, number in ALL])
def test_an_identity_holds(name, number, registry):
    context = context_of(name, registry)
    reduction = context.cell.reductions[number]
    assert deviation(context, reduction, registry) < 1e-12
    assert reduction.why


def test_they_are_at_least_fifteen_and_of_cells_that_are_there():
    assert len(ALL) >= 15
    assert set(IDENTITIES) <= set(CELLS)
    assert [cell.name for cell in rnnbench_cells.rnnbench_cells() if cell.reductions] == [
        name for name in CELLS if name in IDENTITIES
    ]


def wrong(context):
    """Says that an open minimal gate is an Elman network, and leaves the gate half open."""
    right = context.cell.reductions[0]
    half = replace(right, weights=lambda p: {**right.weights(p), "bias": 1 + 0 * right.weights(p)["bias"]})
    return replace(context, cell=replace(context.cell, reductions=(half,)))


def test_it_is_asked_of_programs_and_one_that_does_not_hold_is_wrong(registry):
    pytest.importorskip("torch")
    context = context_of("mgu", registry, dtype="float32")
    found = run_reductions(context, registry)
    assert "status" not in found
    assert found["checks"][0]["name"] == "mgu as rnn (f = 1)"
    failed = run_reductions(wrong(context), registry)
    assert failed["status"] == "wrong"
    assert "mgu as rnn (f = 1)" in failed["reason"]


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", IDENTITIES)
def test_all_of_them_on_both_frameworks(name, backend, dtype, registry):
    pytest.importorskip(backend)
    found = run_reductions(context_of(name, registry, backend, dtype), registry)
    assert "status" not in found, found["reason"]
