"""What the targets of a user's file are: classes or numbers, one per sequence or one per step. Never guessed where it
could be either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from rnnbench import UsageError, nearest
from rnnbench_tasks.lazy_numpy import np

KINDS = ("auto", "classes", "regression")
PLACES = ("auto", "last", "step")
MAX_CLASSES = 20
"""So many different whole numbers are taken for classes whatever they are; more only where they count from 0 or 1."""
LARGEST = 1e18
"""Largest number to be told: the square of a larger one is none in float32, so no loss could be had."""


class Source(NamedTuple):
    """A file and what the user says of it. kind: of `KINDS`; at: of `PLACES`."""

    file: str
    kind: str = "auto"
    at: str = "auto"

    def problem(self) -> str | None:
        """What is wrong with the options alone."""
        for name, value, known in (("kind", self.kind, KINDS), ("at", self.at, PLACES)):
            if value not in known:
                return f"{name} may be {', '.join(known)}; found {value!r}.{nearest(value, known)}"
        return None


@dataclass(frozen=True)
class Answers:
    """values: int64 ids of classes, or float64 numbers. labels: of the classes, in the order of their ids; () for
    numbers.
    """

    values: np.ndarray
    labels: tuple[str, ...] = ()


def answers(source: Source, given: np.ndarray, present: np.ndarray) -> Answers:
    """Targets of any shape as ids or numbers; what is not `present` becomes 0 and decides nothing.

    Args:
        source: Whose `kind` says what they are; with `auto` words are classes, whole numbers as `_whole` says.
        given: Texts, integers, booleans or floats.
        present: Booleans of the same shape: the targets that are there.

    Raises:
        UsageError: They cannot be what `kind` says, or could be either.
    """
    kept = given[present]
    kind = given.dtype.kind
    if kind == "U" and source.kind == "regression":
        raise UsageError(f"{source.file}: kind=regression needs numbers as targets; found {str(kept[0])!r}.")
    if source.kind == "regression" or (source.kind == "auto" and kind == "f"):
        return Answers(_numbers(source, given, present))
    if source.kind == "auto" and kind in "iu":
        _whole(source, kept)
    labels, ids = np.unique(kept, return_inverse=True)
    values = np.zeros(given.shape, np.int64)
    values[present] = ids.ravel()
    return Answers(values, tuple(_label(label) for label in labels))


def _numbers(source: Source, given: np.ndarray, present: np.ndarray) -> np.ndarray:
    values = np.where(present, given, 0).astype(np.float64)
    if bad := np.count_nonzero(~np.isfinite(values)):
        raise UsageError(f"{source.file}: {bad} values of targets are not finite numbers. Remove or fill them in.")
    if (largest := np.abs(values).max()) > LARGEST:
        raise UsageError(
            f"{source.file}: the largest target is {largest:g}, whose square float32 cannot hold. Give targets in a "
            f"unit that keeps them below {LARGEST:g}."
        )
    return values


def _whole(source: Source, kept: np.ndarray) -> None:
    """Raise UsageError for whole numbers that may as well be counts: many, and not 0 to k − 1 or 1 to k."""
    labels = np.unique(kept)
    low, high, count = int(labels[0]), int(labels[-1]), len(labels)
    if count > MAX_CLASSES and not (low in (0, 1) and high - low == count - 1):
        raise UsageError(
            f"{source.file}: the targets are {count} different whole numbers from {low} to {high}, which may be "
            f"classes or numbers. Say `kind=classes` or `kind=regression`."
        )


def _label(label: object) -> str:
    return str(label.item()) if isinstance(label, np.generic) else str(label)
