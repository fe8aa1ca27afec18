"""Every later cell on both frameworks, by every implementation: outputs and gradients against the oracle's."""

from __future__ import annotations

import numpy as np
import pytest

import rnnbench_cells
import rnnbench_fused
import rnnbench_jax
import rnnbench_newton
import rnnbench_torch
from cell_runs import CELLS
from rnnbench import Model, initialise
from rnnbench.model import adjoint, oracle
from training_programs import build

T, B, SIZES = 7, 2, {"input_size": 5, "hidden_size": 8, "output_size": None, "layers": 2}
LATER = [name for name, cell in CELLS.items() if cell not in rnnbench_cells.FAMILIES["first"]]
PLUGINS = (rnnbench_torch, rnnbench_jax, rnnbench_fused, rnnbench_newton)
ALL = [one for plugin in PLUGINS for one in plugin.rnnbench_implementations()]
IMPLEMENTATIONS = {backend: {one.name: one for one in ALL if one.backend == backend} for backend in ("torch", "jax")}
NAMED = ("native", "module")
"""They serve the cells they name."""


def agrees(name: str, backend: str, implementation: str) -> None:
    cell = CELLS[name]
    reason = IMPLEMENTATIONS[backend][implementation].supports(cell, "cpu", "float64")
    if reason is not None:
        pytest.skip(reason)
    pytest.importorskip(backend)
    model = Model(cell, **SIZES)
    program = build(backend, cell, implementation=IMPLEMENTATIONS[backend][implementation], sizes=SIZES)
    weights, xs = initialise(model, 0), np.random.default_rng(1).standard_normal((T, B, SIZES["input_size"]))
    _, true = oracle.forward(model, weights, xs)
    _, outputs = program.forward(program.put({"xs": xs})["xs"])
    np.testing.assert_allclose(program.get(outputs), true, rtol=1e-8, atol=1e-10)
    placed = program.put({"xs": xs, "targets": np.zeros(true.shape)})
    _, gradients, of_xs = program.loss_and_gradients(placed)
    back = adjoint.gradients(model, weights, xs, 2 * true / true.size)
    assert {*gradients, "xs"} == set(back.gradients)
    for key, gradient in {**gradients, "xs": of_xs}.items():
        wanted = back.gradients[key]
        np.testing.assert_allclose(
            program.get(gradient), wanted, rtol=1e-7, atol=1e-9 * max(1.0, np.abs(wanted).max()), err_msg=key
        )
    program.train_step(placed)


def test_one_of_them_on_torch():
    """It derives, looks at the time, and its gradients pass a mask."""
    agrees("clockwork", "torch", "eager")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch's inductor
@pytest.mark.parametrize("name", LATER)
@pytest.mark.parametrize(
    ("backend", "implementation"),
    [
        (backend, name)
        for backend, known in IMPLEMENTATIONS.items()
        for name in known
        if name not in ("native", "module")
    ],
)
def test_all_of_them_everywhere(name, backend, implementation):
    agrees(name, backend, implementation)
