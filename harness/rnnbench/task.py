"""What a model is asked to learn: data, loss, and what counts as solved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnnbench.cell import Array, Option

Batch = Mapping[str, Array]
"""`xs` (T, B, D) float; `targets` of the shape the task's loss wants; `mask` (T, B) of 0 and 1 where lengths vary."""

Loss = Callable[[Any, Array, Batch], Array]
"""loss(ops, outputs_TBO, batch) -> scalar, written in the portable array namespace."""


@dataclass(frozen=True)
class Task:
    """Data and loss of one learning problem. Everything is NumPy until the program puts it on its device.

    batch(rng, T, B, split, **options) -> Batch
        Draw B sequences of exactly T time steps. `split` is `train`, `validation` or `test`. Synthetic tasks draw fresh
        sequences for every split; real data have a fixed split. Draw with `rng` alone: same rng, same batch.
    loss(ops, outputs_TBO, batch) -> scalar
        Portable (see `rnnbench.ops`): the mean loss that is trained on, in nats for classification.
    metric(ops, outputs_TBO, batch) -> scalar
        Optional: what people quote (accuracy in [0, 1]); `metric_name` names it.
    chance(T, **options) -> float
        The loss of the best predictor without memory or knowledge, in closed form.
    solved(T, **options) -> float
        A validation loss at or below this counts as solved: it is the target of `steps_to_target`.
    check(T, **options) -> None | "one sentence why T or an option is impossible"
    input_size, output_size: D and O; functions of the options where they depend on them.
    encode(text, **options) -> ids_T, and decode(ids_T, **options) -> text
        Only for tasks over text, one id per character: inputs are one-hot ids, outputs the logits of the next id, the
        loss is its cross-entropy in nats. Loss / ln 2 is then bits per character, and a trained model can write text
        (`rnnbench.probes.generation`). encode raises UsageError for what has no id; it is asked before anything runs.
    files: names of options that are paths of data files. A suite gives them relative to itself, and a run keeps digests
        of what is in them.
    describe(**options) -> one line that says what the data were taken for, told before they are used.
    requires: packages beyond the core that `batch` imports (`sklearn`, ...), so that their absence is a clear skip.
    options: names and defaults of what the functions accept beyond T and B; users write `copy(symbols=8)`.

    Example: the mean of T uniform numbers, whose variance 1/(12 T) is what a constant scores.

        >>> import numpy as np
        >>> from rnnbench import Task, numpy_ops
        >>> def batch(rng, T, B, split):
        ...     xs = rng.uniform(0, 1, (T, B, 1))
        ...     return {"xs": xs, "targets": xs.mean(axis=0)}
        >>> def loss(ops, outputs, batch):
        ...     return ops.mean((outputs[-1] - batch["targets"]) ** 2)
        >>> task = Task("running_mean", 1, 1, batch, loss, chance=lambda T: 1 / (12 * T), solved=lambda T: 0.1 / T)
        >>> drawn = task.batch(np.random.default_rng(0), 8, 4, "train")
        >>> drawn["xs"].shape, float(loss(numpy_ops(), drawn["targets"][None], drawn))
        ((8, 4, 1), 0.0)
    """

    name: str
    input_size: int | Callable[..., int]
    output_size: int | Callable[..., int]
    batch: Callable[..., Batch]
    loss: Callable[[Any, Array, Batch], Array]
    chance: Callable[..., float]
    solved: Callable[..., float]
    check: Callable[..., str | None] = lambda T, **options: None  # noqa: ARG005
    metric: Callable[[Any, Array, Batch], Array] | None = None
    metric_name: str = ""
    source: str = ""
    requires: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    encode: Callable[..., Array] | None = None
    decode: Callable[..., str] | None = None
    sizes: Callable[..., Mapping[str, int]] | None = None
    """sizes(**options) -> sequences per split, for tasks on fixed data; None for endless synthetic data."""
    files: tuple[str, ...] = ()
    describe: Callable[..., str] | None = None

    def located(self, options: Mapping[str, Option], folder: Path) -> dict[str, Option]:
        """The options with paths of data files that are there from the current folder.

        A relative one is looked for in `folder`, that of the suite, and then in the current folder.
        """
        found = dict(options)
        for name in self.files:
            path = Path(str(found.get(name, "")))
            if found.get(name) and not path.is_absolute() and ((folder / path).exists() or not path.exists()):
                found[name] = str(folder / path)
        return found

    def inputs(self, **options: Option) -> int:
        """D, the number of input features."""
        return self.input_size(**options) if callable(self.input_size) else self.input_size

    def outputs(self, **options: Option) -> int:
        """O, the number of outputs of the head."""
        return self.output_size(**options) if callable(self.output_size) else self.output_size


def mean_square(ops: Any, outputs: Array, batch: Batch) -> Array:
    """The loss of probes that have no task: mean of (outputs − targets)² over everything.

    Args:
        ops: Array namespace of the arrays.
        outputs: (T, B, O).
        batch: `targets` of the same shape.

    Returns:
        A scalar array.

    Example:
        >>> import numpy as np
        >>> from rnnbench import mean_square, numpy_ops
        >>> float(mean_square(numpy_ops(), np.ones((3, 2, 1)), {"targets": np.zeros((3, 2, 1))}))
        1.0
    """
    return ops.mean((outputs - batch["targets"]) ** 2)
