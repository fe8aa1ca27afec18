"""What probes that train share: the task, its data, the optimiser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rnnbench.backend import Batch, Optimizer
from rnnbench.context import Context
from rnnbench.errors import Skipped
from rnnbench.model import micro_batches
from rnnbench.task import Task

AHEAD = 8
"""Batches drawn by one call, most of whose cost is the same for any number of sequences."""


def task_of(context: Context) -> Task:
    """The task of the case. Raises Skipped where a package that its data come from is absent."""
    from importlib.util import find_spec

    task = context.task
    if task is None:
        raise ValueError(f"the {context.case.probe} probe needs a task to train on")
    for module in task.requires:
        if find_spec(module) is None:
            raise Skipped(f'task {task.name!r} needs the package {module!r}; pip install "rnnbench[data]"')
    return task


def optimizer(settings: Any) -> Optimizer:
    """The optimiser that the settings `optimizer`, `lr`, `momentum`, `weight_decay` and `clip` ask for."""
    return Optimizer(settings.optimizer, settings.lr, settings.momentum, settings.weight_decay, settings.clip)


def training_batches(context: Context, replicate: int) -> Iterator[Batch]:
    """Endless training batches: the same for every cell, backend and optimiser.

    AHEAD of them are drawn at once: of a fixed train set, no sequence comes twice among them while there are others.
    """
    case, task = context.case, task_of(context)
    rng = context.rng("train", case.settings["task"], case.seq_len, replicate)
    while True:
        drawn = task.batch(rng, case.seq_len, AHEAD * case.batch_size, "train", **(context.task_options or {}))
        yield from micro_batches.split(drawn, case.batch_size)


def validation_batches(context: Context, count: int) -> list[Batch]:
    """A fixed validation set, the same for every replicate, in batches of the training size (one compiled shape)."""
    case, task = context.case, task_of(context)
    rng = context.rng("validation", case.settings["task"], case.seq_len)
    options = context.task_options or {}
    return [task.batch(rng, case.seq_len, case.batch_size, "validation", **options) for _ in range(count)]
