"""Training steps held against the optimisers' closed forms (`rnnbench.backend.Optimizer`), in NumPy float64.

Each step is held against the update that the exact gradients ask for at the parameters it started from, so that no
error is carried on from one step to the next; what the optimiser remembers is carried on here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from rnnbench.backend import OPTIMIZERS, Optimizer
from rnnbench.model import Weights, adjoint
from rnnbench.ops import EPS
from rnnbench.worker.verification.check import Check

if TYPE_CHECKING:
    from rnnbench.backend import Program
    from rnnbench.context import Context

Arrays = Mapping[str, np.ndarray]

STEPS = 3
"""Training steps: what an optimiser remembers shows from the second on."""

BETAS, DECAY, EPSILON = (0.9, 0.999), 0.99, 1e-8
"""Of Adam, of RMSprop, and of both (there)."""

TOLERANCE = {"float64": 1e-7, "float32": 1e-2}
"""Relative error of a step. Adam divides each entry by its own size, and so makes roundings of small ones large."""

MOVES = {"float32": 0.05, "bfloat16": 0.3, "float16": 0.3}
"""Of a first step in a dtype with mathematics that hold no surprise: whether weights move as they should."""

SHARE = 0.25
"""Length of that step over that of the weights: more than their rounding."""


@dataclass
class Descent:
    """One optimiser and what it remembers: v of momentum and RMSprop, m and v of Adam, by name of the array."""

    optimizer: Optimizer
    steps: int = 0
    m: dict[str, np.ndarray] = field(default_factory=dict)
    v: dict[str, np.ndarray] = field(default_factory=dict)

    def step(self, params: Arrays, gradients: Arrays) -> Arrays:
        """By how much each array is moved."""
        one, self.steps = self.optimizer, self.steps + 1
        lr, scale = one.rate(self.steps - 1), 1.0
        if one.clip is not None:
            norm = float(np.sqrt(sum(np.sum(np.abs(g) ** 2) for g in gradients.values())))
            scale = min(1.0, one.clip / norm)
        return {name: self._moved(name, params[name], scale * g, lr) for name, g in gradients.items()}

    def _moved(self, name: str, p: np.ndarray, g: np.ndarray, lr: float) -> np.ndarray:
        kind, decay = self.optimizer.name, self.optimizer.weight_decay
        if kind != "adamw":
            g = g + decay * p
        if kind == "sgd":
            return -lr * g
        if kind == "momentum":
            self.v[name] = self.optimizer.momentum * self.v.get(name, 0.0) + g
            return -lr * self.v[name]
        if kind == "rmsprop":
            self.v[name] = DECAY * self.v.get(name, 0.0) + (1 - DECAY) * g**2
            return -lr * g / (np.sqrt(self.v[name]) + EPSILON)
        self.m[name] = BETAS[0] * self.m.get(name, 0.0) + (1 - BETAS[0]) * g
        self.v[name] = BETAS[1] * self.v.get(name, 0.0) + (1 - BETAS[1]) * g**2
        m, v = (one / (1 - beta**self.steps) for one, beta in zip((self.m[name], self.v[name]), BETAS, strict=True))
        return -lr * m / (np.sqrt(v) + EPSILON) - (lr * decay * p if kind == "adamw" else 0.0)


def checks(context: Context, xs: np.ndarray) -> list[Check]:
    """The steps of all optimisers on xs_TBD, with weight decay and a clip that shortens the gradient."""
    return [_check(context, name, xs) for name in OPTIMIZERS]


def moves(context: Context, xs: np.ndarray) -> list[Check]:
    """The first step of all optimisers in every dtype that the implementation has beside float64."""
    case, supports = context.case, context.implementation.supports
    dtypes = [dtype for dtype in MOVES if supports(context.cell, case.device, dtype) is None]
    return [_move(context, name, xs, dtype) for dtype in dtypes for name in OPTIMIZERS]


def _check(context: Context, name: str, xs: np.ndarray) -> Check:
    """The worst of a few steps: error of the whole step over its length."""
    dtype, cotangent = context.case.dtype, _cotangent(context, xs)
    clip = _norm(_gradients(context, context.weights().params, xs, cotangent)) / 2
    optimizer, worst = Optimizer(name, lr=0.01, weight_decay=0.02, clip=clip), 0.0
    program, descent = _program(context, optimizer, dtype), Descent(optimizer)
    for _ in range(STEPS):
        before, moved = _trained(program, xs, cotangent)
        expected = descent.step(before, _gradients(context, before, xs, cotangent))
        worst = max(worst, _error(before, moved, expected, dtype))
    return Check(f"training steps of {name} against its closed form", worst, TOLERANCE[dtype])


def _move(context: Context, name: str, xs: np.ndarray, dtype: str) -> Check:
    """Error of one step over its length."""
    params, cotangent = context.weights().params, _cotangent(context, xs)
    gradients = _gradients(context, params, xs, cotangent)
    optimizer = Optimizer(name, lr=1.0, weight_decay=0.02, clip=_norm(gradients) / 2)
    lr = SHARE * _norm(params) / _norm(Descent(optimizer).step(params, gradients))
    optimizer = replace(optimizer, lr=lr)
    before, moved = _trained(_program(context, optimizer, dtype), xs, cotangent)
    expected = Descent(optimizer).step(before, _gradients(context, before, xs, cotangent))
    return Check(f"a step of {name} in {dtype}", _error(before, moved, expected, dtype), MOVES[dtype])


def _program(context: Context, optimizer: Optimizer, dtype: str) -> Program:
    from rnnbench.worker.verification import mean_projection_loss

    return context.program(loss=mean_projection_loss, optimizer=optimizer, dtype=dtype)


def _trained(program: Program, xs: np.ndarray, cotangent: np.ndarray) -> tuple[Arrays, Arrays]:
    """The parameters before a training step, and by how much it moves them."""
    before = _parameters(program)
    program.train_step(program.put({"xs": xs, "cotangent": cotangent * (xs.shape[0] * xs.shape[1])}))
    return before, {key: after - before[key] for key, after in _parameters(program).items()}


def _error(before: Arrays, moved: Arrays, expected: Arrays, dtype: str) -> float:
    """Of a step, beyond what the roundings of the weights explain, over its length; infinite where it is no number."""
    apart = _norm({key: moved[key] - expected.get(key, 0.0) for key in moved})
    if not np.isfinite(apart):
        return np.inf
    return max(0.0, apart - EPS[dtype] * _norm(before)) / _norm(expected)


def _cotangent(context: Context, xs: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((*xs.shape[:2], context.model.outputs))


def _gradients(context: Context, params: Arrays, xs: np.ndarray, cotangent: np.ndarray) -> Arrays:
    found = adjoint.gradients(context.model, Weights(params, context.weights().states), xs, cotangent).gradients
    return {name: gradient for name, gradient in found.items() if name != "xs"}


def _parameters(program: Program) -> Arrays:
    return {key: array.astype(float) for key, array in program.parameters().items()}


def _norm(arrays: Arrays) -> float:
    return float(np.sqrt(sum(np.sum(np.abs(array) ** 2) for array in arrays.values())))
