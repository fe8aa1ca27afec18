"""Losses and metrics, written once for every framework in array-API `ops` (see `rnnbench.ops`).

Two families, told apart by the shape of `targets`:

* one answer per sequence, read at the last time step: `targets_B` integer class ids, or `targets_BO` numbers;
* one answer per time step: `targets_TB` integer class ids, or `targets_TBO` numbers.

`mask_TB` of 0 and 1, where a batch has one, marks the steps that count. Losses at every step average over them; losses
at the last step read the last step that is marked, so sequences of different lengths are padded at their end.
"""

from __future__ import annotations

import math
from typing import Any

from rnnbench import Array, Batch


def mean_square_last(ops: Any, outputs: Array, batch: Batch) -> Array:
    """Mean over B and O of (y − target)² at the last step that counts; targets_BO."""
    return ops.mean((_last(ops, outputs, batch) - batch["targets"]) ** 2)


def mean_square(ops: Any, outputs: Array, batch: Batch) -> Array:
    """Mean over O and the steps that count of (y − target)²; targets_TBO."""
    return _mean(ops, ops.mean((outputs - batch["targets"]) ** 2, axis=-1), batch)


def cross_entropy_last(ops: Any, outputs: Array, batch: Batch) -> Array:
    """Mean over B of −ln softmax(outputs)[target] at the last step that counts, in nats; targets_B."""
    return ops.mean(_surprise(ops, _last(ops, outputs, batch), batch["targets"]))


def cross_entropy(ops: Any, outputs: Array, batch: Batch) -> Array:
    """Mean over the steps that count of −ln softmax(outputs)[target], in nats; targets_TB."""
    return _mean(ops, _surprise(ops, outputs, batch["targets"]), batch)


def accuracy_last(ops: Any, outputs: Array, batch: Batch) -> Array:
    """Share of sequences in [0, 1] whose largest output at the last step that counts is the target; targets_B."""
    return ops.mean(_hits(ops, _last(ops, outputs, batch), batch["targets"]))


def accuracy(ops: Any, outputs: Array, batch: Batch) -> Array:
    """Share in [0, 1] of the steps that count whose largest output is the target; targets_TB."""
    return _mean(ops, _hits(ops, outputs, batch["targets"]), batch)


def r_squared(ops: Any, outputs: Array, batch: Batch) -> Array:
    """1 − mean square / variance of the batch's numbers over the steps that count; targets_TBO.

    NaN where all those numbers are equal: there is no variance to explain.
    """
    targets = batch["targets"]
    mean = ops.stack([_mean(ops, targets[..., i], batch) for i in range(targets.shape[-1])])
    apart = _mean(ops, ops.sum(ops.abs(targets - targets[0, 0]), axis=-1), batch)
    variance = mean_square(ops, ops.zeros_like(outputs) + mean, batch)
    return _explained(ops, mean_square(ops, outputs, batch), variance, apart)


def r_squared_last(ops: Any, outputs: Array, batch: Batch) -> Array:
    """`r_squared` of one answer per sequence, at the last step that counts; targets_BO."""
    targets = batch["targets"]
    apart = ops.mean(ops.abs(targets - targets[0]))
    variance = ops.mean((targets - ops.mean(targets, axis=0)) ** 2)
    return _explained(ops, mean_square_last(ops, outputs, batch), variance, apart)


def _explained(ops: Any, unexplained: Array, variance: Array, apart: Array) -> Array:
    """1 − unexplained / variance; NaN where numbers are not `apart`, whose variance is rounding."""
    defined = (apart > 0) & (variance > 0)
    known = ops.where(defined, variance, ops.ones_like(variance))
    return ops.where(defined, 1 - unexplained / known, ops.zeros_like(variance) + math.nan)


def _surprise(ops: Any, logits: Array, targets: Array) -> Array:
    """−ln softmax(logits_...K)[target_...], shape (...)."""
    return ops.logsumexp(logits, -1) - ops.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]


def _hits(ops: Any, logits: Array, targets: Array) -> Array:
    """1 where the largest of logits_...K is the target, else 0, in the dtype of the logits."""
    score = logits[..., 0]
    return ops.where(ops.argmax(logits, axis=-1) == targets, ops.ones_like(score), ops.zeros_like(score))


def _mean(ops: Any, values: Array, batch: Batch) -> Array:
    """Mean of values_TB over the steps that count: a quotient of means, since float16 cannot hold a large sum."""
    if "mask" not in batch:
        return ops.mean(values)
    mask = batch["mask"]
    return ops.mean(_marked(ops, values, mask)) / ops.mean(1.0 * mask)  # truth values have no mean


def _marked(ops: Any, values: Array, mask: Array) -> Array:
    """values · mask, and 0 where the mask is 0 also for values that are not finite there."""
    return ops.where(mask == 0, ops.zeros_like(values), values * mask)


def _last(ops: Any, outputs: Array, batch: Batch) -> Array:
    """outputs_BO at the last step that counts in each sequence."""
    if "mask" not in batch:
        return outputs[-1]
    mask = batch["mask"][..., None]
    ends = mask[:-1] * (1 - mask[1:])  # 1 at the last real step: the mask is ones, then zeros
    return ops.sum(_marked(ops, outputs[:-1], ends), axis=0) + _marked(ops, outputs[-1], mask[-1])
