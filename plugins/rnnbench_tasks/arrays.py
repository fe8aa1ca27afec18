"""Sequences of the user's own in a NumPy archive."""

from __future__ import annotations

import zipfile
from functools import lru_cache

from rnnbench import UsageError, nearest
from rnnbench_tasks.answers import Source, answers
from rnnbench_tasks.corpus import existing
from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.sequences import Arrays
from rnnbench_tasks.user_data import UserData, user_task, validated

KEYS = ("xs", "targets", "lengths")
SHAPES = (
    "integers (N,) for one class per sequence, integers (N, T) for one per step, "
    "floats (N,) or (N, O) for numbers at the last step, floats (N, T, O) for numbers at every step"
)


@lru_cache(maxsize=2)
def read(file: str, kind: str = "auto", at: str = "auto") -> UserData:
    """The data of an .npz file. Raises UsageError that says what is wrong with it."""
    source = Source(file, kind, at)
    found = _contents(file)
    xs = found["xs"][..., None] if found["xs"].ndim == 2 else found["xs"]
    if xs.ndim != 3:
        raise UsageError(f"{file}: xs must have the shape (N, T, D), or (N, T) for one feature; found {xs.shape}.")
    if not xs.size:
        raise UsageError(
            f"{file}: xs is empty, with the shape {xs.shape}. Give sequences of at least a step and a feature."
        )
    N, T = xs.shape[:2]
    mask = _mask(file, xs, found["lengths"]) if "lengths" in found else np.ones((T, N))
    given = _targets(source, xs, found["targets"])
    known = answers(source, given, _present(given, mask))
    own = {"xs": np.ascontiguousarray(xs.swapaxes(0, 1), np.float64), "targets": known.values}
    return validated(source, own if mask.all() else own | {"mask": mask}, known.labels)


def _present(targets: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Which targets are there: those of sequences all, those of steps where the mask is 1."""
    if targets.shape[:2] != mask.shape or targets.ndim < 2:
        return np.ones(targets.shape, bool)
    marked = mask.reshape(mask.shape + (1,) * (targets.ndim - 2)) == 1
    return np.broadcast_to(marked, targets.shape)


def _contents(file: str) -> Arrays:
    """The arrays of the archive, all numeric."""
    found = _opened(file)
    for name in ("xs", "targets"):
        if name not in found:
            raise UsageError(
                f"{file} has no array {name!r}; it has {', '.join(found) or 'none'}.{nearest(name, found)}"
            )
    for name, array in found.items():
        if name not in KEYS:
            raise UsageError(f"{file}: unknown array {name!r}; known are {', '.join(KEYS)}.{nearest(name, KEYS)}")
        if array.dtype.kind not in "biuf":
            raise UsageError(f"{file}: {name} must be numbers; found {array.dtype}.")
        if len(array) != len(found["xs"]):
            raise UsageError(f"{file}: xs has {len(found['xs'])} sequences but {name} has {len(array)}.")
    return found


def _opened(file: str) -> Arrays:
    """Everything in the archive. Pickled (ragged, object) arrays are refused: loading them would run code."""
    path = existing(file, "arrays")
    try:
        with zipfile.ZipFile(path):
            archive = np.load(path, allow_pickle=False)
        with archive:
            return {name: np.atleast_1d(archive[name]) for name in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"{file} is no .npz archive of plain arrays ({error}). Write one with numpy.savez.") from None


def _targets(source: Source, xs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The targets with time first, in the layout of `rnnbench_tasks.losses`, told apart by kind and shape."""
    numbers = source.kind == "regression" or (source.kind == "auto" and given.dtype.kind == "f")
    per_step = given.shape[:2] == xs.shape[:2]
    if given.ndim == 1 and source.at != "step":
        return given.reshape(-1, 1) if numbers else given
    if given.ndim == 2 and numbers:
        if per_step and source.at == "auto":
            raise UsageError(
                f"{source.file}: targets {given.shape} beside xs {xs.shape} may be one number at every step or "
                f"{given.shape[1]} numbers at the last. Say `at=step` or `at=last`."
            )
        if source.at != "step":
            return given
        if per_step:
            return given.T[..., None]
    if given.ndim == (3 if numbers else 2) and per_step and source.at != "last":
        return given.swapaxes(0, 1)
    said = "".join(f", {name}={value}" for name, value in (("kind", source.kind), ("at", source.at)) if value != "auto")
    raise UsageError(
        f"{source.file}: targets may be {SHAPES}; found {given.dtype} {given.shape} beside xs {xs.shape}{said}."
    )


def _mask(file: str, xs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """1 at the steps below the length of each sequence."""
    T = xs.shape[1]
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or lengths.min() < 1 or lengths.max() > T:
        found = f"{lengths.dtype} {lengths.shape}"
        found += f" from {lengths.min()} to {lengths.max()}" if lengths.size and lengths.dtype.kind in "iuf" else ""
        raise UsageError(f"{file}: lengths must be integers (N,) from 1 to T = {T}; found {found}.")
    return (np.arange(T)[:, None] < lengths).astype(np.float64)


@lru_cache(maxsize=2)
def _splits(file: str, kind: str, at: str) -> dict[str, Arrays]:
    return read(file, kind, at).splits()


arrays = user_task("arrays", read, _splits)
"""Sequences in an .npz file: `arrays(file=data.npz)`. `xs` is (N, T, D), or (N, T) for one feature; `targets` is
integers (N,) for one class per sequence, integers (N, T) for one per step, floats (N,) or (N, O) for numbers at the
last step, floats (N, T, O) for numbers at every step; `lengths`, integers (N,), where sequences are padded at the end
with anything.

k different integers are k classes, whatever they are. More than 20 that do not count from 0 or 1 may as well be
numbers: `kind=regression` or `kind=classes` says which, and either may be said of any targets. Floats (N, T) may be
meant for every step (`at=step`) or for the last (`at=last`).
Splits, scaling, score: `rnnbench_tasks.user_data`. Chance: the best constant on the train split, entropy of the classes
in nats or variance of the numbers. Solved at `target_loss`, by default half of chance.
"""
