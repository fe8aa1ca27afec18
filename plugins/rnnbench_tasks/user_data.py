"""Sequences of the user's own: their splits, loss and chance, whichever file they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rnnbench import Array, Batch, Task, UsageError
from rnnbench_tasks import losses
from rnnbench_tasks.answers import Source
from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.sequences import Arrays, recorded, take
from rnnbench_tasks.splits import stratified

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
LEAST = 10
NAMED = 8
"""So many classes are described each with its count, more by the range of their counts."""


@dataclass(frozen=True)
class UserData:
    """xs_TND float; targets as in `rnnbench_tasks.losses`; mask_TN where lengths vary; labels: of the classes, () for
    numbers.
    """

    arrays: Arrays
    labels: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """T, the length of the longest sequence."""
        return self.arrays["xs"].shape[0]

    @property
    def features(self) -> int:
        """D."""
        return self.arrays["xs"].shape[2]

    @property
    def classes(self) -> int:
        """How many classes, 0 for numbers."""
        return len(self.labels)

    @property
    def outputs(self) -> int:
        """O: the classes, or the numbers to be told."""
        return self.classes or self.arrays["targets"].shape[-1]

    @property
    def per_step(self) -> bool:
        """Whether every step has an answer, and not the sequence one."""
        return self.arrays["targets"].ndim == (2 if self.labels else 3)

    def splits(self) -> dict[str, Arrays]:
        """70 % train, 15 % validation, 15 % test; stratified where every sequence has one class.

        Features are shifted and scaled to mean 0 and variance 1 over the steps of the train split that are there.
        """
        count = self.arrays["xs"].shape[1]
        strata = self.arrays["targets"] if self.labels and not self.per_step else np.zeros(count, int)
        indices = stratified("user", strata, SHARES, exact=True)
        parts = {split: take(self.arrays, own) for split, own in indices.items()}
        present = _present(parts["train"])
        mean = present.mean(axis=0)
        deviation = _deviation(present - mean)
        return {split: part | {"xs": _scaled(part, mean, deviation)} for split, part in parts.items()}

    def answers(self, part: Arrays) -> np.ndarray:
        """The targets of a split that are there: ids (n,), or numbers (n, O)."""
        targets = part["targets"]
        if self.per_step:
            targets = targets[part["mask"] == 1] if "mask" in part else targets.reshape(-1, *targets.shape[2:])
        return targets


def _present(part: Arrays) -> np.ndarray:
    """The rows of features at the steps that are there."""
    return part["xs"][part["mask"] == 1] if "mask" in part else part["xs"].reshape(-1, part["xs"].shape[-1])


def _deviation(centred: np.ndarray) -> np.ndarray:
    """Standard deviation per column, 1 for a constant one; by way of the largest, whose square may be no float64."""
    largest = np.abs(centred).max(axis=0)
    largest[largest == 0] = 1
    deviation = largest * (centred / largest).std(axis=0)
    return np.where(deviation == 0, 1, deviation)


def _scaled(part: Arrays, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Standard features, with padding at 0."""
    scaled = (part["xs"] - mean) / deviation
    return scaled * part["mask"][..., None] if "mask" in part else scaled


def chance(data: UserData, train: Arrays) -> float:
    """The loss of the best constant on the train split: entropy of the classes, or variance of the numbers."""
    answers = data.answers(train)
    if data.labels:
        p = np.bincount(answers) / len(answers)
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())
    return float(answers.var(axis=0).mean())


def described(source: Source, data: UserData, parts: Mapping[str, Arrays]) -> str:
    """One line: what the file was taken for, and what its splits hold."""
    task = f"{len(data.labels)} classes" if data.labels else f"regression of {_several(data.outputs, 'number')}"
    place = "at every step" if data.per_step else "at the last step of a sequence"
    sizes = ", ".join(f"{part['xs'].shape[1]} {split}" for split, part in parts.items())
    sentence = (
        f"{source.file}: {task} {place}; {_several(data.arrays['xs'].shape[1], 'sequence')} of {_lengths(data)} "
        f"with {_several(data.features, 'feature')}; {sizes}"
    )
    return f"{sentence}; {_counts(data, parts)}" if data.labels else sentence


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _lengths(data: UserData) -> str:
    mask = data.arrays.get("mask")
    shortest = data.steps if mask is None else int(mask.sum(axis=0).min())
    return _several(data.steps, "step") if shortest == data.steps else f"{shortest} to {data.steps} steps"


