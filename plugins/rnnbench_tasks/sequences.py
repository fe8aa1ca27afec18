"""Tasks out of sequences: fresh ones without end, a fixed train set of a given size, or the splits of real data.

`synthetic` and `recorded` build a `Task` and give every task the option `train_size`. The functions handed to them
take the task's own options as keywords, always all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from rnnbench import Option, Task, rng_for
from rnnbench_tasks.lazy_numpy import np

Arrays = dict[str, "np.ndarray"]
"""A batch in NumPy: `xs` (T, B, D), `targets`, and `mask` (T, B) where not every step counts."""
Draw = Callable[..., Arrays]
"""draw(rng, T, B, split, **options): B fresh sequences of a synthetic task."""

BLOCK = 64
"""Sequences drawn from one seed in a fixed train set, so that a smaller set is the beginning of a larger one."""


def synthetic(
    draw: Draw, check: Callable[..., str | None], options: Mapping[str, Option] | None = None, **fields: Any
) -> Task:
    """A task with fresh sequences for every batch, or with a fixed train set where `train_size` is above 0.

    The fixed set depends on the task, T and the options alone. Validation and test stay fresh, so the gap between the
    two losses is what the model has learnt by heart. check(T, **options) is asked after `train_size` is found good.
    """
    own = dict(options or {})

    def batch(rng: np.random.Generator, T: int, B: int, split: str, train_size: int = 0, **given: Option) -> Arrays:
        if split != "train" or train_size == 0:
            return draw(rng, T, B, split, **own | given)
        fixed = _train_set(draw, T, train_size, tuple(sorted((own | given).items())))
        return take(fixed, order(rng, train_size, B))

    def check_all(T: int, train_size: int = 0, **given: Option) -> str | None:
        if train_size < 0:
            return f"train_size must be 0 (endless fresh sequences) or a number of sequences; found {train_size}."
        return check(T, **own | given)

    return Task(batch=batch, check=check_all, options=own | {"train_size": 0}, **_completed(fields, own))


def recorded(
    load: Callable[..., Mapping[str, Arrays]],
    sizes: Callable[..., Mapping[str, int]],
    check: Callable[..., str | None],
    options: Mapping[str, Option] | None = None,
    **fields: Any,
) -> Task:
    """A task on fixed data. load(**options) -> the whole of every split, to be cached by the loader.

    `train_size` above 0 keeps the first so many train sequences. A batch never has a sequence twice while there are
    others left, so asking for as many as the split has gives exactly the whole split.
    """
    own = dict(options or {})

    def all_sizes(train_size: int = 0, **given: Option) -> dict[str, int]:
        full = dict(sizes(**own | given))
        return full | {"train": train_size or full["train"]}

    def batch(rng: np.random.Generator, T: int, B: int, split: str, train_size: int = 0, **given: Option) -> Arrays:
        del T
        return take(load(**own | given)[split], order(rng, all_sizes(train_size, **given)[split], B))

    def check_all(T: int, train_size: int = 0, **given: Option) -> str | None:
        problem = check(T, **own | given)
        if problem is not None:
            return problem
        most = sizes(**own | given)["train"]
        if not 0 <= train_size <= most:
            return f"train_size must be 0 (all) or at most the {most} train sequences there are; found {train_size}."
        return None

    return Task(
        batch=batch, check=check_all, sizes=all_sizes, options=own | {"train_size": 0}, **_completed(fields, own)
    )


def _completed(fields: Mapping[str, Any], own: Mapping[str, Option]) -> dict[str, Any]:
    """The fields, with the functions of the options given all of them, and none but the task's own."""

    def complete(function: Callable[..., Any]) -> Callable[..., Any]:
        def completed(*args: Any, train_size: int = 0, **given: Option) -> Any:
            del train_size
            return function(*args, **{**own, **given})

        return completed

    by_option = ("input_size", "output_size", "chance", "solved", "encode", "decode", "describe")
    return {key: complete(value) if key in by_option and callable(value) else value for key, value in fields.items()}


@lru_cache(maxsize=4)
def _train_set(draw: Draw, T: int, size: int, options: tuple[tuple[str, Option], ...]) -> Arrays:
    """The first `size` sequences of the train set, drawn block by block."""
    blocks = []
    for block in range(-(-size // BLOCK)):
        rng = rng_for("train set", draw.__module__, draw.__qualname__, T, options, block)
        blocks.append(draw(rng, T, BLOCK, "train", **dict(options)))
    first = blocks[0]
    whole = {key: np.concatenate([b[key] for b in blocks], axis=_batch_axis(key, first[key])) for key in first}
    return take(whole, np.arange(size))


def take(data: Arrays, indices: np.ndarray) -> Arrays:
    """The sequences at `indices`."""
    return {name: np.take(array, indices, axis=_batch_axis(name, array)) for name, array in data.items()}


def _batch_axis(name: str, array: np.ndarray) -> int:
    """Where the sequences lie: 0 in targets_B (class ids) and targets_BO (numbers), 1 in everything with time first."""
    numbers = np.issubdtype(array.dtype, np.floating)
    return 0 if name == "targets" and array.ndim == (2 if numbers else 1) else 1


def order(rng: np.random.Generator, size: int, B: int) -> np.ndarray:
    """B indices below `size` in random order, none twice before all have come: B = size is one whole pass."""
    rounds = [rng.permutation(size) for _ in range(-(-B // size))]
    return np.concatenate(rounds)[:B]


def places(rng: np.random.Generator, T: int, count: int, B: int) -> np.ndarray:
    """`count` different steps below T for each of B sequences, ascending, every choice equally likely: (count, B)."""
    if count == T:
        return np.repeat(np.arange(T)[:, None], B, axis=1)
    return np.sort(np.argpartition(rng.random((T, B)), count, axis=0)[:count], axis=0)


def one_hot(ids: np.ndarray, classes: int) -> np.ndarray:
    """One-hot vectors on a new last axis, in float32: exact in every dtype, and half the memory to move."""
    hot = np.zeros((*ids.shape, classes), np.float32)
    np.put_along_axis(hot, ids[..., None].astype(np.int64), 1.0, axis=-1)
    return hot
