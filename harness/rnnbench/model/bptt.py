"""Backpropagation through time (BPTT), whole or in segments of the sequence.

- `full`: the graph of all T steps is kept until its backward. Memory O(T).
- `checkpointed`: the state at the start of each segment is kept, and each segment is run a second time when the
  backward reaches it (Griewank & Walther 2000, algorithm 799; Chen et al. 2016, arXiv:1604.06174). The gradient is the
  full one; memory O(segment + T/segment), least near segment = √T, for a second forward pass.
- `truncated`: the state is carried over the border of two segments, its gradient is not; gradients of all segments add
  up to one optimiser step per sequence (Williams & Peng 1990, with h = h' = segment). Memory O(segment).

A truncated gradient needs no second forward pass where the loss is the mean over time of what each step contributes:
every segment's part is then known when the segment has been run. Whether a loss is of that kind is tried, not declared
(`additive`). Any other loss (one answer at the last step, a masked mean) is asked once it has seen all outputs; the
segments that it depends on, often the last one alone, are then run a second time.

In all three, the outputs of the model and what the loss makes of them are O(T) where the loss has to see them all at
once: always, but for the truncated gradient of an additive loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    from rnnbench.task import Batch, Loss

Bptt = Literal["full", "checkpointed", "truncated"]
Shapes = tuple[tuple[str, tuple[int, ...], str], ...]
"""(name, shape, dtype) of each array of a batch."""


def segment_of(bptt: Bptt, segment: int | None) -> int | None:
    """`segment` as a probe's settings keep it: None with `full`, which has none, so that equal cases are one case.

    Raises ValueError where the other two lack a length of at least one time step.
    """
    if bptt == "full":
        return None
    if segment is None or segment < 1:
        raise ValueError(f"bptt {bptt} needs `segment`, a number of time steps of at least 1; found {segment}")
    return segment


def spans(T: int, segment: int) -> list[slice]:
    """The steps 0 to T in segments; the last one is shorter where T is no multiple."""
    return [slice(start, min(start + segment, T)) for start in range(0, T, segment)]


def piece(batch: Batch, span: slice) -> Batch:
    """The batch with every array of shape (T, B, ...) cut to the steps of `span`."""
    T, B = batch["xs"].shape[:2]
    return {name: array[span] if tuple(array.shape[:2]) == (T, B) else array for name, array in batch.items()}


def additive(loss: Loss, batch: Batch, outputs: int, segment: int) -> bool:
    """Whether loss(all) = Σ length_s/T · loss(segment s) for batches like this one and any outputs_TBO.

    Tried in NumPy on outputs, targets and masks drawn at random in the batch's shapes: the two sides agree there only
    if they agree everywhere. Only shapes are looked at, so the answer holds for whatever the batch holds, and can be
    had while a framework traces.
    """
    return _additive(loss, shapes_of(batch), outputs, segment)


def shapes_of(batch: Batch) -> Shapes:
    """All that a trial on random numbers has to know of a batch."""
    return tuple((name, tuple(array.shape), str(array.dtype)) for name, array in sorted(batch.items()))


def random_arrays(rng: np.random.Generator, shapes: Shapes, classes: int) -> Batch:
    """Numbers and masks drawn at random in the shapes of a batch.

    Integers name one of `classes` classes, or are -1, which losses that ignore steps take for no class: a loss that
    weighs classes or ignores steps weighs the parts of a batch unlike, and shows it on such numbers alone.
    """
    return {name: _random(rng, shape, dtype, classes) for name, shape, dtype in shapes}


@cache
def _additive(loss: Loss, shapes: Shapes, outputs: int, segment: int) -> bool:
    import numpy as np

    from rnnbench.ops import numpy_ops

    ops, rng = numpy_ops(), np.random.default_rng(0)
    batch = random_arrays(rng, shapes, outputs)
    T, B = batch["xs"].shape[:2]
    ys = rng.standard_normal((T, B, outputs))
    with np.errstate(all="ignore"):
        try:
            parts = sum(
                (span.stop - span.start) / T * float(loss(ops, ys[span], piece(batch, span)))
                for span in spans(T, segment)
            )
            whole = float(loss(ops, ys, batch))
        except (ValueError, IndexError, TypeError):  # it cannot even be asked about a part
            return False
    return abs(parts - whole) <= 1e-9 * abs(whole)


def _random(rng: Any, shape: tuple[int, ...], dtype: str, classes: int) -> Any:
    if "bool" in dtype:
        return rng.random(shape) < 0.5
    return rng.random(shape) if "float" in dtype else rng.integers(-1, classes, shape)


def bptt_of(settings: Mapping[str, Any]) -> tuple[Bptt, int | None]:
    """What the settings of a case say of BPTT; probes that do not ask train on the full gradient."""
    return settings.get("bptt", "full"), settings.get("segment")
