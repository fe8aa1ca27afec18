"""Delayed recall: hold one symbol over a known delay full of distractors."""

from __future__ import annotations

import math

from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.losses import accuracy_last, cross_entropy_last
from rnnbench_tasks.sequences import Arrays, one_hot, synthetic


def _draw(rng: np.random.Generator, T: int, B: int, split: str, symbols: int) -> Arrays:
    del split
    ids = rng.integers(0, symbols, (T, B))
    xs = np.concatenate([one_hot(ids, symbols), np.zeros((T, B, 1), np.float32)], axis=-1)
    xs[0, :, symbols] = 1
    return {"xs": xs, "targets": ids[0]}


def _check(T: int, symbols: int) -> str | None:
    if symbols < 2:
        return f"delayed_recall needs symbols >= 2; found {symbols}."
    return None if T >= 2 else f"delayed_recall needs at least 2 time steps, so that there is a delay; found {T}."


delayed_recall = synthetic(
    _draw,
    _check,
    {"symbols": 8},
    name="delayed_recall",
    input_size=lambda symbols: symbols + 1,
    output_size=lambda symbols: symbols,
    loss=cross_entropy_last,
    chance=lambda T, symbols: math.log(symbols),  # noqa: ARG005
    solved=lambda T, symbols: math.log(symbols) / 10,  # noqa: ARG005
    metric=accuracy_last,
    metric_name="accuracy",
    source="the latching problem of Bengio, Simard & Frasconi 1994, with symbols in place of classes",
)
"""A random symbol at every step, one-hot; one more input is 1 at the first step only. The target at the last step is
the first symbol, T − 1 steps ago; all others are distractors. So T measures the memory span directly.

Chance: symbols alike in number, ln(symbols) nats. Solved at a tenth of it: chance − loss is a lower bound on the nats
that the answer shares with the memory, so nine tenths of the symbol have survived the delay.
"""
