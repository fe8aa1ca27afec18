"""The conformance kit: what `rnnbench verify` asks of an implementation, at sizes small enough to ask everything."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from rnnbench.backend import Program
from rnnbench.case import Case
from rnnbench.cell import Cell, leaves
from rnnbench.context import Context
from rnnbench.ops import EPS
from rnnbench.worker import optimisation
from rnnbench.worker.verdict import beyond_block
from rnnbench.worker.verification import Check, projection_loss, verify

SIZES = (13, 3, 8, 5, 2)
"""T, B, H, D and layers: unequal, so that a transposed or padded axis cannot go unnoticed."""

SPLIT = 5
"""Where the split law cuts the sequence."""

ROUNDINGS = 64.0
"""Two ways to the same number inside one implementation may differ by this many roundings (the order of sums changes
with
shape)."""


def _any() -> Cell:
    """A step that is like no other."""

    def init(rng: Any, D: int, H: int) -> Any:
        return {"w": rng.standard_normal((H, D))}, np.zeros(H)

    def step(ops: Any, params: Any, state: Any, z: Any) -> Any:
        new = ops.tanh(state * state + z @ params["w"].T)
        return new, new

    return Cell("any", init, step)


def kit_case(cell: str, backend: str, implementation: str, device: str, dtype: str) -> Case:
    """The case the kit runs on."""
    T, B, H, D, layers = SIZES
    return Case("verify", cell, backend, implementation, device, dtype, T, B, H, D, layers)


def run_kit(context: Context, dtypes: bool = False) -> dict[str, Any]:
    """All checks of one implementation of one cell in the case's dtype.

    dtypes: whether optimisers are looked at in every dtype too, which is done once for a backend. Returns `verified`,
    `checks`, `outputs`, the outputs on the kit's inputs as nested lists, so that the caller can compare backends with
    each other, and `dtypes`, whether those were looked at.
    """
    case = context.case
    weights, xs = context.weights(), context.inputs("verification")
    program = context.program(weights, loss=projection_loss)
    found = verify(context, case.dtype, max(case.seq_len, beyond_block(context.implementation)))
    checks = [Check(**check) for check in found["checks"]]
    checks += [
        _split_law(program, xs, case.dtype),
        _batch_independence(program, xs, case.dtype),
        _repeatable(program, context.program(weights, loss=projection_loss), xs),
        _one_compilation(context.program(weights, loss=projection_loss), xs),
    ]
    trains = _trains_for_all(context)
    if trains:
        checks += optimisation.checks(context, xs)
    if trains and dtypes:
        checks += optimisation.moves(replace(context, cell=_any(), cell_options={}), xs)
    failed = [check.sentence() for check in checks if not check.passed]
    found = {
        "verified": found["verified"],
        "checks": [asdict(check) | {"passed": check.passed} for check in checks],
        "outputs": _outputs(program, xs).astype(np.float64).tolist(),
        "dtypes": trains and dtypes,
    }
    return found | ({"status": "wrong", "reason": "; ".join(failed)} if failed else {})


def _trains_for_all(context: Context) -> bool:
    """Whether optimisers are looked at here. They belong to the backend, so it is done once: with the implementation
    that runs any step there is, in the dtype that tells most, on mathematics whose gradients are known.
    """
    case = context.case
    if not context.cell.portable or case.dtype != "float64":
        return False
    plain = context.implementation.supports(_any(), case.device, case.dtype) is None
    return plain and case.implementation in context.backend.preferred(case.device)


def _outputs(program: Program, xs: np.ndarray) -> np.ndarray:
    return program.get(program.forward(program.put({"xs": xs})["xs"])[1])


def _roundings(dtype: str, size: float) -> float:
    return ROUNDINGS * EPS[dtype] * max(1.0, size)


def _split_law(program: Program, xs: np.ndarray, dtype: str) -> Check:
    """f(x[:t]) then f(x[t:]) from the state reached is f(x)."""
    placed = program.put({"xs": xs})["xs"]
    whole_states, whole = program.forward(placed)
    if not any(leaves(state) for state in whole_states):
        return Check("split law: no state is handed over", 0.0, 0.0)
    middle, first = program.forward(placed[:SPLIT])
    states, second = program.forward(placed[SPLIT:], middle)
    whole_outputs = program.get(whole)
    joined = np.concatenate([program.get(first), program.get(second)])
    deviations = [np.abs(joined - whole_outputs).max()]
    for one, other in zip(states, whole_states, strict=True):
        pairs = zip(leaves(one), leaves(other), strict=True)
        deviations += [np.abs(program.get(a) - program.get(b)).max() for a, b in pairs]
    size = float(np.abs(whole_outputs).max())
    return Check("split law: outputs and state of two halves", float(np.max(deviations)), _roundings(dtype, size))


def _batch_independence(program: Program, xs: np.ndarray, dtype: str) -> Check:
    """Another sequence in row 1 changes nothing in the other rows."""
    changed = xs.copy()
    changed[:, 1] = -xs[:, 1][::-1] + 1
    one, other = _outputs(program, xs), _outputs(program, changed)
    rows = [row for row in range(xs.shape[1]) if row != 1]
    deviation = float(np.abs(one[:, rows] - other[:, rows]).max())
    return Check(
        "batch independence: outputs of untouched rows", deviation, _roundings(dtype, float(np.abs(one).max()))
    )


def _repeatable(program: Program, again: Program, xs: np.ndarray) -> Check:
    """The same weights built twice give the same numbers, to the last bit."""
    return Check(
        "same seed: outputs of a second build", float(np.abs(_outputs(program, xs) - _outputs(again, xs)).max()), 0
    )


def _one_compilation(program: Program, xs: np.ndarray) -> Check:
    """A second call with the same shapes compiles nothing."""
    _outputs(program, xs)
    before = program.compilations()
    _outputs(program, xs[::-1].copy())
    return Check("one compilation: compilations in a second call", float(program.compilations() - before), 0)


def parity(outputs: dict[str, Any], dtype: str) -> list[Check]:
    """Every implementation of a cell against the first, on identical weights: `outputs` maps label -> nested lists."""
    labels = list(outputs)
    arrays = {label: np.asarray(outputs[label]) for label in labels}
    checks = []
    for label in labels[1:]:
        first = arrays[labels[0]]
        alike = arrays[label].shape == first.shape
        deviation = float(np.abs(arrays[label] - first).max()) if alike else float("inf")
        checks.append(
            Check(f"parity of {label} with {labels[0]}", deviation, _roundings(dtype, float(np.abs(first).max())))
        )
    return checks
