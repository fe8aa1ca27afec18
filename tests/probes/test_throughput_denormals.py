"""A state that fades into denormal numbers is told with the time it makes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnnbench import Cell
from rnnbench.case import Case
from rnnbench.measure import denormals
from rnnbench.probes import throughput
from rnnbench.registry import load
from rnnbench.worker.resolve import resolve

pytest.importorskip("torch")


def _halving() -> Cell:
    """h_t = 2^−t from h_0 = 1: below 2^−126 from step 127 on."""

    def step(ops, params, state, z):
        return params["a"] * state, params["a"] * state

    return Cell("halving", lambda rng, D, H: ({"a": np.full(H, 0.5)}, np.ones(H)), step)


@pytest.mark.parametrize("seq_len, share", [(100, 0.0), (140, 1.0)])
def test_a_state_below_the_normal_numbers_is_told(seq_len, share):
    case = Case("throughput", "gru", "torch", "eager", "cpu", "float32", seq_len, 2, 4, 3, threads=1)
    settings = {"modes": ["forward"], "processes": 1, "budget": 0.002, "width": 0.5}
    context = replace(resolve(replace(case, settings=settings), load()), cell=_halving())
    found = throughput.measure(context)
    assert found.details["denormals"]["share"] == pytest.approx(share)
    assert any("denormal numbers" in note for note in found.notes) == bool(share)


def test_the_share_of_the_outputs_counts_too():
    states, outputs = (np.zeros(3, np.float32),), np.array([1e-40, 1.0, 0.0, 2.0], np.float32)

    class Program:
        def put(self, batch):
            return batch

        def forward(self, xs):
            return (states,), outputs

        def get(self, array):
            return array

    assert denormals.look(Program(), np.zeros((1, 1, 1))).share == pytest.approx(0.25)  # type: ignore[arg-type]
