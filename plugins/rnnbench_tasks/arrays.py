"""Sequences of the user's own in a NumPy archive."""

from __future__ import annotations

import zipfile
from functools import lru_cache

from rnnbench import UsageError, nearest
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
def read(file: str) -> UserData:
    """The data of an .npz file. Raises UsageError that says what is wrong with it."""
    found = _contents(file)
    xs = found["xs"][..., None] if found["xs"].ndim == 2 else found["xs"]
    if xs.ndim != 3:
        raise UsageError(f"{file}: xs must have the shape (N, T, D), or (N, T) for one feature; found {xs.shape}.")
    own = {"xs": np.ascontiguousarray(xs.swapaxes(0, 1), np.float64), "targets": _targets(file, xs, found["targets"])}
    if "lengths" in found:
        own["mask"] = _mask(file, xs, found["lengths"])
    return validated(file, own)


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


def _targets(file: str, xs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The targets in the layout of `rnnbench_tasks.losses`, told apart by kind and shape."""
    per_step = given.shape[:2] == xs.shape[:2]
    if given.dtype.kind in "biu" and given.ndim == 1:
        return given.astype(np.int64)
    if given.dtype.kind in "biu" and given.ndim == 2 and per_step:
        return given.T.astype(np.int64)
    if given.dtype.kind == "f" and given.ndim <= 2:
        return given.reshape(len(given), -1).astype(np.float64)
    if given.dtype.kind == "f" and given.ndim == 3 and per_step:
        return given.swapaxes(0, 1).astype(np.float64)
    raise UsageError(f"{file}: targets may be {SHAPES}; found {given.dtype} {given.shape} beside xs {xs.shape}.")


def _mask(file: str, xs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """1 at the steps below the length of each sequence."""
    T = xs.shape[1]
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or lengths.min() < 1 or lengths.max() > T:
        raise UsageError(f"{file}: lengths must be integers (N,) from 1 to T = {T}; found {lengths.dtype} {lengths}.")
    return (np.arange(T)[:, None] < lengths).astype(np.float64)


@lru_cache(maxsize=2)
def _splits(file: str) -> dict[str, Arrays]:
    return read(file).splits()


arrays = user_task("arrays", read, _splits)
"""Sequences in an .npz file: `arrays(file=data.npz)`. `xs` is (N, T, D), or (N, T) for one feature; `targets` is
integers (N,) for one class per sequence, integers (N, T) for one per step, floats (N,) or (N, O) for numbers at the
last step, floats (N, T, O) for numbers at every step; `lengths`, integers (N,), where sequences are padded at the end.

Splits, scaling, score: `rnnbench_tasks.user_data`. Chance: the best constant on the train split, entropy of the classes
in nats or variance of the numbers. Solved at `target_loss`, by default half of chance.
"""
