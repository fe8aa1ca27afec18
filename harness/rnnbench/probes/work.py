"""One unit of the work that throughput and memory look at, so that both mean the same by `forward` and `train`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

from rnnbench.backend import Program
from rnnbench.context import Context

Mode = Literal["forward", "train"]
MODES: tuple[Mode, ...] = ("forward", "train")

ROTATION = 4
"""Different batches that calls take in turn, so that no cache and no shortcut can live off one input."""


def unit_of_work(context: Context, program: Program, mode: Mode) -> Callable[[], object]:
    """A call that does one forward pass, or one training step (forward, backward and optimiser step).

    xs_TBD and the targets of the mean-square loss are standard normal, on the device before the clock starts. The input
    projection is always inside.
    """
    batches = itertools.cycle([program.put(_batch(context, index)) for index in range(ROTATION)])
    if mode == "forward":
        return lambda: program.forward(next(batches)["xs"])
    return lambda: program.train_step(next(batches))


def _batch(context: Context, index: int) -> dict:
    case = context.case
    shape = (case.seq_len, case.batch_size, case.hidden_size)
    targets = context.rng("targets", *shape, index).standard_normal(shape)
    return {"xs": context.inputs(index), "targets": targets}
