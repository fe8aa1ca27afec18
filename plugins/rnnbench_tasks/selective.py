"""Symbols hidden at random places among blanks, to be repeated in order: selective copy and denoise."""

from __future__ import annotations

import math

from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.losses import accuracy, cross_entropy
from rnnbench_tasks.sequences import Arrays, one_hot, places, synthetic


def _hidden(rng: np.random.Generator, T: int, B: int, symbols: int, items: int, stop: int) -> tuple[np.ndarray, ...]:
    """ids_TB with `items` symbols at random places before `stop` and blanks elsewhere, and the message (items, B)."""
    ids = np.full((T, B), symbols)
    message = rng.integers(0, symbols, (items, B))
    np.put_along_axis(ids, places(rng, stop, items, B), message, axis=0)
    return ids, message


def _selective_copy(rng: np.random.Generator, T: int, B: int, split: str, symbols: int, items: int) -> Arrays:
    del split
    ids, message = _hidden(rng, T, B, symbols, items, T - items)
    ids[T - items :] = symbols + 1
    targets, mask = np.zeros((T, B), np.int64), np.zeros((T, B))
    targets[T - items :], mask[T - items :] = message, 1
    return {"xs": one_hot(ids, symbols + 2), "targets": targets, "mask": mask}


def _denoise(rng: np.random.Generator, T: int, B: int, split: str, symbols: int, items: int) -> Arrays:
    del split
    ids, message = _hidden(rng, T, B, symbols, items, T - items - 1)
    ids[T - items - 1] = symbols + 1
    targets = np.full((T, B), symbols)
    targets[T - items :] = message
    return {"xs": one_hot(ids, symbols + 2), "targets": targets}


def _check(name: str, least: str, extra: int, T: int, symbols: int, items: int) -> str | None:
    if symbols < 2 or items < 1:
        return f"{name} needs symbols >= 2 and items >= 1; found symbols={symbols}, items={items}."
    if 2 * items + extra > T:
        return f"{name} of {items} items needs at least {2 * items + extra} time steps, {least}; found {T}."
    return None


selective_copy = synthetic(
    _selective_copy,
    lambda T, symbols, items: _check("selective_copy", "for the items and their recall", 0, T, symbols, items),
    {"symbols": 8, "items": 10},
    name="selective_copy",
    input_size=lambda symbols, items: symbols + 2,  # noqa: ARG005
    output_size=lambda symbols, items: symbols,  # noqa: ARG005
    loss=cross_entropy,
    chance=lambda T, symbols, items: math.log(symbols),  # noqa: ARG005
    solved=lambda T, symbols, items: math.log(symbols) / (2 * items),  # noqa: ARG005
    metric=accuracy,
    metric_name="accuracy",
    source="Gu & Dao 2023, arXiv:2312.00752, section 4.1.1 and figure 2",
)
"""`items` random symbols at random places among blanks; at the last `items` steps a cue asks for them in order.
One-hot inputs: the symbols, blank, cue; outputs: the symbols. Only the steps with a cue count (`mask`).

Blanks come in random number between the items, so a fixed delay line (a linear time-invariant cell) cannot solve it.
Chance: ln(symbols) nats per recalled item. Solved at 1/(2·items) of it: half of what is lost by a predictor that
forgets one single item.
"""

denoise = synthetic(
    _denoise,
    lambda T, symbols, items: _check("denoise", "for the items, the marker and the recall", 1, T, symbols, items),
    {"symbols": 8, "items": 10},
    name="denoise",
    input_size=lambda symbols, items: symbols + 2,  # noqa: ARG005
    output_size=lambda symbols, items: symbols + 1,  # noqa: ARG005
    loss=cross_entropy,
    chance=lambda T, symbols, items: items * math.log(symbols) / T,
    solved=lambda T, symbols, items: math.log(symbols) / (2 * T),  # noqa: ARG005
    metric=accuracy,
    metric_name="accuracy",
    source="Jing et al. 2019, Gated Orthogonal Recurrent Units, arXiv:1706.02761",
)
"""As selective copy, in the form of the copy task: the items among noise, then one marker, then blanks while they are
repeated; before that the target is blank too, and every step counts. Inputs: the symbols, noise, marker; outputs: the
symbols, blank.

Chance: with the marker alone every blank is known and no symbol, items · ln(symbols) / T nats per step. Solved at
1/(2·items) of it, as in `copy`.
"""
