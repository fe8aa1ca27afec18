"""Training steps held against the optimisers' closed forms (`rnnbench.backend.Optimizer`), in NumPy float64.

Each step is held against the update that the exact gradients ask for at the parameters it started from, so that no
error is carried on from one step to the next; what the optimiser remembers is carried on here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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


def _check(context: Context, name: str, xs: np.ndarray) -> Check:
    """The worst of a few steps: error of the whole step over its length."""
    from rnnbench.worker.verification import mean_projection_loss

    dtype, rng = context.case.dtype, np.random.default_rng(0)
    cotangent = rng.standard_normal((*xs.shape[:2], context.model.outputs))
    clip = _norm(_gradients(context, context.weights().params, xs, cotangent)) / 2
    optimizer = Optimizer(name, lr=0.01, weight_decay=0.02, clip=clip)
    program = context.program(loss=mean_projection_loss, optimizer=optimizer)
    batch, descent, worst = {"xs": xs, "cotangent": cotangent * (xs.shape[0] * xs.shape[1])}, Descent(optimizer), 0.0
    for _ in range(STEPS):
        before = _parameters(program)
        program.train_step(program.put(batch))
        moved = {key: after - before[key] for key, after in _parameters(program).items()}
        expected = descent.step(before, _gradients(context, before, xs, cotangent))
        apart = {key: moved[key] - expected.get(key, 0.0) for key in moved}
        rounding = EPS[dtype] * _norm(before)
        worst = max(worst, max(0.0, _norm(apart) - rounding) / _norm(expected))
    return Check(f"training steps of {name} against its closed form", worst, TOLERANCE[dtype])


def _gradients(context: Context, params: Arrays, xs: np.ndarray, cotangent: np.ndarray) -> Arrays:
    found = adjoint.gradients(context.model, Weights(params, context.weights().states), xs, cotangent).gradients
    return {name: gradient for name, gradient in found.items() if name != "xs"}


def _parameters(program: Program) -> Arrays:
    return {key: array.astype(float) for key, array in program.parameters().items()}


def _norm(arrays: Arrays) -> float:
    return float(np.sqrt(sum(np.sum(np.abs(array) ** 2) for array in arrays.values())))
