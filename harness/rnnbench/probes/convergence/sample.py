"""Sequences that a model is evaluated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rnnbench.backend import Program
from rnnbench.context import Context
from rnnbench.model import micro_batches
from rnnbench.probes import training
from rnnbench.task import Batch, Loss

AT_ONCE = 4
"""Times the training batch that one forward pass takes: without gradients it needs no more memory than training does,
and a recurrent cell takes little longer over it."""


@dataclass(frozen=True)
class Sample:
    """Sequences on the device, in parts, and what each part weighs in the loss and in the metric.

    size: sequences. available: sequences of the split, None where they are drawn without end.
    """

    split: str
    size: int
    available: int | None
    parts: Sequence[Batch]
    weights: Mapping[str, Sequence[float]]

    def evaluate(self, program: Program) -> dict[str, float]:
        """Loss, and metric where the program has one, over all sequences, dropout off."""
        found = [program.evaluate(part) for part in self.parts]
        return {
            name: sum(weight * one[name] for weight, one in zip(self.weights[name], found, strict=True))
            for name in found[0]
        }

    def note(self) -> str | None:
        """That a split was not evaluated whole."""
        if self.available is None or self.size >= self.available:
            return None
        return f"{self.split}: evaluated on {self.size} of its {self.available} sequences (eval_size)"


def draw(context: Context, program: Program, split: str, most: int | None, seq_len: int | None = None) -> Sample:
    """`most` sequences of a split, or all it has where those are fewer or `most` is None: the same for every replicate.

    Endless tasks have as many as `eval_size` says where `most` is None.
    """
    task, options, T = training.task_of(context), context.task_options or {}, seq_len or context.case.seq_len
    available = _available(context, split)
    limits = [count for count in (most, available) if count is not None]
    size = min(limits) if limits else context.settings.eval_size
    batch = task.batch(context.rng("sample", split, context.case.settings["task"], T), T, size, split, **options)
    asked: dict[str, Loss] = {"loss": task.loss} | ({"metric": task.metric} if task.metric else {})
    width = task.outputs(**options)
    weighings: dict[str, micro_batches.Weighing | None] = {
        name: micro_batches.weighing(one, batch, width) for name, one in asked.items()
    }
    together = size if None in weighings.values() else AT_ONCE * context.case.batch_size
    parts = micro_batches.split(batch, together)
    weights = {name: _weights(parts, weighing) for name, weighing in weighings.items()}
    return Sample(split, size, available, [program.put(part) for part in parts], weights)


def _weights(parts: Sequence[Batch], weighing: micro_batches.Weighing | None) -> list[float]:
    """What each part weighs; a loss that is no sum over parts is asked about one part, the whole."""
    import numpy as np

    return [1.0] if weighing is None else [float(share) for share in micro_batches.shares(np, parts, weighing)]


def _available(context: Context, split: str) -> int | None:
    """Sequences that the split has; None without end."""
    options = dict(context.task_options or {})
    sizes = training.task_of(context).sizes
    if sizes is not None:
        return sizes(**options).get(split)
    fixed = int(options.get("train_size", 0)) if split == "train" else 0
    return fixed or None
