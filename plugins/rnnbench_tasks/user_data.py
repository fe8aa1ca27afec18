"""Sequences of the user's own: their splits, loss and chance, whichever file they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rnnbench import Array, Batch, Task, UsageError
from rnnbench_tasks import losses
from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.sequences import Arrays, recorded, take
from rnnbench_tasks.splits import stratified

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
LEAST = 10


@dataclass(frozen=True)
class UserData:
    """xs_TND float; targets as in `rnnbench_tasks.losses`; mask_TN where lengths vary; classes: 0 for numbers."""

    arrays: Arrays
    classes: int

    @property
    def steps(self) -> int:
        """T, the length of the longest sequence."""
        return self.arrays["xs"].shape[0]

    @property
    def features(self) -> int:
        """D."""
        return self.arrays["xs"].shape[2]

    @property
    def outputs(self) -> int:
        """O: the classes, or the numbers to be told."""
        return self.classes or self.arrays["targets"].shape[-1]

    def splits(self) -> dict[str, Arrays]:
        """70 % train, 15 % validation, 15 % test; stratified where every sequence has one class.

        Features are shifted and scaled to mean 0 and variance 1 over the steps of the train split that are there.
        """
        targets = self.arrays["targets"]
        count = self.arrays["xs"].shape[1]
        strata = targets if self.classes and targets.ndim == 1 else np.zeros(count, int)
        parts = {split: take(self.arrays, own) for split, own in stratified("user", strata, SHARES).items()}
        present = _present(parts["train"])
        mean, deviation = present.mean(axis=0), present.std(axis=0)
        deviation[deviation == 0] = 1
        return {split: part | {"xs": _scaled(part, mean, deviation)} for split, part in parts.items()}


def _present(part: Arrays) -> np.ndarray:
    """The rows of features at the steps that are there."""
    return part["xs"][part["mask"] == 1] if "mask" in part else part["xs"].reshape(-1, part["xs"].shape[-1])


def _scaled(part: Arrays, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Standard features, with padding at 0."""
    scaled = (part["xs"] - mean) / deviation
    return scaled * part["mask"][..., None] if "mask" in part else scaled


def chance(data: UserData, train: Arrays) -> float:
    """The loss of the best constant on the train split: entropy of the classes, or variance of the numbers."""
    targets = train["targets"]
    if "mask" in train and targets.shape[:2] == train["mask"].shape and targets.ndim == (2 if data.classes else 3):
        targets = targets[train["mask"] == 1]
    if data.classes:
        p = np.bincount(targets.ravel()) / targets.size
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())
    return float(targets.reshape(-1, targets.shape[-1]).var(axis=0).mean())


def loss(ops: Any, outputs: Array, batch: Batch) -> Array:
    """Cross-entropy in nats of class ids, mean square of numbers; per step or at the last, by the targets' shape."""
    ids, last = _kind(batch["targets"])
    if ids:
        return (losses.cross_entropy_last if last else losses.cross_entropy)(ops, outputs, batch)
    return (losses.mean_square_last if last else losses.mean_square)(ops, outputs, batch)


def score(ops: Any, outputs: Array, batch: Batch) -> Array:
    """Accuracy of class ids; 1 − mean square / variance of the batch's numbers (R²) for numbers."""
    ids, last = _kind(batch["targets"])
    if ids:
        return (losses.accuracy_last if last else losses.accuracy)(ops, outputs, batch)
    targets = batch["targets"]
    constant = ops.zeros_like(outputs) + ops.mean(targets, axis=0 if last else (0, 1))
    return 1 - loss(ops, outputs, batch) / loss(ops, constant, batch)


def _kind(targets: Array) -> tuple[bool, bool]:
    """(class ids rather than numbers, one answer per sequence rather than per step)."""
    ids = "int" in str(targets.dtype)
    return ids, targets.ndim == (1 if ids else 2)


def user_task(
    name: str, read: Callable[[str], UserData], splits: Callable[[str], Mapping[str, Arrays]], **fields: Any
) -> Task:
    """A task on a file of the user's. read(file) and splits(file) are cached and raise UsageError for a bad file."""

    def check(T: int, file: str, target_loss: float) -> str | None:
        try:
            steps = read(file).steps
        except UsageError as error:
            return str(error)
        if target_loss < 0:
            return f"{name} needs target_loss >= 0 (0: half of chance); found {target_loss}."
        if steps != T:
            return f"the longest sequence in {file} has {steps} time steps, so {name} needs exactly {steps}; found {T}."
        return None

    def chance_of(T: int, file: str, target_loss: float) -> float:
        del T, target_loss
        return chance(read(file), splits(file)["train"])

    return recorded(
        lambda file, target_loss: splits(file),  # noqa: ARG005
        lambda file, target_loss: {s: part["xs"].shape[1] for s, part in splits(file).items()},  # noqa: ARG005
        check,
        {"file": "", "target_loss": 0.0},
        name=name,
        input_size=lambda file, target_loss: read(file).features,  # noqa: ARG005
        output_size=lambda file, target_loss: read(file).outputs,  # noqa: ARG005
        loss=loss,
        metric=score,
        metric_name="score",
        chance=chance_of,
        solved=lambda T, file, target_loss: target_loss or chance_of(T, file, 0.0) / 2,
        source="the user's own",
        **fields,
    )


def validated(file: str, arrays: Arrays) -> UserData:
    """The data, or a UsageError for too few sequences, numbers that are not finite, bad class ids, one answer only."""
    xs, targets = arrays["xs"], arrays["targets"]
    count = xs.shape[1]
    if count < LEAST:
        raise UsageError(f"{file} has {count} sequences; at least {LEAST} are needed to train, validate and test.")
    if 0 in xs.shape:
        raise UsageError(f"{file} has no time steps or no features: xs has the shape (N, T, D) = {_ntd(xs)}.")
    for name, array in (("xs", xs), ("targets", targets)):
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            raise UsageError(f"{file}: {len(bad)} values of {name} are not finite numbers. Remove or fill them in.")
    if targets.min() == targets.max():
        raise UsageError(f"{file}: all targets are {targets.flat[0]}, so there is nothing to learn.")
    if np.issubdtype(targets.dtype, np.floating):
        return UserData(arrays, 0)
    if targets.min() < 0:
        raise UsageError(f"{file}: class ids count from 0; found {targets.min()}.")
    return UserData(arrays, int(targets.max()) + 1)


def _ntd(xs: np.ndarray) -> tuple[int, ...]:
    return (xs.shape[1], xs.shape[0], xs.shape[2])
