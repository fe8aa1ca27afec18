"""The copy task."""

from __future__ import annotations

import math

from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.losses import accuracy, cross_entropy
from rnnbench_tasks.sequences import Arrays, one_hot, synthetic


def _draw(rng: np.random.Generator, T: int, B: int, split: str, symbols: int, items: int) -> Arrays:
    del split
    blank, delimiter = symbols, symbols + 1
    message = rng.integers(0, symbols, (items, B))
    ids = np.full((T, B), blank)
    ids[:items] = message
    ids[T - items - 1] = delimiter
    targets = np.full((T, B), blank)
    targets[T - items :] = message
    return {"xs": one_hot(ids, symbols + 2), "targets": targets}


def _check(T: int, symbols: int, items: int) -> str | None:
    if symbols < 2 or items < 1:
        return f"copy needs symbols >= 2 and items >= 1; found symbols={symbols}, items={items}."
    least = 2 * items + 1
    if least > T:
        return f"copy of {items} items needs at least {least} time steps: items, delimiter, recall; found {T}."
    return None


def _chance(T: int, symbols: int, items: int) -> float:
    return items * math.log(symbols) / T


copy = synthetic(
    _draw,
    _check,
    {"symbols": 8, "items": 10},
    name="copy",
    input_size=lambda symbols, items: symbols + 2,  # noqa: ARG005
    output_size=lambda symbols, items: symbols + 1,  # noqa: ARG005
    loss=cross_entropy,
    chance=_chance,
    solved=lambda T, symbols, items: _chance(T, symbols, items) / (2 * items),
    metric=accuracy,
    metric_name="accuracy",
    source="Hochreiter & Schmidhuber 1997; in this form Arjovsky, Shah & Bengio 2016, arXiv:1511.06464, section 4.1",
)
"""`items` random symbols, then blanks for the delay T − 2·items with a delimiter as its last step, then blanks while
the symbols are to be repeated in order. One-hot inputs: the symbols, blank, delimiter; outputs: the symbols and blank.

The target is blank until the recall. Chance: a predictor that keeps nothing but the delimiter knows every blank and
nothing of the symbols, so items · ln(symbols) / T nats per step; with the paper's delay T' that is 10 ln 8 / (T' + 20).
Solved at 1/(2·items) of chance: half of what is lost by a predictor that forgets one single item.
"""
