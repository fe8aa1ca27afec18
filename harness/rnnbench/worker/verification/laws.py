"""What must hold of the mathematics before anything is held against it, and of what is timed beside a forward pass."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench.cell import leaves
from rnnbench.errors import Wrong
from rnnbench.model import Weights, batched, layer_params
from rnnbench.model.oracle import OPS, forward
from rnnbench.ops import EPS
from rnnbench.worker.verification.check import Check
from rnnbench.worker.verification.comparison import Gradients, named

if TYPE_CHECKING:
    from rnnbench.backend import Program
    from rnnbench.context import Context

PREFIX = 3
"""Time steps that are projected by themselves."""


def functions(context: Context, xs: np.ndarray) -> None:
    """`init`, `project` and `step` must be functions of what they are given. Raises Wrong, naming the one that is not.

    init: the same generator gives the same weights. step: a second run gives the same outputs. project: what it makes
    of the first steps does not depend on those after.
    """
    cell, weights, again = context.cell, context.weights(), context.weights()
    for name, array in weights.params.items():
        if not np.array_equal(array, again.params[name], equal_nan=True):
            raise Wrong(
                f"init of cell {cell.name!r} gave other numbers for {name} when it was called again with the same "
                f"generator: draw from the `rng` it is given, never from np.random, random or the time"
            )
    if not all(map(np.array_equal, _leaves(weights.states), _leaves(again.states))):
        raise Wrong(f"init of cell {cell.name!r} gave another state when it was called again with the same generator")
    if not cell.portable:
        return
    short = xs[: 2 * PREFIX]
    with np.errstate(all="ignore"):
        _check_step(context, weights, short)
        _check_project(context, weights, short)


def _check_step(context: Context, weights: Weights, xs: np.ndarray) -> None:
    _, one = forward(context.model, weights, xs)
    _, other = forward(context.model, weights, xs)
    if not np.array_equal(one, other, equal_nan=True):
        raise Wrong(
            f"the step of cell {context.cell.name!r} gave other outputs for the same inputs: it must be a function of "
            f"parameters, state and input, without noise and without memory of its own"
        )


def _check_project(context: Context, weights: Weights, xs: np.ndarray) -> None:
    model = context.model
    if model.cell.project is None or model.embedding is not None:
        return
    params = layer_params(weights.params, 0)
    [state, *_] = batched(weights.states, xs.shape[1], np.broadcast_to)
    whole, part = (model.cell.open(OPS, params, state, some).zs for some in (xs, xs[:PREFIX]))
    for one, other in zip(leaves(whole), leaves(part), strict=True):
        if not np.allclose(one[: len(other)], other, rtol=1e-9, atol=1e-12, equal_nan=True):
            raise Wrong(
                f"project of cell {context.cell.name!r} looks at later time steps: it must act on each by itself, or "
                f"nothing could be decoded step by step"
            )


def _leaves(states: Any) -> list[np.ndarray]:
    return [leaf for state in states for leaf in leaves(state)]


def step_size(params: Gradients, gradients: Gradients) -> float:
    """A learning rate at which the step moves every array by about its own size at least, far above rounding."""
    ratios = [
        (np.linalg.norm(params[name]) or np.sqrt(params[name].size)) / size
        for name in params
        if name in gradients and (size := float(np.linalg.norm(gradients[name]))) > 0 and np.isfinite(size)
    ]
    return float(max(ratios, default=1.0))


def stepped(program: Program, batch: Any, lr: float) -> tuple[Gradients, Gradients]:
    """(the gradient that one step of plain gradient descent went along, by how much its own rounding blurs it)."""
    before = program.parameters()
    program.train_step(program.put(batch))
    after = program.parameters()
    found = {name: (before[name].astype(float) - after[name].astype(float)) / lr for name in before}
    blur = {name: np.abs(before[name]).astype(float) / lr + np.abs(found[name]) for name in before}
    return found, blur


def step_checks(found: Gradients, blur: Gradients, expected: Gradients, checks: list[Check], dtype: str) -> list[Check]:
    """`train_step` went along the gradients that were asked for by themselves. checks: what those were held to."""
    held = {check.name.rpartition("gradients of ")[2]: check for check in checks}
    checked = []
    for name, gradient in found.items():
        if name not in expected:
            checked.append(
                Check(f"the step of train_step in {name}, which is frozen", float(np.abs(gradient).max()), 0.0)
            )
            continue
        true = expected[name]
        rounding = 4 * EPS[dtype] * float(np.linalg.norm(blur[name]))
        checked.append(_step_check(name, float(np.linalg.norm(gradient - true)), rounding, held[name]))
        along = held.get(f"{name} along their direction")
        if along is not None:
            deviation = abs(float(np.vdot(true, gradient - true))) / along.size
            checked.append(_step_check(along.name[len("gradients of ") :], deviation, rounding / true.size**0.5, along))
    return checked


def _step_check(name: str, deviation: float, rounding: float, held: Check) -> Check:
    """Whether that tells enough (`Check.weak`) is said by the gradient that it is held to."""
    return Check(f"the step of train_step in {name}", deviation, 2 * held.tolerance + rounding)


def kept_backward(program: Program, batch: Any) -> Gradients:
    """What the backward pass alone gives."""
    return named(program, *program.backward(program.put(batch))())


def plain(context: Context) -> Context:
    """The case without dropout, which no law could be held against."""
    settings = {key: value for key, value in context.case.settings.items() if key != "recurrent_dropout"}
    return replace(context, case=replace(context.case, dropout=0.0, settings=settings))


def on_one_thread(context: Context) -> Context:
    """The case on one thread, where it has cores: matrices as small as these only lose by being shared out, and most
    where others compute beside it.
    """
    return context if context.cores is None else replace(context, case=replace(context.case, threads=1))
