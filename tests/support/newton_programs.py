"""Programs that solve a sequence at once, and what their solves came to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cell_runs import CELLS
from rnnbench import Measurement, Model, Program, ProgramSpec, initialise, perform
from rnnbench.worker.conformance import kit_case
from rnnbench_jax import JaxBackend
from rnnbench_newton import rnnbench_implementations
from rnnbench_torch import TorchBackend

BACKENDS = {"torch": TorchBackend, "jax": JaxBackend}
IMPLEMENTATIONS = {(one.backend, one.name): one for one in rnnbench_implementations()}
CHAOTIC = "rnn(recurrent=orthogonal,gain=2)"


def solved(
    backend: str, name: str, variant: str, T: int, H: int = 16, dtype: str = "float32", **options: Any
) -> Measurement:
    """What the solve of one forward pass over standard normal inputs came to, by its own account."""
    implementation = IMPLEMENTATIONS[backend, variant]
    program, xs = _program(backend, name, variant, H, dtype, options), inputs(T)
    assert implementation.account is not None
    implementation.account()
    program.forward(program.put({"xs": xs})["xs"])
    return implementation.account()


def inputs(T: int, B: int = 2, D: int = 8) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((T, B, D))


def _program(backend: str, name: str, variant: str, H: int, dtype: str, options: Any) -> Program:
    model = Model(CELLS[name], 8, H, cell_options=options)
    implementation = IMPLEMENTATIONS[backend, variant]
    return BACKENDS[backend]().build(ProgramSpec(model, initialise(model, 1), implementation, "cpu", dtype))


def verified(cell: str, backend: str, variant: str, T: int, H: int = 16, dtype: str = "float32") -> dict:
    """The check that comes before any timing."""
    sizes = {"seq_len": T, "batch_size": 3, "input_size": 5, "hidden_size": H, "layers": 1}
    case = replace(kit_case(cell, backend, variant, "cpu", dtype), **sizes, settings={})
    return perform({"kind": "verify", "case": case.to_json()})


def measured(probe: str, cell: str, backend: str, variant: str, T: int, settings: dict, H: int = 16) -> dict:
    """What a record is made of."""
    sizes = {"seq_len": T, "batch_size": 2, "input_size": 5, "hidden_size": H, "layers": 1}
    case = replace(kit_case(cell, backend, variant, "cpu", "float32"), **sizes, probe=probe, settings=settings)
    return perform({"kind": "measure", "case": case.to_json()})
