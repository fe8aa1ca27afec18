"""torch's own scans: outputs and gradients are the oracle's, and nothing that torch warns itself of is raised."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from cell_runs import CELLS
from rnnbench import Model, initialise
from rnnbench_torch import higher_order
from training_programs import assert_as_the_oracle, build


@pytest.mark.parametrize(
    ("cell", "implementation"), [("gru", higher_order.SCAN), ("mingru", higher_order.ASSOCIATIVE_SCAN)]
)
def test_they_agree_with_the_oracle(cell, implementation):
    sizes = {"input_size": 3, "hidden_size": 4, "output_size": None}
    program = build("torch", CELLS[cell], implementation=implementation, sizes=sizes)
    model = Model(CELLS[cell], 3, 4)
    xs = np.random.default_rng(0).standard_normal((6, 2, 3))
    assert_as_the_oracle(program, model, initialise(model, 0), xs, outputs=1e-12, gradients=1e-11)


def test_what_they_do_not_run():
    assert "has a complex state" in str(higher_order.ASSOCIATIVE_SCAN.supports(CELLS["lru"], "cpu", "float32"))
    assert "is not linear" in str(higher_order.ASSOCIATIVE_SCAN.supports(CELLS["gru"], "cpu", "float32"))