def _counts(data: UserData, parts: Mapping[str, Arrays]) -> str:
    """Members of each class, and how many classes a split has none of."""
    K = len(data.labels)
    by_split = {split: np.bincount(data.answers(part), minlength=K) for split, part in parts.items()}
    counts = sum(by_split.values(), np.zeros(K, np.int64))
    if K <= NAMED:
        counted = ", ".join(f"{label!r} {count}" for label, count in zip(data.labels, counts, strict=True))
    else:
        counted = (
            f"{counts.min()} to {counts.max()} of a class" if counts.min() < counts.max() else f"{counts[0]} of each"
        )
    lacking = [f"{np.count_nonzero(own == 0)} are not in {split}" for split, own in by_split.items() if not own.all()]
    return ", ".join([f"{'steps' if data.per_step else 'sequences'}: {counted}", *lacking])


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
    return (losses.r_squared_last if last else losses.r_squared)(ops, outputs, batch)


def _kind(targets: Array) -> tuple[bool, bool]:
    """(class ids rather than numbers, one answer per sequence rather than per step)."""
    ids = "int" in str(targets.dtype)
    return ids, targets.ndim == (1 if ids else 2)


def user_task(
    name: str, read: Callable[..., UserData], splits: Callable[..., Mapping[str, Arrays]], **fields: Any
) -> Task:
    """A task on a file of the user's, with the options `file`, `kind`, `at` and `target_loss`.

    read(file, kind, at) and splits(file, kind, at) are cached and raise UsageError for a bad file.
    """

    def check(T: int, target_loss: float, **options: str) -> str | None:
        source = Source(**options)
        if problem := source.problem():
            return f"{name}: {problem}"
        try:
            data = read(*source)
            level = chance(data, splits(*source)["train"])
        except UsageError as error:
            return str(error)
        if target_loss < 0:
            return f"{name} needs target_loss >= 0 (0: half of chance); found {target_loss}."
        if data.steps != T:
            return (
                f"the longest sequence in {source.file} has {data.steps} time steps, so {name} needs exactly "
                f"{data.steps}; found {T}."
            )
        if not level > 0:
            return f"{source.file}: all targets of the train split are equal, so there is nothing to learn."
        return None

    def of_source(function: Callable[[Source], Any]) -> Callable[..., Any]:
        def asked(target_loss: float, **options: str) -> Any:
            del target_loss
            return function(Source(**options))

        return asked

    def chance_of(T: int, target_loss: float, **options: str) -> float:
        del T, target_loss
        source = Source(**options)
        return chance(read(*source), splits(*source)["train"])

    return recorded(
        of_source(lambda source: splits(*source)),
        of_source(lambda source: {split: part["xs"].shape[1] for split, part in splits(*source).items()}),
        check,
        {"file": "", "kind": "auto", "at": "auto", "target_loss": 0.0},
        name=name,
        input_size=of_source(lambda source: read(*source).features),
        output_size=of_source(lambda source: read(*source).outputs),
        describe=of_source(lambda source: described(source, read(*source), splits(*source))),
        files=("file",),
        loss=loss,
        metric=score,
        metric_name="score",
        chance=chance_of,
        solved=lambda T, target_loss, **options: target_loss or chance_of(T, 0.0, **options) / 2,
        source="the user's own",
        **fields,
    )


def validated(source: Source, arrays: Arrays, labels: tuple[str, ...]) -> UserData:
    """The data, or a UsageError for too few sequences, features that are no float32 numbers, one answer only.

    What a mask does not mark is set to 0: it is not there, whatever the file holds in its place.
    """
    xs = arrays["xs"]
    count = xs.shape[1]
    if count < LEAST:
        raise UsageError(
            f"{source.file} has {count} sequences; at least {LEAST} are needed to train, validate and test."
        )
    if 0 in xs.shape:
        raise UsageError(f"{source.file} has no time steps or no features: xs has the shape (N, T, D) = {_ntd(xs)}.")
    if "mask" in arrays:
        xs = np.where(arrays["mask"][..., None] == 1, xs, 0)
    if bad := np.count_nonzero(~np.isfinite(xs)):
        raise UsageError(
            f"{source.file}: {bad} values of xs are not finite numbers. Remove or fill them in; where sequences end "
            f"before others, say so by their lengths."
        )
    if (largest := np.abs(xs).max()) > np.finfo(np.float32).max:
        raise UsageError(f"{source.file}: a feature of {largest:g} is beyond float32. Scale or mend the features.")
    data = UserData(arrays | {"xs": xs}, labels)
    answers = data.answers(data.arrays)
    if (answers == answers[0]).all():
        only = labels[0] if labels else answers.flat[0]
        raise UsageError(f"{source.file}: all targets are {only}, so there is nothing to learn.")
    return data


def _ntd(xs: np.ndarray) -> tuple[int, ...]:
    return (xs.shape[1], xs.shape[0], xs.shape[2])
