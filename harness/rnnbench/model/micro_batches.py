"""A batch in parts, each of some of its sequences, and how what is asked of the parts adds up to the whole.

Gradients of parts can be taken one after the other and averaged before one optimiser step, so that no more than one
part's activations are in memory at a time. The sum is the gradient of the whole batch where the loss is a mean over
sequences (each part weighs as its share of the sequences) or over the steps that a mask marks (its share of the mask).
Which of the two a loss is, is tried, not declared (`weighing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from rnnbench.cell import Array
from rnnbench.errors import CaseError
from rnnbench.model.bptt import Shapes, random_arrays, shapes_of

if TYPE_CHECKING:
    from rnnbench.task import Batch, Loss

Weighing = Literal["sequences", "mask"]


def split(batch: Batch, size: int) -> list[Batch]:
    """The batch in parts of `size` neighbouring sequences; the last one has the rest.

    Arrays of shape (T, B, ...) are cut along their second axis, other arrays of B rows along their first. Raises
    CaseError for an array that is neither.
    """
    B = batch["xs"].shape[1]
    return [_cut(batch, slice(start, min(start + size, B))) for start in range(0, B, size)]


def _cut(batch: Batch, span: slice) -> Batch:
    T, B = batch["xs"].shape[:2]
    return {name: array[(slice(None),) * batch_axis(array, T, B) + (span,)] for name, array in batch.items()}


def batch_axis(array: Array, T: int, B: int) -> int:
    """Where an array of a batch has its sequences: 1 behind the time steps, 0 without them."""
    if tuple(array.shape[:2]) == (T, B):
        return 1
    if len(array.shape) and array.shape[0] == B:
        return 0
    raise CaseError(f"an array of shape {tuple(array.shape)} in a batch of {T} steps and {B} sequences cannot be split")


def shares(ops: Any, parts: Sequence[Batch], weighing: Weighing) -> list[Array]:
    """What each part weighs, adding up to 1. By means: float16 cannot hold a large sum, bfloat16 no count past 256."""
    sizes = [part["xs"].shape[1] for part in parts]
    if weighing == "sequences":
        return [size / sum(sizes) for size in sizes]
    counted = [ops.mean(1.0 * part["mask"]) * size for size, part in zip(sizes, parts, strict=True)]
    whole = ops.mean(ops.stack(counted)) * len(parts)
    return [one / whole for one in counted]


def weighing(loss: Loss, batch: Batch, outputs: int) -> Weighing | None:
    """How loss(all) = Σ share · loss(part) for batches like this one and any outputs_TBO; None where it is neither way.

    Tried in NumPy, as in `rnnbench.model.bptt.additive`, on a part of one sequence and a part of all others.
    """
    return _weighing(loss, shapes_of(batch), outputs)


@cache
def _weighing(loss: Loss, shapes: Shapes, outputs: int) -> Weighing | None:
    import numpy as np

    from rnnbench.ops import numpy_ops

    ops, rng = numpy_ops(), np.random.default_rng(0)
    whole = random_arrays(rng, shapes, outputs)
    T, B = whole["xs"].shape[:2]
    if B == 1:
        return "sequences"
    ys = rng.standard_normal((T, B, outputs))
    parts = [(span, _cut(whole, span)) for span in (slice(0, 1), slice(1, B))]
    kinds: tuple[Weighing, ...] = ("sequences", "mask") if "mask" in whole else ("sequences",)
    with np.errstate(all="ignore"):
        try:
            truth = float(loss(ops, ys, whole))
            found = [float(loss(ops, ys[:, span], part)) for span, part in parts]
        except (ValueError, IndexError, TypeError):  # it cannot even be asked about a part
            return None
        for kind in kinds:
            weights = shares(ops, [part for _, part in parts], kind)
            total = sum(weight * one for weight, one in zip(weights, found, strict=True))
            if abs(total - truth) <= 1e-9 * abs(truth):
                return kind
    return None


def required(loss: Loss, batch: Batch, outputs: int) -> Weighing:
    """`weighing`, or CaseError for a loss whose gradient is no sum over parts of the batch."""
    found = weighing(loss, batch, outputs)
    if found is None:
        raise CaseError(
            "micro_batches need a loss that is a mean over sequences or over a mask; this one is neither: "
            "set micro_batches to 1"
        )
    return found
